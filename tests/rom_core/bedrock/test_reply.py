"""ReplyBuilder: a stream's events become one complete reply, or an error, never half a reply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.bedrock.reply import ReplyBuilder
from rom_core.errors import ModelMalformedReply, ModelStreamTruncated
from rom_core.turn_values import ModelReply, Usage


def delta(index: int, **piece: Any) -> dict[str, Any]:
    """A piece of block `index`."""
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": piece}}


def tool(index: int, name: str, *pieces: str) -> list[dict[str, Any]]:
    """The events of a tool use whose input arrives in these pieces."""
    start = {"toolUse": {"toolUseId": f"id-{index}", "name": name}}
    events = [{"contentBlockStart": {"contentBlockIndex": index, "start": start}}]
    return events + [delta(index, toolUse={"input": piece}) for piece in pieces]


def stop(reason: str = "end_turn") -> dict[str, Any]:
    """The end of the message."""
    return {"messageStop": {"stopReason": reason}}


def fed(*events: dict[str, Any]) -> tuple[ReplyBuilder, list[str]]:
    """A builder that took these events, and the text it handed on."""
    said: list[str] = []
    builder = ReplyBuilder("alias", said.append)
    for event in events:
        builder.feed(event)
    return builder, said


def built(*events: dict[str, Any]) -> ModelReply:
    """The reply made of these events."""
    return fed(*events)[0].build()


def test_text_is_handed_on_as_it_arrives_and_kept_whole() -> None:
    """Every non-empty piece goes to `on_text` at once; the reply holds them joined, block by block in index order."""
    builder, said = fed(delta(2, text="c"), delta(0, text="a"), delta(0, text=""), delta(0, text="b"))
    assert said == ["c", "a", "b"]
    builder.feed(stop())
    assert builder.build().content == ({"text": "ab"}, {"text": "c"})


def test_a_block_without_content_is_not_part_of_the_reply() -> None:
    """Bedrock refuses empty blocks in a history, so a reply has none."""
    assert built(delta(0, text=""), delta(1, reasoningContent={}), stop()).content == ()


def test_a_stream_without_message_stop_is_no_reply() -> None:
    """boto3 ends a broken stream silently; only `messageStop` makes it complete."""
    builder, _ = fed(delta(0, text="half an ans"), {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2}}})
    with pytest.raises(ModelStreamTruncated) as caught:
        builder.build()
    assert (caught.value.kind, caught.value.retryable) == ("no_message_stop", True)


@pytest.mark.parametrize(
    "event",
    [
        {"contentBlockDelta": {}},
        {"contentBlockStart": {}},
        {"messageStop": {}},
        delta(0, text=5),
        delta(0, text=None),
        delta(0, toolUse={"input": "{}"}),
        delta(1, toolUse={"input": "{}"}),
        delta(1, reasoningContent={"text": "x"}),
        delta(2, text="x"),
        *tool(2, "again")[:1],
        {"contentBlockStart": {"contentBlockIndex": 3, "start": {"toolUse": {"name": "no id"}}}},
    ],
    ids=str,
)
def test_an_event_that_lost_its_payload_is_an_error(event: dict[str, Any]) -> None:
    """An event that is empty, ill-typed or contradicts its block means that content is missing: no silent gap."""
    builder, _ = fed(delta(1, text="text"), *tool(2, "tool"))
    with pytest.raises(ModelStreamTruncated) as caught:
        builder.feed(event)
    assert caught.value.kind == "bad_event"


@pytest.mark.parametrize(
    "event",
    [
        {"somethingNew": {"x": 1}},
        {"messageStart": {"role": "assistant"}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"contentBlockStart": {"contentBlockIndex": 7}},
        {"contentBlockStart": {"contentBlockIndex": 7, "start": {"image": {"format": "png"}}}},
        delta(7, SDK_UNKNOWN_MEMBER={"name": "novel"}),
        delta(7, citation={"title": "t"}),
    ],
    ids=str,
)
def test_what_is_unknown_is_passed_over(event: dict[str, Any]) -> None:
    """A new kind of event, block or piece does not break the blocks that are understood."""
    assert built(delta(0, text="kept"), event, stop()).content == ({"text": "kept"},)


def test_tool_input_is_put_together_from_its_pieces() -> None:
    """Tool uses arrive as pieces of JSON; one without arguments sends none, or an empty one, and means {}."""
    reply = built(*tool(0, "look", '{"a": ', "[1, 2]}"), *tool(1, "list"), *tool(2, "all", ""), stop("tool_use"))
    assert reply.tool_uses == [
        {"toolUseId": "id-0", "name": "look", "input": {"a": [1, 2]}},
        {"toolUseId": "id-1", "name": "list", "input": {}},
        {"toolUseId": "id-2", "name": "all", "input": {}},
    ]
    assert not reply.cut_tool_use


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
@pytest.mark.parametrize("pieces", [(), ("",), ('{"a": ',), ("{",)])
def test_a_tool_use_cut_off_by_a_limit_is_dropped_and_told(reason: str, pieces: tuple[str, ...]) -> None:
    """A tool must not run on half its input, nor on none that was about to come; what was complete stays."""
    reply = built(delta(0, text="text"), *tool(1, "whole", '{"a": 1}'), *tool(2, "cut", *pieces), stop(reason))
    assert [next(iter(block)) for block in reply.content] == ["text", "toolUse"]
    assert reply.tool_uses[0]["name"] == "whole"
    assert (reply.cut_tool_use, reply.stop_reason) == (True, reason)


def test_a_complete_tool_use_survives_a_limit() -> None:
    """max_tokens after the last brace, or in a later block, cuts no tool use."""
    whole = built(*tool(0, "whole", '{"a": 1}'), stop("max_tokens"))
    bare = built(*tool(0, "bare"), delta(1, text="and th"), stop("max_tokens"))
    assert [use["input"] for use in (*whole.tool_uses, *bare.tool_uses)] == [{"a": 1}, {}]
    assert not whole.cut_tool_use
    assert not bare.cut_tool_use


@pytest.mark.parametrize("text", ["{", "{'a': 1}", '{"a": NaN}', '{"a": 1} {"b": 2}', "[" * 100_000])
def test_a_finished_tool_use_that_is_no_json_is_a_malformed_reply(text: str) -> None:
    """If the model says that it finished its tool uses, input that does not parse is its fault, not a cut."""
    with pytest.raises(ModelMalformedReply) as caught:
        built(*tool(0, "good", "{}"), *tool(1, "bad", text), stop("tool_use"))
    assert caught.value.kind == "malformed_tool_input"


def test_a_reply_that_asks_for_tools_names_one() -> None:
    """`tool_use` without a tool use would be an empty answer that looks finished."""
    with pytest.raises(ModelMalformedReply) as caught:
        built(delta(0, text="I will look."), stop("tool_use"))
    assert caught.value.kind == "no_tool_use"


def test_reasoning_is_kept_as_it_was_signed() -> None:
    """Text pieces, the signature and redacted bytes come back exactly: Bedrock checks them in the next request."""
    reply = built(
        delta(0, reasoningContent={"text": "let me "}),
        delta(0, reasoningContent={"text": "think"}),
        delta(0, reasoningContent={"signature": "sig"}),
        delta(1, reasoningContent={"redactedContent": b"\x00a"}),
        delta(1, reasoningContent={"redactedContent": b"b\xff"}),
        delta(2, reasoningContent={"signature": "alone"}),
        delta(3, text="answer"),
        stop(),
    )
    assert reply.content == (
        {"reasoningContent": {"reasoningText": {"text": "let me think", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": b"\x00ab\xff"}},
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "alone"}}},
        {"text": "answer"},
    )
    assert reply.text == "answer"


def test_reasoning_is_not_said_to_the_client() -> None:
    """Only text blocks go to `on_text`."""
    assert fed(delta(0, reasoningContent={"text": "hm"}), delta(1, text="yes"))[1] == ["yes"]


def test_usage_and_latency_come_from_metadata() -> None:
    """Four disjoint kinds of tokens, cached ones apart, and the model's own latency in ms."""
    usage = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 26, "cacheReadInputTokens": 7}
    usage["cacheWriteInputTokens"] = 11
    reply = built(delta(0, text="a"), stop(), {"metadata": {"usage": usage, "metrics": {"latencyMs": 42}}})
    assert (reply.usage, reply.latency_ms) == (Usage(3, 5, 7, 11), 42)


@pytest.mark.parametrize("rest", [[], [{"metadata": {}}], [{"metadata": {"metrics": {"latencyMs": 1}}}]])
def test_a_reply_without_usage_is_complete_and_says_so(rest: list[dict[str, Any]]) -> None:
    """Usage that never came is None, which is not zero."""
    assert built(delta(0, text="a"), stop(), *rest).usage is None


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_output_that_the_model_calls_malformed_is_no_reply(reason: str) -> None:
    """It is an error of its own, and what it cost is known all the same."""
    metadata = {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 5}}}
    builder, _ = fed(delta(0, text="a"), stop(reason), metadata)
    with pytest.raises(ModelMalformedReply) as caught:
        builder.build()
    assert (caught.value.kind, builder.usage) == (reason, Usage(3, 5))


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence", "guardrail_intervened", "content_filtered", "novel"])
def test_other_stop_reasons_pass(reason: str) -> None:
    """Known or not, a stop reason is the model's to give."""
    assert built(delta(0, text="a"), stop(reason)).stop_reason == reason


def test_an_exception_of_the_reader_is_not_taken_for_a_bad_event() -> None:
    """What `on_text` raises comes out as it is: it says nothing about the stream."""

    def failing(_: str) -> None:
        raise TypeError("the sink is broken")

    with pytest.raises(TypeError, match="sink"):
        ReplyBuilder("alias", failing).feed(delta(0, text="a"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5
)


@given(st.lists(st.text(max_size=8) | st.dictionaries(st.text(), JSON), max_size=4), st.data())
def test_how_the_stream_was_cut_into_pieces_does_not_matter(blocks: list[Any], data: st.DataObject) -> None:
    """The same blocks in any pieces make the same reply."""
    events: list[dict[str, Any]] = []
    expected: list[dict[str, Any]] = []
    for index, block in enumerate(blocks):
        text = block if isinstance(block, str) else json.dumps(block)
        at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
        pieces = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
        if isinstance(block, str):
            events += [delta(index, text=piece) for piece in pieces]
            expected += [{"text": text}] if text else []
        else:
            events += tool(index, "tool", *pieces)
            expected.append({"toolUse": {"toolUseId": f"id-{index}", "name": "tool", "input": block}})
    assert built(*events, stop()).content == tuple(expected)


def test_pieces_of_reasoning_are_told_as_they_come() -> None:
    """As Converse has them; of a model that thinks by itself it is told as soon as it has begun."""
    told: list[Any] = []
    said: list[str] = []
    start = {"messageStart": {"role": "assistant"}}
    pieces = [{"text": "hm"}, {"signature": "s"}]
    for thinks in (False, True):
        builder = ReplyBuilder("alias", said.append, told.append, thinks=thinks)
        for event in (start, *(delta(0, reasoningContent=piece) for piece in pieces), delta(1, text="so"), stop()):
            builder.feed(event)
    assert told == [*pieces, {}, *pieces]
