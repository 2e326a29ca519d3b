"""The request log: which events have a line, at which level, and with which fields."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest
from log_support import SECRET, Lines, Persistent, at_debug
from support import Toolkit, asks, failure, make_runtime, make_turn, says, tool

from plugins.breaker import Breaker
from plugins.fallback import Fallback
from plugins.request_log import RequestLog
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelRefused, ModelThrottled
from rom_core.events import CircuitOpened, Event, RequestFinished, SettingsChanged
from rom_core.flags import Author
from rom_core.telemetry import log


def finished(route: str = "/api/chat", status: str = "ok", code: str = "", method: str = "POST") -> RequestFinished:
    """An HTTP request that was answered."""
    return RequestFinished(route, method, status, 200, code, "stable", "trace", "req", 0.25)


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
