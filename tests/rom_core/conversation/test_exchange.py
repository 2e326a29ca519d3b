"""An exchange: roles alternate from a user's to a user's, and every tool call has its one result."""

from __future__ import annotations

from typing import Any

import pytest
from conversation_support import PNG, POINT, assistant, messages, result, use, user

from rom_core.conversation import Message, identify
from rom_core.conversation.model import (
    CONTINUE,
    EMPTY_MESSAGE,
    NO_RESULT,
    OPENING,
    TOOL_RESULT,
)

# -- roles -------------------------------------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_merged() -> None:
    """Roles alternate: two messages of the same role become one, with the blocks of both."""
    assert messages(user("a"), user("b"), assistant("c"), assistant("d"), user("e")) == [
        user("a", "b"),
        assistant("c", "d"),
        user("e"),
    ]


def test_a_conversation_starts_with_a_user() -> None:
    """A leading assistant message gets a user's before it."""
    assert messages(assistant("hello"), user("hi")) == [user(OPENING), assistant("hello"), user("hi")]


def test_a_conversation_ends_with_a_user() -> None:
    """A trailing assistant message, which some models refuse as prefill, gets a user's after it."""
    assert messages(user("hi"), assistant("hello")) == [user("hi"), assistant("hello"), user(CONTINUE)]


@pytest.mark.parametrize("role", ["system", "tool", "", None, 7, []])
def test_an_unknown_role_is_a_user(role: Any) -> None:
    """What no assistant wrote is a user's."""
    assert messages({"role": role, "content": [{"text": "x"}]}) == [user("x")]


@pytest.mark.parametrize("content", [[], None, [{"text": " "}], [{}], [POINT]])
def test_an_empty_user_message_gets_a_text(content: Any) -> None:
    """An empty user message keeps its place between two of the assistant's."""
    empty = {"role": "user", "content": content}
    assert messages(user("a"), assistant("b"), empty, assistant("c"), user("d"))[2] == user(EMPTY_MESSAGE)


def test_media_of_an_assistant_move_to_the_next_user() -> None:
    """Only users' messages have images; one that an assistant made is kept in the next of them."""
    assert messages(user("a"), assistant("b", PNG), user("c")) == [user("a"), assistant("b"), user(PNG, "c")]
    assert messages(user("a"), assistant(PNG)) == [user("a", PNG)]
    assert messages(user("a"), assistant("b", PNG)) == [user("a"), assistant("b"), user(PNG)]


# -- calls and results -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [[], [user("go on")], [user(" ")], [assistant("text"), user("go on")]])
def test_a_missing_result_is_an_error(after: list[Message]) -> None:
    """Every toolUse has a result in the very next message, even if none is known."""
    made = messages(user("a"), assistant(use()), *after)[2]["content"][0]["toolResult"]
    assert (made["toolUseId"], made["content"][0], made["status"]) == ("t1", {"text": NO_RESULT}, "error")


def test_the_first_of_two_results_wins() -> None:
    """A second result for the same toolUse would poison the conversation."""
    assert messages(user("a"), assistant(use()), user(result("t1", "one"), result("t1", "two"))) == [
        user("a"),
        assistant(use()),
        user(result("t1", "one")),
    ]


def test_results_come_in_the_order_of_their_calls() -> None:
    """Parallel calls are answered in the order in which they were asked."""
    answered = user(result("t2", "two"), result("t1", "one"))
    assert messages(user("a"), assistant(use("t1"), use("t2")), answered)[2] == user(
        result("t1", "one"), result("t2", "two")
    )


def test_an_orphan_among_results_goes_into_the_last_of_them() -> None:
    """A result that answers nothing stays readable inside one that does."""
    assert messages(user("a"), assistant(use()), user(result("t9", "lost"), result("t1", "one")))[2] == user(
        result("t1", "one", TOOL_RESULT, "lost")
    )


def test_an_orphan_alone_becomes_text() -> None:
    """Results without any call before them, as a cut history begins, are the user's text."""
    assert messages(user(result("t9", "lost", {"json": {"n": 1}})))[0] == user(TOOL_RESULT, "lost", '{"n": 1}')


def test_nothing_stands_beside_results() -> None:
    """Text and images beside results move into the last one, in order; a cache point stays."""
    blocks = user("before", result("t1", "one"), PNG, result("t2", "two"), POINT, "after")
    assert messages(user("a"), assistant(use("t1"), use("t2")), blocks)[2] == user(
        result("t1", "one"), result("t2", "two", "before", PNG, "after"), POINT
    )


def test_a_name_for_each_of_thousands_of_equal_ids_is_found_in_few_steps() -> None:
    """The steps grew with the square of their number: one request held a processor for many seconds."""

    class Counting(set[str]):
        asked = 0

        def __contains__(self, name: object) -> bool:
            self.asked += 1
            return super().__contains__(name)

    taken = Counting()
    content = [{"toolUse": {"toolUseId": "u", "name": "t", "input": {}}} for _ in range(1000)]
    names = [unique for _, unique in identify(content, taken)]
    assert len({*names}) == 1000
    assert names[:3] == ["u", "u-2", "u-3"]
    assert taken.asked < 1000 * 30


def test_repeated_ids_become_unique_in_the_whole_conversation() -> None:
    """A reused toolUseId is rewritten in the call and in its result."""
    history = [user("a"), assistant(use("x")), user(result("x", "1")), assistant(use("x")), user(result("x", "2"))]
    assert messages(*history)[3:] == [assistant(use("x-2")), user(result("x-2", "2"))]


def test_repeated_ids_in_one_message_are_answered_in_order() -> None:
    """Two calls under one id in one message get the first and the second result."""
    history = [user("a"), assistant(use("x"), use("x")), user(result("x", "1"), result("x", "2"))]
    assert messages(*history)[1:] == [
        assistant(use("x"), use("x-2")),
        user(result("x", "1"), result("x-2", "2")),
    ]


@pytest.mark.parametrize(
    ("given", "valid"),
    [("a:b.c", "a_b_c"), ("", "tool"), (None, "tool"), (5, "5"), ("é", "_"), ("x" * 70, "x" * 64), ("a\n", "a_")],
)
def test_ids_and_names_take_the_allowed_characters(given: Any, valid: str) -> None:
    """toolUseIds and tool names match [a-zA-Z0-9_-]{1,64}; call and result stay a pair."""
    one = messages(user("a"), assistant(use(given, given)), user(result(given)))
    assert one[1:] == [assistant(use(valid, valid)), user(result(valid))]


def test_a_long_id_leaves_room_for_its_number() -> None:
    """A repeated id of 64 characters is shortened, not lengthened."""
    long = "x" * 64
    history = [user("a"), assistant(use(long)), user(result(long)), assistant(use(long)), user(result(long))]
    assert messages(*history)[3] == assistant(use("x" * 62 + "-2"))
