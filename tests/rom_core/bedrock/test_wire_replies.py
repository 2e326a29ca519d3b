"""Replies of the wire over real sockets: complete and accounted, or none."""

from __future__ import annotations

import threading

import pytest
from bedrock_support import (
    END_OF_BODY,
    STREAM_HEAD,
    Connect,
    Peer,
    asking,
    chunks,
    event,
    make_attempt,
    make_wire,
    until,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local_bedrock import LocalBedrock
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.clock import SystemClock
from rom_core.concurrency.watchdog import Watchdog
from rom_core.errors import ModelError, ModelMalformedReply
from rom_core.turn_values import Usage

SAYING = "[[say=um dois três quatro]]"


def test_a_reply_is_complete_and_accounted(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """Text, stop reason, model alias, usage with cached tokens apart, and latency; text went out as it came."""
    said: list[str] = []
    wire = connect(bedrock_local.url)
    system = [{"text": "regras " * 1000}, {"cachePoint": {"type": "default"}}]
    first, second = (make_attempt(sink=lambda name, data: said.append(data["text"])) for _ in range(2))
    wire.converse(first, asking(SAYING, system=system))
    said.clear()
    reply = wire.converse(second, asking(SAYING, system=system))
    assert (reply.text, reply.stop_reason, reply.model) == ("um dois três quatro", "end_turn", "anthropic.first")
    assert said == ["um ", "dois ", "três ", "quatro"]
    assert first.usage is not None
    assert first.usage.cache_write_tokens > 1000
    assert second.usage == reply.usage
    assert reply.usage is not None
    assert (reply.usage.cache_read_tokens, reply.usage.cache_write_tokens) == (first.usage.cache_write_tokens, 0)
    assert reply.latency_ms is not None


def test_tools_and_reasoning_come_over_the_wire(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """The blocks of a tool iteration arrive whole, in order, the reasoning with its signature."""
    reply = connect(bedrock_local.url).converse(
        make_attempt(), asking('[[reasoning]][[tool=a,b]][[parallel=2]][[input={"n": "$n"}]]')
    )
    assert [next(iter(block)) for block in reply.content] == ["reasoningContent", "toolUse", "toolUse"]
    assert reply.content[0]["reasoningContent"]["reasoningText"].keys() == {"text", "signature"}
    assert [(use["name"], use["input"]) for use in reply.tool_uses] == [("a", {"n": "1"}), ("b", {"n": "2"})]
    assert reply.stop_reason == "tool_use"


def test_a_tool_use_cut_by_max_tokens_is_dropped(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """The complete one stays."""
    message = '[[tool=a]][[parallel=2]][[input={"text": "some words"}]][[cut_tool_use]]'
    reply = connect(bedrock_local.url).converse(make_attempt(), asking(message))
    assert (len(reply.tool_uses), reply.cut_tool_use, reply.stop_reason) == (1, True, "max_tokens")


def test_a_malformed_reply_is_an_error_that_is_paid_for(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """The attempt knows the usage although there is no reply."""
    attempt = make_attempt()
    with pytest.raises(ModelMalformedReply) as caught:
        connect(bedrock_local.url).converse(attempt, asking(f"{SAYING}[[stop=malformed_model_output]]"))
    assert caught.value.aws_request_id
    assert attempt.usage is not None
    assert attempt.usage.output_tokens > 0


def test_a_reply_whose_usage_never_came_is_a_reply(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """The usage is unknown then, not zero."""
    attempt = make_attempt()
    reply = connect(bedrock_local.url).converse(attempt, asking(f"{SAYING}[[fault=no_usage]]"))
    assert (reply.text, reply.usage, attempt.usage) == ("um dois três quatro", None, None)


FRAMES = (
    event("messageStart", role="assistant"),
    event("contentBlockDelta", contentBlockIndex=0, delta={"text": "the whole "}),
    event("contentBlockDelta", contentBlockIndex=0, delta={"text": "answer"}),
    event("contentBlockStop", contentBlockIndex=0),
    event("messageStop", stopReason="end_turn"),
    event("metadata", usage={"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, metrics={"latencyMs": 4}),
)


@pytest.mark.parametrize("ending", ["fin", "rst"])
def test_what_breaks_after_message_stop_costs_the_usage_only(connect: Connect, ending: str) -> None:
    """The answer is complete and paid for by then; it is not thrown away for a lost account."""
    attempt = make_attempt()
    with Peer(STREAM_HEAD + chunks(*FRAMES[:5]), ending=ending) as peer:
        reply = connect(peer.url).converse(attempt, asking())
    assert (reply.text, reply.usage, attempt.usage) == ("the whole answer", None, None)


def test_silence_after_message_stop_costs_the_usage_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A complete answer does not wait for its account until the read timeout."""
    monkeypatch.setattr("rom_core.bedrock.wire._METADATA_SECONDS", 0.05)
    dog = Watchdog(interval=0.01)
    dog.start()
    attempt = make_attempt(seconds=30)
    with Peer(STREAM_HEAD + chunks(*FRAMES[:5]), ending="wait") as peer:
        wire = Wire(attempt.turn.settings, SystemClock(), endpoint_url=peer.url, watchdog=dog)
        reply = wire.converse(attempt, asking())
        wire.close()
    dog.stop()
    assert (reply.text, reply.usage) == ("the whole answer", None)
    assert attempt.call.deadline.remaining() > 0


def test_a_deadline_after_message_stop_does_not_cost_the_reply(connect: Connect) -> None:
    """What is complete and paid for is handed over, although its turn's time ran out while the account was awaited."""
    attempt = make_attempt(seconds=30)

    def expire() -> None:
        until(lambda: attempt.first_delta_at is not None)
        threading.Timer(0.3, lambda: attempt.turn.cancel.cancel("deadline")).start()

    with Peer(STREAM_HEAD + chunks(*FRAMES[:5]), ending="wait") as peer:
        waiting = threading.Thread(target=expire)
        waiting.start()
        reply = connect(peer.url).converse(attempt, asking())
        waiting.join(60)
    assert reply.text == "the whole answer"


def test_halves_of_a_character_in_two_pieces_are_one_character(connect: Connect) -> None:
    """JSON may carry an emoji as two escapes, each in an event of its own; a half without the other is replaced."""
    halves = ("com \ud83d", "\ude00 e \ud83d", " só")
    deltas = [event("contentBlockDelta", contentBlockIndex=0, delta={"text": half}) for half in halves]
    said: list[str] = []
    attempt = make_attempt(sink=lambda name, data: said.append(data["text"]))
    with Peer(STREAM_HEAD + chunks(FRAMES[0], *deltas, *FRAMES[3:]) + END_OF_BODY) as peer:
        reply = connect(peer.url).converse(attempt, asking())
    assert reply.text == "".join(said) == "com \U0001f600 e \ufffd só"


STREAM = b"".join(FRAMES)
BODY = chunks(*FRAMES) + END_OF_BODY
DAMAGED = st.one_of(
    st.tuples(st.integers(0, len(BODY) - 1), st.integers(1, 255)).map(
        lambda flip: BODY[: flip[0]] + bytes([BODY[flip[0]] ^ flip[1]]) + BODY[flip[0] + 1 :]
    ),
    st.tuples(st.integers(1, len(STREAM)), st.sampled_from([b"", END_OF_BODY])).map(
        lambda cut: chunks(STREAM[: cut[0]]) + cut[1]
    ),
)


def test_a_damaged_stream_is_never_half_an_answer() -> None:
    """Cut anywhere, ended in any way, a byte changed anywhere: a typed error, or the whole reply."""
    with Peer() as peer:

        @settings(max_examples=100, deadline=None)
        @example(body=BODY, ending="fin")
        @given(body=DAMAGED, ending=st.sampled_from(["fin", "rst"]))
        def damaged(body: bytes, ending: str) -> None:
            peer.answer, peer.ending = STREAM_HEAD + body, ending
            # A wire of its own: one that is kept might go out on the connection that the peer is just ending.
            wire = make_wire(peer.url)
            try:
                reply = wire.converse(make_attempt(), asking())
            except ModelError:
                # All of it came, and came to an end: nothing is damaged, and nothing may be refused.
                assert (body, ending) != (BODY, "fin")
                return
            finally:
                wire.close()
            assert (reply.text, reply.stop_reason) == ("the whole answer", "end_turn")
            assert reply.usage in (None, Usage(1, 2))

        damaged()
