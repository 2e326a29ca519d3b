"""Metrics: figures that agree exactly with what happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import structlog
from metrics_support import FIRST, Persistent, finished, measured, total, value
from support import Toolkit, asks, failure, make_settings, make_turn, says, tool

from plugins.breaker import Breaker
from plugins.metrics.figures import DIRECTIONS
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelRefused, ModelServerError, ModelThrottled, RomError
from rom_core.events import (
    AlertSent,
    CapacityChanged,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitReported,
    Event,
    GuardrailTripped,
    GuardrailWarned,
    QueueEntered,
    QueueLeft,
    RunFinished,
    SettingsChanged,
)
from rom_core.flags import Author
from rom_core.markers import hookimpl
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, Usage


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_with_retries_a_fallback_and_a_tool_counts_exactly(stream: bool) -> None:
    """Each request on the wire once, by model and outcome; tokens and cost once per request that was billed."""

    def billed(reply: ModelReply, usage: Usage) -> Any:
        def step(attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
            attempt.usage = usage
            return ModelReply(reply.content, reply.stop_reason, attempt.model.alias, usage)

        return step

    runtime, _ = measured(
        failure(ModelThrottled),
        failure(ModelServerError),
        failure(ModelThrottled),
        billed(asks(("look", {}), ("nothing", {})), Usage(100, 10, 30, 40)),
        billed(says("done"), Usage(200, 20, 0, 7)),
        plugins={"p": Persistent(), "kit": Toolkit(tool())},
    )
    runtime.run(make_turn(runtime, sink=(lambda *_: None) if stream else None))
    runtime.stop()
    second = {"model": "anthropic.second"}
    assert value(runtime, "rom_model_attempts_total", model=FIRST, outcome="throttled") == 2
    assert value(runtime, "rom_model_attempts_total", model=FIRST, outcome="server_error") == 1
    assert value(runtime, "rom_model_attempts_total", **second, outcome="ok") == 2
    assert total(runtime, "rom_model_attempts_total") == 5
    assert [value(runtime, "rom_bedrock_tokens_total", **second, direction=d) for d in DIRECTIONS] == [300, 30, 30, 47]
    assert total(runtime, "rom_bedrock_tokens_total") == 407
    assert total(runtime, "rom_bedrock_usage_unknown_total") == 0
    assert value(runtime, "rom_bedrock_cost_usd_total", **second) == pytest.approx((300 * 3 + 30 * 15) / 1e6)
    assert value(runtime, "rom_bedrock_cost_uncached_usd_total", **second) == pytest.approx((377 * 3 + 30 * 15) / 1e6)
    assert value(runtime, "rom_retries_total", model=FIRST, outcome="throttled") == 1
    assert total(runtime, "rom_retries_total") == 2
    assert value(runtime, "rom_retry_wait_seconds_total") == 4
    assert value(runtime, "rom_fallbacks_total", from_model=FIRST, to_model="anthropic.second") == 1
    assert value(runtime, "rom_tool_calls_total", tool="look", outcome="success") == 1
    assert value(runtime, "rom_tool_calls_total", tool="unknown", outcome="unknown_tool") == 1
    assert value(runtime, "rom_turns_stopped_total", stop_reason="end_turn") == 1
    assert value(runtime, "rom_turns_degraded_total", cohort="stable") == 1
    assert value(runtime, "rom_turn_iterations_sum", cohort="stable") == 2


def test_usage_that_never_came_is_counted_and_never_estimated() -> None:
    """An answer without usage counts as unknown; a refusal, which is not billed, does not."""
    runtime, _ = measured(ModelReply(({"text": "x"},), "end_turn", FIRST), failure(ModelRefused))
    runtime.run(make_turn(runtime))
    with pytest.raises(RomError):
        runtime.run(make_turn(runtime))
    runtime.stop()
    assert value(runtime, "rom_bedrock_usage_unknown_total", model=FIRST) == 1
    assert total(runtime, "rom_bedrock_tokens_total") == 0


def test_overhead_is_apart_from_model_tools_and_queue() -> None:
    """The parts of a turn's time add up to its duration."""
    clock = FakeClock()

    def slow(_attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        clock.advance(8)
        return says("ok")

    class Hesitant:
        @hookimpl(wrapper=True)
        def rom_turn(self) -> Any:
            clock.advance(0.5)
            return (yield)

    runtime, _ = measured(slow, plugins={"h": Hesitant()}, clock=clock)
    turn = make_turn(runtime)
    clock.advance(3)
    turn.queue_wait = 3
    runtime.run(turn)
    runtime.stop()
    parts = {part: value(runtime, "rom_turn_time_seconds_total", part=part) for part in ("model", "queue", "own")}
    assert parts == {"model": 8, "queue": 3, "own": 0.5}
    assert value(runtime, "rom_overhead_seconds_sum", cohort="stable") == 0.5
    assert value(runtime, "rom_first_delta_seconds_sum", cohort="stable") == 11.5


def test_requests_by_route_status_and_cohort() -> None:
    """One count and one duration for each; our own refusals also by reason."""
    runtime, _ = measured()
    for event in (
        finished(),
        finished(cohort="canary"),
        finished(status="rejected", code="queue_full"),
        finished(status="rejected", code="queue_full"),
        finished(status="cancelled"),
    ):
        runtime.emit(event)
    runtime.stop()
    counted = {"route": "/api/chat", "status": "rejected", "cohort": "stable"}
    assert value(runtime, "rom_requests_total", **counted) == 2
    assert value(runtime, "rom_requests_duration_seconds_sum", **counted) == 0.5
    assert value(runtime, "rom_requests_total", route="/api/chat", status="ok", cohort="canary") == 1
    assert total(runtime, "rom_requests_total") == total(runtime, "rom_requests_duration_seconds_count") == 5
    assert value(runtime, "rom_rejections_total", code="queue_full") == total(runtime, "rom_rejections_total") == 2


def ended(state: str, status: str, *, cohort: str = "stable", exhaustive: bool = False, **more: Any) -> RunFinished:
    """A run that has ended."""
    return RunFinished("run_1", state, status, "/api/chat", cohort, exhaustive, **more)


def test_a_turn_that_goes_on_by_itself_counts_as_it_ends() -> None:
    """That it was taken is no good answer: an outage would be hidden by the requests that asked for it."""
    runtime, _ = measured()
    for event in (
        replace(finished(), background=True),
        ended("done", "ok", duration=4.0, cohort="canary"),
        ended("done", "ok", duration=400.0, exhaustive=True),
        ended("failed", "error", duration=2.0, code="upstream_error"),
        ended("interrupted", "error", code="run_interrupted"),
        ended("cancelled", "cancelled", code="cancelled"),
        ended("failed", "rejected", code="queue_full"),
    ):
        runtime.emit(event)
    runtime.stop()
    counted = {
        (status, cohort): value(runtime, "rom_requests_total", route="/api/chat", status=status, cohort=cohort)
        for status, cohort in (("ok", "canary"), ("ok", "stable"), ("error", "stable"), ("cancelled", "stable"))
    }
    assert counted == {("ok", "canary"): 1, ("ok", "stable"): 1, ("error", "stable"): 2, ("cancelled", "stable"): 1}
    assert total(runtime, "rom_requests_total") == total(runtime, "rom_runs_total") == 6
    assert total(runtime, "rom_requests_duration_seconds_sum") == 6
    assert value(runtime, "rom_rejections_total", code="queue_full") == 1


def test_the_state_of_a_circuit_is_what_the_breaker_said_last() -> None:
    """Opened, half-open, closed; and closed again once the breaker is switched off, which forgets its circuits."""
    breaker = Breaker()
    runtime, _ = measured(plugins={"breaker": breaker}, METRICS_ENABLED=True, CIRCUIT_BREAKER_ENABLED=True)

    def states() -> list[float | None]:
        return [value(runtime, "rom_circuit_state", model=model) for model in (FIRST, "anthropic.second")]

    assert states() == [0, 0]
    breaker.force(FIRST, "open", Author("ops"))
    assert states() == [2, 0]
    runtime.emit(CircuitHalfOpened("anthropic.second"))
    assert states() == [2, 1]
    settings = make_settings(runtime.catalogue, METRICS_ENABLED=True, CIRCUIT_BREAKER_ENABLED=False)
    runtime.swap(runtime.build(settings))
    breaker.rom_event(SettingsChanged(2, {"CIRCUIT_BREAKER_ENABLED": (True, False)}, "ops", "", ""))
    assert states() == [0, 1]
    runtime.stop()
    assert total(runtime, "rom_circuit_transitions_total", to="open") == 1


def test_a_circuit_that_changed_while_nobody_counted_is_not_said_to_be_open() -> None:
    """The last state known may be over, and would keep an alert firing until the circuit changes again."""
    runtime, _ = measured()
    runtime.emit(CircuitOpened(FIRST, "failures", 5, 30.0))
    runtime.emit(SettingsChanged(3, {"METRICS_ENABLED": (False, True)}, "ops", "", ""))
    assert value(runtime, "rom_circuit_state", model=FIRST) == 0
    runtime.emit(CircuitReported(FIRST, "open", forced=True))
    runtime.stop()
    assert value(runtime, "rom_circuit_state", model=FIRST) == 2
    assert value(runtime, "rom_circuit_transitions_total", model=FIRST, to="open") == 1


def test_the_circuit_of_a_model_that_is_gone_is_exposed_no_more() -> None:
    """Its last state would stay for ever, and an alert on an open circuit with it."""
    runtime, metrics = measured()
    metrics.figures.circuit_state(FIRST).set(2)
    metrics.figures.circuit_state("removed").set(2)
    assert value(runtime, "rom_circuit_state", model=FIRST) == 2
    assert value(runtime, "rom_circuit_state", model="removed") is None
    runtime.stop()


def test_a_fallback_to_any_model_further_down_the_chain_is_there_as_zero() -> None:
    """The models between may be held open: the first fallback of all may skip some."""
    runtime, _ = measured()
    runtime.stop()
    first, second, third = (f"anthropic.{place}" for place in ("first", "second", "third"))
    for pair in ((first, second), (first, third), (second, third)):
        assert value(runtime, "rom_fallbacks_total", from_model=pair[0], to_model=pair[1]) == 0
    assert value(runtime, "rom_fallbacks_total", from_model=third, to_model=first) is None


def test_figures_of_the_other_plugins_come_from_their_events() -> None:
    """Circuits, queue, guardrails, settings, capacity, alerts: each change is counted."""
    runtime, _ = measured()
    turn = make_turn(runtime)
    events: list[Event] = [
        CircuitOpened(FIRST, "failures", 5, 30.0),
        CircuitHalfOpened(FIRST),
        CircuitClosed(FIRST, "probe_succeeded"),
        CircuitOpened("anthropic.second", "failures", 5, 30.0),
        QueueEntered(turn, 1, 6),
        QueueEntered(turn, 2, 6),
        QueueLeft(turn, 4.0, "started", 1, 6),
        GuardrailWarned(turn, 12, 25),
        GuardrailTripped(turn, "guardrail_cycle", 7, (("look",),)),
        GuardrailTripped(turn, "made up", 7, (("look",),)),
        SettingsChanged(2, {"RETRY_ENABLED": (False, True)}, "ops", "", ""),
        SettingsChanged(3, {"METRICS_ENABLED": (False, True)}, "ops", "", ""),
        CapacityChanged("normal", "critical", 0.95, None, 0, None),
        AlertSent("capacity", "delivered"),
    ]
    for event in events:
        runtime.emit(event)
    runtime.stop()
    assert value(runtime, "rom_circuit_transitions_total", model=FIRST, to="half_open") == 1
    assert value(runtime, "rom_queue_depth") == 1
    assert value(runtime, "rom_queue_wait_seconds_sum", cohort="stable") == 4
    assert value(runtime, "rom_guardrail_warnings_total") == 1
    assert value(runtime, "rom_guardrail_trips_total", reason="guardrail_cycle") == 1
    assert value(runtime, "rom_guardrail_trips_total", reason="other") == 1
    assert value(runtime, "rom_flag_changes_total") == 2
    assert value(runtime, "rom_metrics_resumed_total") == 1
    assert value(runtime, "rom_capacity_changes_total", to="critical") == 1
    assert value(runtime, "rom_alerts_total", outcome="delivered") == 1


def test_the_last_counts_are_in_the_log() -> None:
    """Perhaps nobody has scraped them since the last turn: counters above zero, named as they are exposed."""
    runtime, _ = measured()
    runtime.emit(finished())
    with structlog.testing.capture_logs() as lines:
        runtime.stop()
    [final] = [line for line in lines if line["event"] == "metrics.final"]
    counters = final["counters"]
    assert counters['rom_requests_total{cohort="stable",route="/api/chat",status="ok"}'] == 1
    assert all(name.startswith("rom_") and value > 0 for name, value in counters.items())


def test_two_applications_have_two_registries() -> None:
    """What one counts the other does not see."""
    (first, _), (second, _) = measured(), measured()
    first.run(make_turn(first))
    first.stop()
    second.stop()
    assert (total(first, "rom_model_attempts_total"), total(second, "rom_model_attempts_total")) == (1, 0)
