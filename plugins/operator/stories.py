"""The story of each turn: what was done when, as numbers and names that are no content; the latest in memory.

A person's words, a model's, a tool's input and result are in none of them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rom_core.concurrency.clock import iso
from rom_core.errors import ModelError, RomError
from rom_core.events import (
    AttemptAnswered,
    AttemptFinished,
    AttemptStarted,
    Event,
    FallbackUsed,
    LoopStopped,
    QueueEntered,
    QueueLeft,
    RetryScheduled,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from rom_core.telemetry.accounts import cost_usd
from rom_core.telemetry.outcome import status_of
from rom_core.turn import ToolCall, Turn
from rom_core.turn_values import Usage

MAX_TURNS = 1000
# Of their own: a flood of refusals takes no other turn's place.
MAX_REFUSED = 200
# Of one turn, and of all together: a step takes some 400 bytes.
MAX_STEPS = 200
MAX_ALL_STEPS = 10_000
_OWN = "operator"
_HEAD = ("conversation_id", "route", "api_key", "mode", "stream", "cohort", "flags_version")

Step = dict[str, Any]


@dataclass(slots=True)
class Story:
    """One turn. Times of `steps` are in seconds, `start` counts from the acceptance of the request.

    `head` is what is known from the beginning, as in _HEAD, and when it began in seconds since the epoch; `end` what is
    known when it has ended, None while it runs.
    """

    turn_id: str
    request_id: str
    trace_id: str
    head: tuple[Any, ...]
    began: float
    steps: list[Step] = field(default_factory=list)
    steps_left_out: int = 0
    cost: float = 0.0
    number: int = 0
    end: dict[str, Any] | None = None
    _open: dict[int, Step] = field(default_factory=dict)

    def add(self, kind: str, start: float, part: object = None, /, **more: Any) -> None:
        """One more step; `part` is what will be told of again when it ends."""
        step = {"kind": kind, "start": round(start, 3), "duration": None} | more
        if part is not None:
            self._open[id(part)] = step
        if len(self.steps) < MAX_STEPS:
            self.steps.append(step)
        else:
            self.steps_left_out += 1

    def close(self, part: object, duration: float, **more: Any) -> bool:
        """The step of `part` has ended; False if there is none."""
        step = self._open.pop(id(part), None)
        if step is not None:
            step.update(duration=round(duration, 3), **more)
        return step is not None

    def matches(self, id_: str) -> bool:
        """Whether one of its ids begins so."""
        return any(own.startswith(id_) for own in (self.request_id, self.trace_id, self.turn_id))


class Stories:
    """An observer's memory of turns: those that run, and the last MAX_TURNS. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Turn, Story]] = {}
        self._kept: deque[Story] = deque()
        self._refused: deque[Story] = deque()
        self._steps = 0
        self._number = 0
        self.forgotten = 0

    def observe(self, event: Event) -> None:
        """Take it into account."""
        kind = type(event)
        if kind is TurnStarted:
            self._begin(event.turn)  # type: ignore[attr-defined]
        elif kind is TurnFinished:
            self._finish(event)  # type: ignore[arg-type]
        elif (known := _NOTES.get(kind)) is not None:
            turn_of, note = known
            turn = turn_of(event)
            story: Story | None = turn.stash.get(_OWN)
            if story is not None:
                note(story, turn, event)

    def running(self, id_: str = "") -> list[dict[str, Any]]:
        """The turns that run now, oldest first, as `described` has them."""
        with self._lock:
            running = list(self._running.values())
        return [_described(story, turn) for turn, story in running if not id_ or story.matches(id_)]

    def lately(self, limit: int, before: int | None = None, id_: str = "") -> list[dict[str, Any]]:
        """At most `limit` turns that have ended, newest first, of those with a number below `before`."""
        with self._lock:
            stories = sorted((*self._kept, *self._refused), key=lambda story: -story.number)
        chosen = (s for s in stories if (before is None or s.number < before) and (not id_ or s.matches(id_)))
        return [_described(story) for story, _ in zip(chosen, range(limit), strict=False)]

    def _begin(self, turn: Turn) -> None:
        request = turn.request
        story = Story(
            turn.id,
            turn.request_id,
            turn.trace_id,
            (
                request.conversation_id,
                turn.route,
                request.key_name,
                request.mode,
                request.stream,
                turn.cohort,
                turn.snapshot.version,
            ),
            turn.clock.time() - turn.deadline.elapsed(),
        )
        turn.stash[_OWN] = story
        with self._lock:
            self._running[turn.id] = (turn, story)

    def _finish(self, event: TurnFinished) -> None:
        turn = event.turn
        story: Story | None = turn.stash.pop(_OWN, None)
        if story is None:
            return
        status = status_of(200, event.error)
        story.end = {
            "status": status,
            **_code(event.error),
            "stop_reason": None if event.result is None else event.result.stop_reason,
            "duration": round(event.duration, 3),
            **_state(turn),
        }
        story._open.clear()
        with self._lock:
            self._running.pop(turn.id, None)
            self._number += 1
            story.number = self._number
            kept, most = (self._refused, MAX_REFUSED) if status == "rejected" else (self._kept, MAX_TURNS)
            kept.append(story)
            self._steps += len(story.steps)
            while len(kept) > most or (self._steps > MAX_ALL_STEPS and len(kept) > 1):
                self._steps -= len(kept.popleft().steps)
                self.forgotten += 1


def _described(story: Story, running: Turn | None = None) -> dict[str, Any]:
    """A story as GET /admin/turns shows it; of one that runs, as it stands."""
    end = story.end
    if end is None:
        elapsed = 0.0 if running is None else running.deadline.elapsed()
        state = {"tokens": Usage()} if running is None else _state(running)
        end = {"status": "running", "code": "", "kind": "", "stop_reason": None, "duration": round(elapsed, 3), **state}
    return {
        "number": story.number,
        "id": story.turn_id,
        "request_id": story.request_id,
        "trace_id": story.trace_id,
        **dict(zip(_HEAD, story.head, strict=True)),
        "started": iso(story.began),
        **end,
        "tokens": end["tokens"].as_dict(),
        "cost_usd": round(story.cost, 8),
        "steps": [_shown(step) for step in list(story.steps)],
        "steps_left_out": story.steps_left_out,
    }


def _state(turn: Turn) -> dict[str, Any]:
    return {
        "model": turn.model,
        "degraded": turn.degraded,
        "iterations": turn.iterations,
        "queue_wait": round(turn.queue_wait, 3),
        "tokens": turn.usage,
    }


def _shown(step: Step) -> Step:
    tokens = step.get("tokens")
    return step | {"tokens": tokens.as_dict()} if tokens is not None else dict(step)


def _code(error: RomError | None) -> dict[str, str]:
    if error is None:
        return {"code": "", "kind": ""}
    return {"code": error.code, "kind": error.kind if isinstance(error, ModelError) else ""}


def _since(turn: Turn, moment: float | None = None) -> float:
    """Seconds from the acceptance of the request to `moment` on the turn's clock, or now."""
    return (turn.clock.monotonic() if moment is None else moment) - turn.deadline.started


# -- notes -----------------------------------------------------------------------------------------------------------


def _queue_entered(story: Story, turn: Turn, event: QueueEntered) -> None:
    story.add("queue", _since(turn), event.turn, outcome="waiting")


def _queue_left(story: Story, _turn: Turn, event: QueueLeft) -> None:
    story.close(event.turn, event.waited, outcome=event.outcome)


def _attempt_started(story: Story, turn: Turn, event: AttemptStarted) -> None:
    attempt = event.attempt
    story.add(
        "attempt",
        _since(turn, attempt.started_at),
        attempt,
        iteration=attempt.call.iteration,
        number=attempt.number,
        model=attempt.model.alias,
        probe=attempt.probe,
        outcome="running",
    )


def _attempt_finished(story: Story, turn: Turn, event: AttemptFinished) -> None:
    attempt, usage = event.attempt, event.attempt.usage
    first = None if attempt.first_delta_at is None else round(_since(turn, attempt.first_delta_at), 3)
    if usage is not None:
        story.cost += cost_usd(attempt.model, usage)
    code = "" if event.error is None else event.error.code
    story.close(attempt, event.duration, outcome=event.outcome, code=code, first_delta=first, tokens=usage)


def _attempt_answered(story: Story, turn: Turn, event: AttemptAnswered) -> None:
    attempt = event.attempt
    if not story.close(attempt, 0.0, outcome="answered_by_plugin"):
        iteration, model = attempt.call.iteration, attempt.model.alias
        story.add(
            "attempt",
            _since(turn),
            iteration=iteration,
            number=attempt.number,
            model=model,
            probe=False,
            outcome="answered_by_plugin",
        )


def _retry_scheduled(story: Story, turn: Turn, event: RetryScheduled) -> None:
    if event.model == turn.model:
        wait = round(event.after_seconds, 3)
        story.add("retry", _since(turn), model=event.model, code=event.error.code, duration=wait)


def _fallback_used(story: Story, turn: Turn, event: FallbackUsed) -> None:
    story.add("fallback", _since(turn), model=event.from_model, to_model=event.to_model)


def _loop_stopped(story: Story, turn: Turn, event: LoopStopped) -> None:
    story.add("stop", _since(turn), reason=event.stop.reason)


def _tool_started(story: Story, turn: Turn, event: ToolStarted) -> None:
    call = event.tool_call
    story.add("tool", _since(turn), call, iteration=call.iteration, name=_name(call), outcome="running")


def _tool_finished(story: Story, turn: Turn, event: ToolFinished) -> None:
    call = event.tool_call
    result = call.result
    more: dict[str, Any] = {"outcome": "error" if result is None else result.status}
    if call.started_at is not None:
        more["start"] = round(_since(turn, call.started_at), 3)
    if result is not None and result.reason:
        more["reason"] = result.reason
    story.close(call, call.duration, **more)


def _name(call: ToolCall) -> str:
    # The name of a tool that does not exist is the model's own words.
    return call.tool.name if call.tool is not None else "unknown"


def _own(event: Any) -> Turn:
    turn: Turn = event.turn
    return turn


def _of_attempt(event: Any) -> Turn:
    turn: Turn = event.attempt.call.turn
    return turn


def _of_call(event: Any) -> Turn:
    turn: Turn = event.call.turn
    return turn


def _of_tool(event: Any) -> Turn:
    turn: Turn = event.tool_call.turn
    return turn


_NOTES: dict[type[Event], tuple[Callable[[Any], Turn], Callable[[Story, Turn, Any], None]]] = {
    QueueEntered: (_own, _queue_entered),
    QueueLeft: (_own, _queue_left),
    AttemptStarted: (_of_attempt, _attempt_started),
    AttemptFinished: (_of_attempt, _attempt_finished),
    AttemptAnswered: (_of_attempt, _attempt_answered),
    RetryScheduled: (_of_call, _retry_scheduled),
    FallbackUsed: (_of_call, _fallback_used),
    LoopStopped: (lambda event: event.iteration.turn, _loop_stopped),
    ToolStarted: (_of_tool, _tool_started),
    ToolFinished: (_of_tool, _tool_finished),
}
NOTED = frozenset({TurnStarted, TurnFinished, *_NOTES})
"""The types of events that a story is made of."""
