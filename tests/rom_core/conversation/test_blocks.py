"""One content block at a time: kept, moved, turned into text or dropped."""

from __future__ import annotations

from typing import Any

import pytest
from conversation_support import PNG, assistant, messages, reasoning, result, use, user

from rom_core.conversation import Block
from rom_core.conversation.model import (
    EMPTY_RESULT,
    TOOL_RESULT,
)

# -- text --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["", " ", "\n\t ", "\u00a0", None])
def test_blank_text_is_dropped(blank: Any) -> None:
    """Blank text blocks are refused wherever they stand."""
    block = {"text": blank}
    assert messages(user("a", block), assistant(block), user("b"), assistant("c", block), user("d")) == [
        user("a", "b"),
        assistant("c"),
        user("d"),
    ]


def test_citations_become_their_text() -> None:
    """A cited answer goes back as the words that the person read."""
    cited = {"citationsContent": {"content": [{"text": "as "}, {"text": "said"}], "citations": []}}
    assert messages(user("a"), assistant(cited), user("b"))[1] == assistant("as said")


def test_loose_shapes_are_read() -> None:
    """Content as a str, text as another type, several members in one block, unknown members: nothing is lost."""
    assert messages({"role": "user", "content": "hi"}) == [user("hi")]
    assert messages(user({"text": 5})) == [user("5")]
    assert messages(user({"type": "text", "text": "a"}, {"text": "b", **PNG})) == [user("a", "b", PNG)]
    assert messages(user({"foo": 1}, 7, "x")) == [user('{"foo": 1}', "7", "x")]


# -- tools -------------------------------------------------------------------------------------------------------------


def test_tool_use_of_a_user_becomes_text() -> None:
    """Users' messages cannot contain tool uses."""
    (message,) = messages(user("summary", use(q=1)))
    assert message == user("summary", '[chamada da ferramenta search: {"q": 1}]')


def test_tool_result_of_an_assistant_becomes_text() -> None:
    """Assistants' messages cannot contain tool results; an image in one moves to the next user message."""
    assert messages(user("a"), assistant(result("t1", "found", {"json": {"n": 1}}, PNG)), user("b")) == [
        user("a"),
        assistant(TOOL_RESULT, "found", '{"n": 1}'),
        user(PNG, "b"),
    ]


@pytest.mark.parametrize(
    ("given", "sent_input"),
    [
        (None, {}),
        ('{"q": "unfin', {}),
        ('{"q": 1}', {"q": 1}),
        ("[1]", {"value": [1]}),
        ("[" * 100_000, {}),
        ([1, 2], {"value": [1, 2]}),
        (5, {"value": 5}),
        ({"q": float("nan")}, {"q": None}),
    ],
)
def test_the_input_of_a_call_is_an_object(given: Any, sent_input: dict[str, Any]) -> None:
    """toolUse.input is a JSON object, also when the stream was cut in the middle of it."""
    block = {"toolUse": {"toolUseId": "t1", "name": "search", "input": given}}
    assert messages(user("a"), assistant(block))[1] == assistant(use(**sent_input))


def test_what_a_result_cannot_hold_becomes_text_in_it() -> None:
    """Guarded content beside a result keeps its words; audio leaves a note."""
    guarded = {"guardContent": {"text": {"text": "query"}}}
    audio = {"audio": {"format": "mp3", "source": {"bytes": b"ID3"}}}
    (block,) = messages(user("a"), assistant(use()), user(result(), guarded, audio))[2]["content"]
    assert [item["text"] for item in block["toolResult"]["content"]] == [
        "found",
        "query",
        "[conteúdo não aceito: audio]",
    ]


@pytest.mark.parametrize("content", [[], None, [{"text": " "}], ""])
def test_an_empty_result_gets_a_text(content: Any) -> None:
    """The content of a toolResult is never empty."""
    block = {"toolResult": {"toolUseId": "t1", "content": content}}
    assert messages(user("a"), assistant(use()), user(block))[2] == user(result("t1", EMPTY_RESULT))


@pytest.mark.parametrize("value", [[1], "text", 5, None, True])
def test_json_of_a_result_is_an_object(value: Any) -> None:
    """A list or scalar as json is wrapped; null is nothing."""
    kept = {"text": EMPTY_RESULT} if value is None else {"json": {"value": value}}
    assert messages(user("a"), assistant(use()), user(result("t1", {"json": value})))[2] == user(result("t1", kept))


@pytest.mark.parametrize(
    ("status", "kept"),
    [("success", {"status": "success"}), ("error", {"status": "error"}), ("failed", {}), (None, {}), ([], {})],
)
def test_a_result_is_success_or_error(status: Any, kept: dict[str, str]) -> None:
    """Another status is left out, which means success."""
    assert messages(user("a"), assistant(use()), user(result(status=status)))[2] == user(result(**kept))


def test_tool_blocks_in_a_result_become_text() -> None:
    """A toolResult cannot hold tool blocks, and no nesting of them breaks the normaliser."""
    nested = result()
    for _ in range(5000):
        nested = {"toolResult": {"toolUseId": "t", "content": [nested]}}
    (block,) = messages(user("a"), assistant(use()), user(result("t1", nested)))[2]["content"]
    assert list(block["toolResult"]["content"][0]) == ["text"]


# -- reasoning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("writer", "kept"), [("primary", True), ("other", False), (None, True)])
def test_reasoning_goes_back_only_to_its_model(writer: str | None, kept: bool) -> None:
    """Signatures are a model's own: after a fallback the reasoning of the first model is left out."""
    answer = assistant(reasoning(), "b", **({} if writer is None else {"_model": writer}))
    assert messages(user("a"), answer, user("c"))[1] == (assistant(reasoning(), "b") if kept else assistant("b"))


@pytest.mark.parametrize(
    "block",
    [
        {"reasoningContent": {"reasoningText": {"text": "unsigned"}}},
        reasoning("text", " "),
        reasoning("changed \ud800"),
        {"reasoningContent": {}},
        {"reasoningContent": "x"},
    ],
)
def test_reasoning_that_is_not_as_signed_is_dropped(block: Block) -> None:
    """Unsigned or unsendable reasoning would be refused."""
    assert messages(user("a"), assistant(block, "b"), user("c"))[1] == assistant("b")


def test_reasoning_is_nobody_elses() -> None:
    """A user's message has no reasoning, and an assistant's message of reasoning alone is empty."""
    assert messages(user("a", reasoning()), assistant(reasoning()), user("b")) == [user("a", "b")]


def test_redacted_reasoning_is_kept() -> None:
    """Redacted reasoning is bytes that only its model can read."""
    redacted = {"reasoningContent": {"redactedContent": b"secret"}}
    assert messages(user("a"), assistant(redacted, "b"), user("c"))[1] == assistant(redacted, "b")
