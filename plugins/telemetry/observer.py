"""From our events to spans and metrics: one method for each event that says something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from plugins.telemetry import conventions
from plugins.telemetry.around import SPAN_OF
from plugins.telemetry.content import call_content, tool_content
from plugins.telemetry.settings import OLD_NAMES
from plugins.telemetry.spans import Finished, Happening
from rom_core.errors import RomError
from rom_core.events import (
    AnswerRestarted,
    AttemptFinished,
    Event,
    FallbackUsed,
    GuardrailTripped,
    LoopStopped,
    ModelCallFinished,
    ModelCallStarted,
    RetryDeclined,
    RetryScheduled,
    ToolFinished,
    TurnFinished,
    TurnStarted,
)
from rom_core.telemetry.outcome import status_of
from rom_core.turn import ModelCall, ToolCall, Turn

if TYPE_CHECKING:
    from plugins.telemetry.meters import Meters
    from plugins.telemetry.spans import Spans
    from rom_core.concurrency.clock import Clock

OWN = "telemetry"


@dataclass(slots=True)
class _TurnSoFar:
    """What has to be remembered of a turn while it runs."""

    began: float
    calls: int = 0
    happenings: list[Happening] = field(default_factory=list)


class Observer:
    """Makes spans and metrics of events; `setting` reads a setting of the process."""

    def __init__(self, spans: Spans, meters: Meters, clock: Clock, setting: Callable[[str], Any]) -> None:
        self._spans, self._meters, self._clock, self._setting = spans, meters, clock, setting
        self._steps: dict[type[Event], Callable[[Any], None]] = {
            TurnStarted: self._turn_started,
            ModelCallStarted: self._model_call_started,
            AttemptFinished: self._attempt_finished,
            RetryScheduled: self._retry_scheduled,
            RetryDeclined: self._retry_declined,
            AnswerRestarted: self._answer_restarted,
            FallbackUsed: self._fallback_used,
            ModelCallFinished: self._model_call_finished,
            ToolFinished: self._tool_finished,
            LoopStopped: self._loop_stopped,
            GuardrailTripped: self._guardrail_tripped,
            TurnFinished: self._turn_finished,
        }

    def observe(self, event: Event) -> None:
        """Take one event; those that say nothing are passed over."""
        step = self._steps.get(type(event))
        if step is not None:
            step(event)
        elif (make := SPAN_OF.get(type(event))) is not None:
            span = make(event, self._clock.monotonic())
            if span is not None:
                self._spans.record(span)

    # -- turns -------------------------------------------------------------------------------------------------------

    def _turn_started(self, event: TurnStarted) -> None:
        event.turn.stash[OWN] = _TurnSoFar(self._clock.monotonic())

    def _loop_stopped(self, event: LoopStopped) -> None:
        self._note(event.iteration.turn, "rom.loop.stopped", {"rom.reason": event.stop.reason})

    def _guardrail_tripped(self, event: GuardrailTripped) -> None:
        said = {"rom.reason": event.reason, "rom.iterations": event.iterations}
        self._note(event.turn, "rom.guardrail.tripped", said)

    def _turn_finished(self, event: TurnFinished) -> None:
        turn, result, error = event.turn, event.result, event.error
        so_far = turn.stash.get(OWN)
        if not isinstance(so_far, _TurnSoFar):
            return
        now = self._clock.monotonic()
        for call in turn.tool_calls:
            if call.result is None:
                self._tool(call, now, conventions.error_type(error), failed=conventions.is_failure(error))
        said = conventions.invocation(error, failed=result is None)
        self._meters.turn(now - so_far.began, so_far.calls, len(turn.tool_calls), said)
        failed = result is None and conventions.is_failure(error)
        more = conventions.invocation_span(turn, result.stop_reason if result is not None else None)
        self._spans.record(
            Finished(
                name=f"invoke_agent {conventions.AGENT}",
                trace_id=turn.trace_id,
                span_id=turn.span.id,
                parent_id=turn.span.parent_id,
                place=turn.span,
                began=so_far.began,
                ended=now,
                attributes=said | more | {"rom.status": status_of(200, error)},
                error=said["error.type"] if failed else None,
                happenings=so_far.happenings,
            )
        )

    # -- model calls -------------------------------------------------------------------------------------------------

    def _model_call_started(self, event: ModelCallStarted) -> None:
        event.call.stash[OWN] = []
        so_far = event.call.turn.stash.get(OWN)
        if isinstance(so_far, _TurnSoFar):
            so_far.calls += 1

    def _attempt_finished(self, event: AttemptFinished) -> None:
        attempt = event.attempt
        said: dict[str, Any] = {
            "rom.attempt.number": attempt.number,
            "rom.attempt.outcome": event.outcome,
            "rom.attempt.duration": event.duration,
            "rom.model": attempt.model.alias,
            "gen_ai.request.model": attempt.model.id,
        }
        if attempt.cache_plan is not None:
            said["rom.cache_rule"] = attempt.cache_plan.rule
        error = event.error
        known = {
            "http.response.status_code": getattr(error, "http_status", None),
            "aws.request_id": getattr(error, "aws_request_id", None),
            "rom.upstream.code": getattr(error, "aws_code", None),
        }
        said |= {name: value for name, value in known.items() if value is not None}
        self._in_call(attempt.call, "rom.attempt.finished", said, error)

    def _retry_scheduled(self, event: RetryScheduled) -> None:
        said = {"rom.model": event.model, "rom.retry.after": event.after_seconds}
        self._in_call(event.call, "rom.retry.scheduled", said, event.error)

    def _answer_restarted(self, event: AnswerRestarted) -> None:
        self._in_call(event.call, "rom.answer.restarted", {}, event.error)

    def _retry_declined(self, event: RetryDeclined) -> None:
        said = {"rom.model": event.model, "rom.reason": event.reason}
        self._in_call(event.call, "rom.retry.declined", said, event.error)

    def _fallback_used(self, event: FallbackUsed) -> None:
        said = {"rom.model.from": event.from_model, "rom.model.to": event.to_model}
        self._in_call(event.call, "rom.fallback.used", said)

    def _model_call_finished(self, event: ModelCallFinished) -> None:
        call, turn, reply = event.call, event.call.turn, event.reply
        now = self._clock.monotonic()
        said = conventions.inference(call, reply, event.error)
        old_names = bool(self._setting(OLD_NAMES))
        self._meters.inference(call, reply, event.duration, said, old_names=old_names)
        failed = reply is None and conventions.is_failure(event.error)
        self._spans.record(
            Finished(
                name=f"chat {said['gen_ai.request.model']}",
                trace_id=turn.trace_id,
                span_id=call.span_id,
                parent_id=turn.span.id,
                place=turn.span,
                began=now - event.duration,
                ended=now,
                attributes=said | conventions.inference_span(call, reply) | call_content(call, reply),
                kind=SpanKind.CLIENT,
                error=said["error.type"] if failed else None,
                happenings=call.stash.get(OWN, ()),
            )
        )

    # -- tools -------------------------------------------------------------------------------------------------------

    def _tool_finished(self, event: ToolFinished) -> None:
        call = event.tool_call
        result = call.result
        error = "" if result is not None and result.status == "success" else "failed"
        if error and result is not None:
            error = result.reason or error
        ended = self._clock.monotonic()
        if call.started_at is not None:
            ended = call.started_at + call.duration
        self._tool(call, ended, error, failed=True)

    def _tool(self, call: ToolCall, ended: float, error: str, *, failed: bool) -> None:
        """One run; what no thread has taken took no time."""
        began = ended if call.started_at is None else call.started_at
        said = conventions.tool_run(call, error)
        self._meters.tool(ended - began, said)
        turn = call.turn
        self._spans.record(
            Finished(
                name=f"execute_tool {said['gen_ai.tool.name']}",
                trace_id=turn.trace_id,
                span_id=call.span_id,
                parent_id=turn.span.id,
                place=turn.span,
                began=began,
                ended=ended,
                attributes=said
                | {"gen_ai.tool.call.id": call.id, "rom.iteration": call.iteration}
                | tool_content(call),
                error=error if error and failed else None,
            )
        )

    # ----------------------------------------------------------------------------------------------------------------

    def _note(self, turn: Turn, name: str, said: dict[str, Any]) -> None:
        so_far = turn.stash.get(OWN)
        if isinstance(so_far, _TurnSoFar):
            so_far.happenings.append(Happening(name, self._clock.monotonic(), said))

    def _in_call(self, call: ModelCall, name: str, said: dict[str, Any], error: RomError | None = None) -> None:
        if error is not None:
            said["error.type"] = conventions.error_type(error)
        call.stash.setdefault(OWN, []).append(Happening(name, self._clock.monotonic(), said))
