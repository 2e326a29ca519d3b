"""Each rule of a valid Converse request, broken in one way and put in order again."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.bedrock.local.rules import check_conversation
from rom_core.bedrock.local.validation import check_request
from rom_core.conversation import Block, EmptyConversation, Message, ModelCapabilities, normalise
from rom_core.conversation.model import (
    ATTACHED,
    CONTINUE,
    EMPTY_MESSAGE,
    EMPTY_RESULT,
    NO_RESULT,
    OPENING,
    TOO_DEEP,
    TOOL_RESULT,
)
from rom_core.conversation.values import MAX_DEPTH, clean_name, document

MODEL = ModelCapabilities(max_tokens=8192, prompt_caching=True, alias="primary")
POINT: Block = {"cachePoint": {"type": "default"}}
PNG: Block = {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}


def user(*content: Any, **notes: Any) -> Message:
    """A user's message; a str stands for its text block."""
    return {"role": "user", "content": _blocks(content), **notes}


def assistant(*content: Any, **notes: Any) -> Message:
    """An assistant's message; a str stands for its text block."""
    return {"role": "assistant", "content": _blocks(content), **notes}


def use(tool_use_id: Any = "t1", name: Any = "search", **given: Any) -> Block:
    """A toolUse with `given` as its input."""
    return {"toolUse": {"toolUseId": tool_use_id, "name": name, "input": given}}


def result(tool_use_id: Any = "t1", *content: Any, **more: Any) -> Block:
    """A toolResult; a str stands for its text block."""
    return {"toolResult": {"toolUseId": tool_use_id, "content": _blocks(content or ("found",)), **more}}


def reasoning(text: str = "think", signature: str = "signed") -> Block:
    """Signed reasoning."""
    return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}


def sent(*messages: Any, model: ModelCapabilities = MODEL, **request: Any) -> dict[str, Any]:
    """The normalised request, which the local Bedrock accepts."""
    normalised = normalise({"messages": list(messages), **request}, model=model)
    assert_accepted(normalised)
    return normalised


def messages(*given: Any, model: ModelCapabilities = MODEL, **request: Any) -> list[Message]:
    """The messages of the normalised request, without its tools."""
    normalised: list[Message] = sent(*given, model=model, **request)["messages"]
    return normalised


def assert_accepted(request: dict[str, Any]) -> None:
    """Fail with the messages of the service if it would refuse the request."""
    body = as_body(request)
    assert check_request("ConverseStream", body) == []
    assert check_conversation(body) == []


def as_body(request: dict[str, Any]) -> dict[str, Any]:
    """The JSON body that boto3 makes of the request."""
    text = json.dumps(request, allow_nan=False, default=lambda blob: "AAAA" if isinstance(blob, bytes) else None)
    body: dict[str, Any] = json.loads(text)
    body.pop("modelId", None)
    return body


def _blocks(content: tuple[Any, ...]) -> list[Any]:
    return [{"text": block} if isinstance(block, str) else block for block in content]


# -- roles -----------------------------------------------------------------------------------------------------------


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


# -- tools -----------------------------------------------------------------------------------------------------------


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


def test_tools_are_made_up_when_the_history_uses_some() -> None:
    """Tool blocks need a toolConfig, also when tools are withheld for a closing answer; a choice goes with them."""
    config = sent(user("a"), assistant(use()), user(result()), toolConfig={"tools": [], "toolChoice": {"any": {}}})
    assert [tool["toolSpec"]["name"] for tool in config["toolConfig"]["tools"]] == ["search"]
    assert "toolChoice" not in config["toolConfig"]


@pytest.mark.parametrize("config", [None, {}, {"tools": []}, {"tools": [POINT]}, {"tools": [{"toolSpec": None}]}, 3])
def test_no_tools_is_no_tool_config(config: Any) -> None:
    """An empty list of tools is refused; without tools there is no toolConfig."""
    assert "toolConfig" not in sent(user("a"), toolConfig=config)


def spec(name: Any = "search", schema: Any = None) -> Block:
    """A tool of toolConfig."""
    schema = {"type": "object", "properties": {}} if schema is None else schema
    return {"toolSpec": {"name": name, "description": "Searches.", "inputSchema": {"json": schema}}}


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        ({"auto": {}}, {"auto": {}}),
        ({"any": {}}, {"any": {}}),
        ({"tool": {"name": "search"}}, {"tool": {"name": "search"}}),
        ({"tool": {"name": "other"}}, None),
        ({"none": {}}, None),
        ({}, None),
        ("auto", None),
    ],
)
def test_a_choice_that_does_not_exist_is_dropped(choice: Any, kept: Any) -> None:
    """toolChoice names one of the tools, or is auto or any."""
    assert sent(user("a"), toolConfig={"tools": [spec()], "toolChoice": choice})["toolConfig"].get("toolChoice") == kept


def test_tools_have_unique_names() -> None:
    """The second tool of a name is dropped, also when it has that name only after cleaning."""
    assert sent(user("a"), toolConfig={"tools": [spec("a_b"), spec("a b"), spec("a_b")]})["toolConfig"] == {
        "tools": [spec("a_b")]
    }


@pytest.mark.parametrize("schema", [{"type": "string"}, {"x": float("inf")}, {"enum": (1, 2)}])
def test_a_tool_takes_an_object(schema: dict[str, Any]) -> None:
    """An input schema is JSON, of type object."""
    (tool,) = sent(user("a"), toolConfig={"tools": [spec(schema=schema)]})["toolConfig"]["tools"]
    assert tool["toolSpec"]["inputSchema"]["json"]["type"] == "object"


def test_a_tool_has_a_valid_name_and_no_blank_description() -> None:
    """A tool's name is cleaned as in the history; a blank description is left out, `strict` stays."""
    blank = {"name": "a b", "description": " ", "strict": True, "inputSchema": {"json": {"type": "object"}}}
    (tool,) = sent(user("a"), toolConfig={"tools": [{"toolSpec": blank}]})["toolConfig"]["tools"]
    assert tool == {"toolSpec": {"name": "a_b", "strict": True, "inputSchema": {"json": {"type": "object"}}}}
    blank = {"name": "a_b", "description": " ", "inputSchema": {"json": {"type": "object"}}}
    (tool,) = sent(user("a"), toolConfig={"tools": [{"toolSpec": blank}]})["toolConfig"]["tools"]
    assert "description" not in tool["toolSpec"]
    (tool,) = sent(user("a"), toolConfig={"tools": [spec("a b")]})["toolConfig"]["tools"]
    assert tool == spec("a_b")


# -- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["", " ", "\n\t ", "\u00a0", None])
def test_blank_text_is_dropped(blank: Any) -> None:
    """Blank text blocks are refused wherever they stand."""
    block = {"text": blank}
    assert messages(user("a", block), assistant(block), user("b"), assistant("c", block), user("d")) == [
        user("a", "b"),
        assistant("c"),
        user("d"),
    ]


@pytest.mark.parametrize("content", [[], None, [{"text": " "}], [{}], [POINT]])
def test_an_empty_user_message_gets_a_text(content: Any) -> None:
    """An empty user message keeps its place between two of the assistant's."""
    empty = {"role": "user", "content": content}
    assert messages(user("a"), assistant("b"), empty, assistant("c"), user("d"))[2] == user(EMPTY_MESSAGE)


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


def test_blank_system_blocks_are_dropped() -> None:
    """Blank blocks of system are refused; what is left stays, a plain text becomes a block."""
    assert sent(user("a"), system=[{"text": " "}, {"text": "be brief"}, {}])["system"] == [{"text": "be brief"}]
    assert sent(user("a"), system="be brief")["system"] == [{"text": "be brief"}]


@pytest.mark.parametrize("system", [None, [], [{"text": " "}], "", [POINT]])
def test_an_empty_system_is_absent(system: Any) -> None:
    """No system prompt is no member, not an empty list."""
    assert "system" not in sent(user("a"), system=system)


# -- cache points ----------------------------------------------------------------------------------------------------


def test_at_most_four_cache_points() -> None:
    """The oldest points of messages go first, then those of system, then those of tools."""
    history = [user("a", POINT), assistant("b", POINT), user("c", POINT), assistant("d", POINT), user("e", POINT)]
    tools = {"tools": [spec(), POINT]}
    request = sent(*history, system=[{"text": "s"}, POINT], toolConfig=tools)
    assert [POINT in message["content"] for message in request["messages"]] == [False, False, False, True, True]
    assert POINT in request["system"]
    assert POINT in request["toolConfig"]["tools"]
    many = [part for number in range(4) for part in ({"text": f"s{number}"}, POINT)]
    request = sent(user("a", POINT), system=many, toolConfig=tools)
    assert request["messages"] == [user("a")]
    assert request["system"] == [{"text": "s0"}, *many[2:]]
    assert request["toolConfig"] == tools


def test_several_points_of_one_message_may_be_too_many() -> None:
    """Of one message's points the first ones go, and nothing else of it."""
    points = user("a", POINT, "b", POINT, "c", POINT, "d", POINT, "e", POINT, "f", POINT)
    assert messages(points) == [user("a", "b", "c", POINT, "d", POINT, "e", POINT, "f", POINT)]


def test_cache_points_stand_after_something() -> None:
    """No point comes first, directly after another, or after reasoning."""
    given = [user(POINT, "a", POINT, {"text": " "}, POINT), assistant(reasoning(), POINT, "b"), user("c")]
    assert messages(*given) == [user("a", POINT), assistant(reasoning(), "b"), user("c")]


def test_no_cache_points_for_a_model_without_caching() -> None:
    """A fallback model that knows no prompt caching refuses cache points: all go."""
    request = sent(
        user("a", POINT),
        system=[{"text": "s"}, POINT],
        toolConfig={"tools": [spec(), POINT]},
        model=ModelCapabilities(max_tokens=100),
    )
    assert "cachePoint" not in json.dumps(request)


def test_longer_cache_lives_come_first() -> None:
    """A point of one hour may not follow one of five minutes in the order tools, system, messages."""
    hour: Block = {"cachePoint": {"type": "default", "ttl": "1h"}}
    request = sent(user("a", hour), system=[{"text": "s"}, POINT], toolConfig={"tools": [spec(), hour]})
    assert request["toolConfig"]["tools"][1] == hour
    assert request["messages"][0]["content"][1] == {"cachePoint": {"type": "default", "ttl": "5m"}}


# -- reasoning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("writer", "kept"), [("primary", True), ("other", False), (None, True)])
def test_reasoning_goes_back_only_to_its_model(writer: str | None, kept: bool) -> None:
    """Signatures are a model's own: after a fallback the reasoning of the first model is left out."""
    answer = assistant(reasoning(), "b", **({} if writer is None else {"_model": writer}))
    assert messages(user("a"), answer, user("c"))[1] == (assistant(reasoning(), "b") if kept else assistant("b"))


@pytest.mark.parametrize(
    "block",
    [
        {"reasoningContent": {"reasoningText": {"text": "unsigned"}}},
        reasoning(" "),
        reasoning("changed \ud800"),
        {"reasoningContent": {}},
        {"reasoningContent": "x"},
    ],
)
def test_reasoning_that_is_not_as_signed_is_dropped(block: Block) -> None:
    """Unsigned, blank or unsendable reasoning would be refused."""
    assert messages(user("a"), assistant(block, "b"), user("c"))[1] == assistant("b")


def test_reasoning_is_nobody_elses() -> None:
    """A user's message has no reasoning, and an assistant's message of reasoning alone is empty."""
    assert messages(user("a", reasoning()), assistant(reasoning()), user("b")) == [user("a", "b")]


def test_redacted_reasoning_is_kept() -> None:
    """Redacted reasoning is bytes that only its model can read."""
    redacted = {"reasoningContent": {"redactedContent": b"secret"}}
    assert messages(user("a"), assistant(redacted, "b"), user("c"))[1] == assistant(redacted, "b")


# -- other content ---------------------------------------------------------------------------------------------------


def test_media_of_an_assistant_move_to_the_next_user() -> None:
    """Only users' messages have images; one that an assistant made is kept in the next of them."""
    assert messages(user("a"), assistant("b", PNG), user("c")) == [user("a"), assistant("b"), user(PNG, "c")]
    assert messages(user("a"), assistant(PNG)) == [user("a", PNG)]
    assert messages(user("a"), assistant("b", PNG)) == [user("a"), assistant("b"), user(PNG)]


@pytest.mark.parametrize(
    "block",
    [
        {"image": {"format": "bmp", "source": {"bytes": b"x"}}},
        {"image": {"format": [], "source": {"bytes": b"x"}}},
        {"image": {"format": "png", "source": {"bytes": b""}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "http://example.com"}}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/" + "x" * 1024}}}},
        {"image": "x"},
    ],
    ids=range(6),
)
def test_an_unusable_image_becomes_text(block: Block) -> None:
    """What Bedrock would refuse leaves a note in its place."""
    assert messages(user("a", block)) == [user("a", "[conteúdo não aceito: image]")]


def test_documents_have_plain_names_and_a_text() -> None:
    """A document's name has no accents or dots, and some text goes with it."""
    given: Block = {"document": {"format": "pdf", "name": "Petição  inicial.v2.pdf", "source": {"bytes": b"%PDF"}}}
    text, block = messages(user(given))[0]["content"]
    assert text == {"text": ATTACHED}
    assert block["document"]["name"] == "Peticao inicial v2 pdf"
    assert messages(user("read", given))[0]["content"][0] == {"text": "read"}
    given["document"]["name"] = "x" * 300
    assert messages(user("read", given))[0]["content"][1]["document"]["name"] == "x" * 200


@pytest.mark.parametrize(
    "block",
    [
        PNG,
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png", "bucketOwner": "1" * 12}}}},
        {
            "document": {
                "format": "txt",
                "name": "a b",
                "source": {"text": "t"},
                "context": "c",
                "citations": {"enabled": True},
            }
        },
        {"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}], "citations": {"enabled": False}}},
        {"guardContent": {"text": {"text": "x", "qualifiers": ["query"]}}},
        {"guardContent": {"image": {"format": "png", "source": {"bytes": b"x"}}}},
        {"audio": {"format": "mp3", "source": {"bytes": b"x"}}},
        {"video": {"format": "mp4", "source": {"bytes": b"x"}}},
    ],
)
def test_usable_media_stay_as_they_are(block: Block) -> None:
    """Everything that a user's message may hold comes out equal."""
    assert messages(user("a", block)) == [user("a", block)]


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


def test_our_own_notes_do_not_go_out() -> None:
    """Members that start with an underscore, and those that are None, are not the service's."""
    request = sent(user("a", _trace="x"), _note=1, guardrailConfig=None, performanceConfig={"latency": "standard"})
    assert request == {"messages": [user("a")], "performanceConfig": {"latency": "standard"}}


@pytest.mark.parametrize(
    "given",
    [None, [], [user()], [user(" ")], [assistant(reasoning())], [user(POINT)], ["text"], [None], [{}]],
)
def test_nothing_to_say_is_an_error(given: Any) -> None:
    """A conversation without any content is not sent at all."""
    with pytest.raises(EmptyConversation, match="no message with content"):
        normalise({"messages": given}, model=MODEL)


# -- documents and numbers -------------------------------------------------------------------------------------------


@dataclass
class Hit:
    title: str
    score: Decimal


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("1.5"), 1.5),
        (Decimal(10), 10),
        (Decimal("1e999"), "1E+999"),
        (Decimal("NaN"), None),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        (date(2026, 11, 3), "2026-11-03"),
        (b"caf\xc3\xa9 \xff", "café \ufffd"),
        (Hit("t", Decimal("0.5")), {"title": "t", "score": 0.5}),
        ("\ud83d\ude00 \ud800", "\U0001f600 \ufffd"),
        ({"\ud800": 1}, {"\ufffd": 1}),
        (Unprintable(), "<Unprintable>"),
        pytest.param(2**2000, hex(2**2000), id="huge"),
        (True, True),
    ],
)
def test_documents_are_json(value: Any, safe: Any) -> None:
    """Whatever a tool returns is JSON on the wire, not NaN, a tuple or half a character."""
    assert document({"v": [value]}) == {"v": [safe]}
    assert type(document(value)) is type(safe)


def test_documents_have_a_bounded_depth() -> None:
    """What is nested deeper becomes text, and a document that contains itself ends."""
    deep: Any = 1
    for _ in range(MAX_DEPTH + 3):
        deep = [deep]
    shallow = document(deep)
    assert json.dumps(shallow).count("[") == MAX_DEPTH + 3
    assert json.dumps(shallow).startswith("[" * MAX_DEPTH + '"')
    circular: list[Any] = []
    circular += [circular, circular]
    assert document(circular) == [TOO_DEEP, TOO_DEEP]


def test_a_safe_document_is_shared() -> None:
    """What needs no change costs no copy."""
    value: dict[str, Any] = {"a": [1, 2.5, None, True, "é", {"b": []}]}
    assert document(value) is value


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"maxTokens": 100_000}, {"maxTokens": 8192}),
        ({"maxTokens": 0}, {"maxTokens": 1}),
        ({"maxTokens": 10.9}, {"maxTokens": 10}),
        pytest.param({"maxTokens": 10**400, "topP": 10**400}, {"maxTokens": 8192, "topP": 1}, id="huge"),
        pytest.param({"stopSequences": ["x"] * 3000}, {"stopSequences": ["x"] * 2500}, id="many"),
        ({"temperature": Decimal("sNaN"), "topP": Decimal("1e999")}, {}),
        ({"maxTokens": True, "temperature": True, "topP": False}, {}),
        ({"maxTokens": float("nan"), "temperature": float("inf"), "topP": "0.5"}, {}),
        ({"maxTokens": None, "temperature": None, "stopSequences": None}, {}),
        ({"temperature": 1.5}, {"temperature": 1}),
        ({"temperature": -1}, {"temperature": 0}),
        ({"temperature": Decimal("0.5")}, {"temperature": 0.5}),
        ({"topP": 2}, {"topP": 1}),
        ({"temperature": 0.5, "topP": 0.5}, {"temperature": 0.5}),
        ({"stopSequences": ["END", "", " ", None]}, {"stopSequences": ["END"]}),
        ({"stopSequences": "END"}, {"stopSequences": ["END"]}),
        ({"topK": 5}, {}),
        ([], {}),
    ],
)
def test_inference_stays_within_its_limits(given: Any, kept: dict[str, Any]) -> None:
    """Numbers are clamped or dropped, never sent for Bedrock to refuse; Claude takes temperature or topP, not both."""
    assert sent(user("a"), inferenceConfig=given).get("inferenceConfig", {}) == kept


def test_a_model_may_take_temperature_with_top_p() -> None:
    """Models that take both get both."""
    both = {"temperature": 0.5, "topP": 0.5}
    model = ModelCapabilities(max_tokens=100, temperature_with_top_p=True)
    assert sent(user("a"), inferenceConfig=both, model=model)["inferenceConfig"] == both


def test_additional_fields_are_json() -> None:
    """NaN in additionalModelRequestFields would be invalid JSON on the wire."""
    request = sent(user("a"), additionalModelRequestFields={"thinking": {"budget": float("nan")}})
    assert request["additionalModelRequestFields"] == {"thinking": {"budget": None}}
    assert "additionalModelRequestFields" not in sent(user("a"), additionalModelRequestFields={})


@pytest.mark.parametrize("tokens", [0, -5])
def test_a_model_writes_at_least_a_token(tokens: int) -> None:
    """A model that could write nothing is a mistake in the MODELS table."""
    with pytest.raises(ValueError, match="max_tokens"):
        ModelCapabilities(max_tokens=tokens)


# -- the whole -------------------------------------------------------------------------------------------------------


def test_a_valid_request_comes_out_equal_and_shared() -> None:
    """A request in order is not touched, and its blocks are not copied."""
    request: dict[str, Any] = {
        "modelId": "m",
        "messages": [
            user("a"),
            assistant(reasoning(), "b", use("t1", q=[1]), use("t2")),
            user(result("t1", {"json": {"n": 1}}, status="success"), result("t2", "x", status="error"), POINT),
        ],
        "system": [{"text": "s"}, POINT],
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.2, "stopSequences": ["END"]},
        "toolConfig": {"tools": [spec(), POINT], "toolChoice": {"auto": {}}},
    }
    before = deepcopy(request)
    normalised = normalise(request, model=MODEL)
    assert json.dumps(normalised) == json.dumps(request) == json.dumps(before)
    pairs = zip(request["messages"], normalised["messages"], strict=True)
    assert all(
        one is other
        for was, now in pairs
        for one, other in zip(was["content"], now["content"], strict=True)
        if "reasoningContent" not in one and "cachePoint" not in one
    )


@given(st.text(st.characters(codec=None), max_size=70))
def test_names_are_cleaned_once(text: str) -> None:
    """Cleaning a clean name changes nothing."""
    assert clean_name(clean_name(text, "tool"), "tool") == clean_name(text, "tool")
