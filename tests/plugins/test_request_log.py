"""The request log: which line closes a turn, what is in it, and what never is."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest
from log_support import SECRET, Lines, Persistent, at_debug
from support import MODELS, Toolkit, asks, failure, make_runtime, make_settings, make_turn, says, tool

from plugins.breaker import Breaker
from plugins.fallback import Fallback
from plugins.request_log import RequestLog
from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelRefused, ModelThrottled, QueueFull, RomError
from rom_core.events import CircuitOpened, Event, RequestFinished, SettingsChanged, TurnFinished
from rom_core.flags import Author
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.telemetry import log
from rom_core.telemetry.accounts import TurnAccount
from rom_core.turn_values import Usage


def finished(route: str = "/api/chat", status: str = "ok", code: str = "", method: str = "POST") -> RequestFinished:
    """An HTTP request that was answered."""
    return RequestFinished(route, method, status, 200, code, "stable", "trace", "req", 0.25)


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


@at_debug
def test_every_step_of_a_turn_has_its_line_at_debug(written: Lines) -> None:
    """Names are those of the events; attempts and tools carry iteration, attempt, model, tool, duration."""
    runtime, _ = make_runtime(
        asks(("look", {"q": SECRET})),
        says(SECRET),
        plugins={"request_log": RequestLog(), "kit": Toolkit(tool(run=lambda *_: SECRET))},
    )
    runtime.run(make_turn(runtime, SECRET))
    lines = written()
    assert [line["event"] for line in lines] == [
        "turn.started",
        "iteration.started",
        "model_call.started",
        "attempt.started",
        "attempt.finished",
        "model_call.finished",
        "tool.started",
        "tool.finished",
        "iteration.finished",
        "iteration.started",
        "model_call.started",
        "attempt.started",
        "attempt.finished",
        "model_call.finished",
        "iteration.finished",
        "turn.finished",
    ]
    assert {line["trace_id"] for line in lines} == {"trace"}
    attempt, ran = lines[12], lines[7]
    assert (attempt["iteration"], attempt["attempt"], attempt["model"]) == (2, 1, "anthropic.first")
    assert (attempt["outcome"], attempt["duration"], attempt["tokens"]["input_tokens"]) == ("ok", 0.0, 10)
    assert (ran["tool"], ran["status"], ran["iteration"]) == ("look", "success", 1)


def test_a_failed_attempt_has_a_name_of_its_own(written: Lines) -> None:
    """`attempt.failed`, as a warning, with the kind of failure and AWS's request id."""
    runtime, _ = make_runtime(
        failure(ModelThrottled, kind="ThrottlingException", http_status=429, aws_request_id="aws-1"),
        says("ok"),
        plugins={"request_log": RequestLog(), "p": Persistent()},
    )
    runtime.run(make_turn(runtime))
    failed, scheduled = written()[:2]
    assert (failed["event"], failed["level"], failed["outcome"]) == ("attempt.failed", "warning", "throttled")
    assert (failed["kind"], failed["aws_status"], failed["aws_request_id"]) == ("ThrottlingException", 429, "aws-1")
    assert (scheduled["event"], scheduled["after_seconds"]) == ("retry.scheduled", 2.0)


@at_debug
def test_probes_and_good_turns_are_no_noise(written: Lines) -> None:
    """Good probes and pages, a turn with its own line, and what no route is for are DEBUG; the rest INFO or above."""
    runtime, _ = make_runtime(plugins={"request_log": RequestLog()})
    runtime.emit(finished("/admin/status"))
    runtime.emit(finished("/health"))
    runtime.emit(finished("/health", "error"))
    runtime.emit(finished("/assets/{name}"))
    runtime.emit(finished("/assets/{name}", "client_error", "not_found"))
    runtime.emit(finished("unmatched", "client_error", "not_found"))
    runtime.emit(finished("unmatched", "client_error", "foreign_host"))
    runtime.emit(finished("/api/chat", "client_error", "invalid_request"))
    runtime.emit(finished("/api/chat", "error", "internal_error"))
    turn = make_turn(runtime)
    turn.route = "/api/chat"
    runtime.run(turn)
    runtime.emit(finished("/api/chat"))
    levels = [line["level"] for line in written() if line["event"] == "request.finished"]
    assert levels == ["info", "debug", "info", "debug", "info", "debug", "info", "info", "error", "debug"]


def test_a_change_of_settings_is_the_cores_own_line(written: Lines) -> None:
    """It is not written twice; other events come with their plain fields."""
    runtime, _ = make_runtime(plugins={"request_log": RequestLog()})
    runtime.emit(SettingsChanged(7, {"RETRY_ENABLED": (False, True)}, "ops", "incident 12", "t1"))
    runtime.emit(CircuitOpened("anthropic.first", "failures", 5, 30.0))
    (circuit,) = written()
    assert (circuit["event"], circuit["model"], circuit["failures"]) == ("circuit.opened", "anthropic.first", 5)


def test_a_circuit_and_an_exhausted_fallback_tell_their_story(written: Lines) -> None:
    """Every transition is a line with its level and its reason; who forced one and why is in it; fallback.exhausted has
    every model, attempt and cause, and the trace id by which the client's answer is found."""
    clock = FakeClock()
    breaker = Breaker()
    plugins = {"request_log": RequestLog(), "breaker": breaker, "fallback": Fallback()}
    values = {"BREAKER_FAILURES": 1, "MODEL_FALLBACKS": ["anthropic.second"], "PLUGINS": list(plugins)}
    refused = failure(ModelRefused, kind="ServiceQuotaExceededException")
    steps = (failure(ModelThrottled, kind="ThrottlingException"), refused, says("back"))
    runtime, _ = make_runtime(*steps, plugins=plugins, clock=clock, **values)
    for plugin in runtime.catalogue.plugins.values():
        plugin.call("rom_start", runtime=runtime)
    with pytest.raises(ModelRefused):
        runtime.run(make_turn(runtime))
    clock.advance(30)
    runtime.run(make_turn(runtime))
    breaker.force("anthropic.first", "open", Author("ana", "incident 12", "t1"))
    breaker.force("anthropic.first", "auto", Author("ana", "over", "t2"))
    wanted = ("circuit.opened", "circuit.half_opened", "circuit.closed", "fallback.exhausted")
    found = [line for line in written() if line["event"] in wanted]
    circuit = {"model": "anthropic.first"}
    by_itself = {"by": "", "why": "", "trace_id": "trace"}
    story = [
        ["anthropic.first", "throttled", "ThrottlingException"],
        ["anthropic.second", "refused", "ServiceQuotaExceededException"],
    ]
    told: list[dict[str, Any]] = [
        {"event": "circuit.opened", "level": "error", "reason": "failures", "failures": 1, "seconds": 30.0}
        | circuit
        | by_itself,
        {"event": "fallback.exhausted", "level": "warning", "attempts": story, "trace_id": "trace"},
        {"event": "circuit.half_opened", "level": "warning", "trace_id": "trace"} | circuit,
        {"event": "circuit.closed", "level": "warning", "reason": "probe_succeeded"} | circuit | by_itself,
        {"event": "circuit.opened", "reason": "forced", "by": "ana", "why": "incident 12", "trace_id": "t1"} | circuit,
        {"event": "circuit.closed", "reason": "reset", "by": "ana", "why": "over", "trace_id": "t2"} | circuit,
    ]
    assert [{key: line.get(key) for key in expected} for line, expected in zip(found, told, strict=True)] == told


@dataclass(frozen=True, slots=True)
class _Foreign(Event):
    name: ClassVar[str] = "greeting.said"
    count: int
    thing: object
    names: tuple[tuple[str, ...], ...]


def test_events_of_other_plugins_are_logged_without_their_objects(written: Lines) -> None:
    """Numbers, short texts and lists of them; what an object holds is nobody's business."""
    runtime, _ = make_runtime(plugins={"request_log": RequestLog()})
    runtime.emit(_Foreign(3, {"said": SECRET}, (("a", "b"), ("c",))))
    line = written()[0]
    assert (line["event"], line["count"], line["names"], line["level"]) == (
        "greeting.said",
        3,
        [["a", "b"], ["c"]],
        "info",
    )
    assert "thing" not in line


@dataclass(frozen=True, slots=True)
class Clumsy(Event):
    """An event whose fields are called as parts of a line are."""

    name: ClassVar[str] = "elsewhere.clumsy"
    event: str
    level: int
    timestamp: float
    logger: str
    exc_info: bool


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_field_never_takes_the_place_of_a_part_of_the_line(written: Lines, form: Literal["json", "console"]) -> None:
    """Whatever the event of a third party calls its fields, its line is written, and says when and what."""
    stream = io.StringIO()
    log.configure(form, "INFO", stream=stream)
    runtime, _ = make_runtime(plugins={"request_log": RequestLog()})
    runtime.emit(Clumsy("mine", 3, 0.5, "mine", exc_info=True))
    assert not runtime.observer_errors
    text = stream.getvalue()
    assert "elsewhere.clumsy" in text
    assert "Traceback" not in text
    if form == "json":
        line = json.loads(text)
        assert (line["event"], line["level"], line["logger"]) == ("elsewhere.clumsy", "info", "rom.events")
        assert (line["event_"], line["level_"], line["timestamp_"]) == ("mine", 3, 0.5)


def test_switched_off_it_writes_nothing(written: Lines) -> None:
    """LOGGING_ENABLED=false removes every line of it."""
    runtime, _ = make_runtime(says("ok"), plugins={"request_log": RequestLog()}, LOGGING_ENABLED=False)
    runtime.run(make_turn(runtime))
    assert written() == []
    assert make_settings(Catalogue.of(hookspecs, request_log=RequestLog())).LOGGING_ENABLED is True
