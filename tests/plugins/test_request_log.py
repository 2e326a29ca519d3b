"""The request log: the line that closes a turn, what is in it, and what never is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from log_support import SECRET, Lines, Persistent
from support import MODELS, Toolkit, asks, failure, make_runtime, make_settings, make_turn, says, tool

from plugins.request_log import RequestLog
from rom_core import hookspecs
from rom_core.errors import ModelRefused, ModelThrottled, QueueFull, RomError
from rom_core.events import TurnFinished
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.telemetry.accounts import TurnAccount
from rom_core.turn_values import Usage


def test_one_line_closes_a_turn_with_all_that_is_needed_to_judge_it(written: Lines) -> None:
    """Status, stop reason, iterations, tool calls, retries, fallback, waits, first delta, tokens, cost, ids."""
    runtime, _ = make_runtime(
        failure(ModelThrottled),
        failure(ModelThrottled),
        asks(("look", {}), ("nothing", {})),
        says("done"),
        plugins={"request_log": RequestLog(), "p": Persistent(), "kit": Toolkit(tool())},
    )
    turn = make_turn(runtime)
    turn.queue_wait = 1.5
    turn.clock.sleep(1.5, turn.cancel.event)
    runtime.run(turn)
    closing = [line for line in written() if line["event"] == "turn.finished"]
    assert len(closing) == 1
    line = closing[0]
    told = {
        "trace_id": "trace",
        "request_id": "req",
        "turn_id": turn.id,
        "conversation_id": "conv-1",
        "cohort": "stable",
        "status": "ok",
        "http_status": 200,
        "stop_reason": "end_turn",
        "model": "anthropic.second",
        "degraded": True,
        "iterations": 2,
        "tool_calls": 2,
        "tool_errors": 1,
        "model_requests": 4,
        "retries": 1,
        "fallbacks": 1,
        "attempts": [
            "anthropic.first: throttled",
            "anthropic.first: throttled",
            "anthropic.second: ok",
            "anthropic.second: ok",
        ],
        "duration": 3.5,
        "queue_wait": 1.5,
        "retry_wait": 2.0,
        "overhead": 0.0,
        "first_delta": 3.5,
        "input_tokens": 20,
        "output_tokens": 10,
        "usage_unknown": 0,
        "cost_usd": 0.00021,
        "flags_version": 1,
        "level": "info",
    }
    assert {key: line[key] for key in told} == told


def test_each_figure_of_the_closing_line_stands_under_its_own_name(written: Lines) -> None:
    """All of its fields, in their order, with values of which no two are alike. Seconds are rounded to millionths."""
    runtime, _ = make_runtime(plugins={"request_log": RequestLog()})
    turn = make_turn(runtime, stream=True, key_name="ana", mode="exhaustive")
    turn.route, turn.cohort, turn.degraded, turn.queue_wait = "/api/chat", "canary", True, 0.125
    turn.iterations, turn.model_requests, turn.usage = 6, 5, Usage(11, 12, 13, 14)
    turn.stash["request_log"] = TurnAccount(
        attempts=[("first", "throttled"), ("second", "ok")],
        retries=2,
        fallbacks=3,
        retry_wait=0.25,
        model_time=0.5000001,
        first_delta=0.75,
        usage_unknown=4,
        cost=0.00000123,
        cost_uncached=0.00000456,
        cache_rules=["first_use"],
        _ran=[(0.0, 0.0625)],
    )
    runtime.emit(TurnFinished(turn, turn.result("end_turn"), None, 10.0))
    (line,) = written()
    del line["timestamp"]
    assert list(line.items()) == [
        ("level", "info"),
        ("logger", "rom.events"),
        ("event", "turn.finished"),
        ("trace_id", "trace"),
        ("request_id", "req"),
        ("turn_id", turn.id),
        ("cohort", "canary"),
        ("conversation_id", "conv-1"),
        ("route", "/api/chat"),
        ("api_key", "ana"),
        ("mode", "exhaustive"),
        ("stream", True),
        ("flags_version", 1),
        ("status", "ok"),
        ("http_status", 200),
        ("stop_reason", "end_turn"),
        ("model", "anthropic.first"),
        ("degraded", True),
        ("iterations", 6),
        ("tool_calls", 0),
        ("tool_errors", 0),
        ("model_requests", 5),
        ("retries", 2),
        ("fallbacks", 3),
        ("attempts", ["first: throttled", "second: ok"]),
        ("duration", 10.0),
        ("queue_wait", 0.125),
        ("retry_wait", 0.25),
        ("model_time", 0.5),
        ("tool_time", 0.0625),
        ("overhead", 9.0625),
        ("first_delta", 0.75),
        ("input_tokens", 11),
        ("output_tokens", 12),
        ("cache_read_tokens", 13),
        ("cache_write_tokens", 14),
        ("usage_unknown", 4),
        ("cost_usd", 0.00000123),
        ("cost_uncached_usd", 4.56e-06),
        ("cache_rules", ["first_use"]),
    ]


def test_whatever_a_client_names_itself_the_closing_line_is_one_line_of_json(written: Lines) -> None:
    """Quotes, line breaks and backslashes in ids and names change nothing of its form; its fields keep their types."""
    odd = 'a"b\\c\nd\x00é', "}\t", '", "status": "error'
    runtime, _ = make_runtime(says("ok"), plugins={"request_log": RequestLog()})
    turn = make_turn(runtime, key_name=odd[0])
    turn.route, turn.request_id = odd[1:]
    runtime.run(turn)
    (line,) = written()
    assert (line["api_key"], line["route"], line["request_id"], line["status"]) == (*odd, "ok")
    assert (line["stream"], line["degraded"], line["first_delta"], line["attempts"]) == (
        False,
        False,
        0.0,
        ["anthropic.first: ok"],
    )
    assert list(line)[:8] == [
        "timestamp",
        "level",
        "logger",
        "event",
        "trace_id",
        "request_id",
        "turn_id",
        "cohort",
    ]


def test_the_closing_line_says_what_a_model_was_not_sent(written: Lines) -> None:
    """A parameter that the model does not take is left out for it, and the line names it."""
    runtime, _ = make_runtime(
        says("ok"),
        says("ok"),
        plugins={"request_log": RequestLog()},
        MODELS=[{**MODELS[0], "sampling": False}],
        MODEL_FALLBACKS=[],
    )
    runtime.run(make_turn(runtime, temperature=0.2))
    runtime.run(make_turn(runtime))
    first, second = (line for line in written() if line["event"] == "turn.finished")
    assert first["left_out"] == ["temperature"]
    assert "left_out" not in second


def test_our_status_and_the_one_of_bedrock_are_apart(written: Lines) -> None:
    """`http_status` is what the client got, `aws_status` what Bedrock answered: its 429 is no 429 of ours."""
    runtime, _ = make_runtime(failure(ModelThrottled, http_status=429), plugins={"request_log": RequestLog()})
    with pytest.raises(ModelThrottled) as raised:
        runtime.run(make_turn(runtime))
    failed, closing = (line for line in written() if line["event"] in ("attempt.failed", "turn.finished"))
    assert (closing["http_status"], closing["aws_status"]) == (raised.value.status, 429)
    assert raised.value.status != 429
    assert failed["aws_status"] == 429
    assert "http_status" not in failed


@pytest.mark.parametrize(
    ("error", "status", "level", "code"),
    [
        (ModelRefused("no", kind="ValidationException", aws_code="ValidationException"), "error", "warning", None),
        (ModelThrottled(kind="ThrottlingException"), "error", "warning", None),
        (RuntimeError(SECRET), "error", "error", "internal_error"),
    ],
)
def test_a_failed_turn_says_why(written: Lines, error: Exception, status: str, level: str, code: str | None) -> None:
    """The code of the answer and the kind of the last cause; an unforeseen exception is an error of ours."""
    runtime, _ = make_runtime(error, plugins={"request_log": RequestLog()})
    with pytest.raises(RomError):
        runtime.run(make_turn(runtime))
    line = written()[-1]
    assert (line["event"], line["status"], line["level"]) == ("turn.finished", status, level)
    assert line["stop_reason"] is None
    assert line["code"] == (code or getattr(error, "code", None))
    assert line.get("kind") == getattr(error, "kind", None)
    assert SECRET not in json.dumps(written(), ensure_ascii=False)


def test_refused_and_cancelled_turns_are_told_apart(written: Lines) -> None:
    """Our own refusal is `rejected`, a client that left `cancelled`; neither is an error."""

    class Refuses:
        @hookimpl(wrapper=True)
        def rom_turn(self) -> Any:
            raise QueueFull
            yield

    runtime, _ = make_runtime(says("ok"), plugins={"request_log": RequestLog(), "refuses": Refuses()})
    with pytest.raises(QueueFull):
        runtime.run(make_turn(runtime))
    runtime, _ = make_runtime(says("ok"), plugins={"request_log": RequestLog()})
    turn = make_turn(runtime)
    turn.cancel.cancel("client_gone")
    with pytest.raises(RomError):
        runtime.run(turn)
    assert [(line["status"], line["http_status"]) for line in written()] == [("rejected", 503), ("cancelled", 499)]


def test_switched_off_it_writes_nothing(written: Lines) -> None:
    """LOGGING_ENABLED=false removes every line of it."""
    runtime, _ = make_runtime(says("ok"), plugins={"request_log": RequestLog()}, LOGGING_ENABLED=False)
    runtime.run(make_turn(runtime))
    assert written() == []
    assert make_settings(Catalogue.of(hookspecs, request_log=RequestLog())).LOGGING_ENABLED is True
