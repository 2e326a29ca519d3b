"""The account of one turn: what it cost and where its time went, kept by an observer from the turn's events.

Every observer that needs one keeps its own (in `turn.stash`, under its own name): plugins are independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from rom_core.events import (
    AttemptAnswered,
    AttemptFinished,
    AttemptStarted,
    Event,
    FallbackUsed,
    IterationFinished,
    RetryScheduled,
    ToolFinished,
    ToolStarted,
    TurnFinished,
)
from rom_core.settings import Model
from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
from rom_core.turn_values import Usage

# Outcomes after which Bedrock may have billed tokens that it never told us of. It does not bill what it refuses.
_POSSIBLY_BILLED = ("ok", "truncated", "timeout", "cancelled")
_PER = 1_000_000


def cost_usd(model: Model, usage: Usage, prompt_tokens: int | None = None) -> float:
    """What Bedrock bills for a request of this usage, in USD, by the prices of MODELS.

    The length of a request's prompt may decide its price: the usage of several is priced together only if all are of
    one price band, and `prompt_tokens` those of one of them.
    """
    prices = model.prices(usage.prompt_tokens if prompt_tokens is None else prompt_tokens)
    return (
        usage.input_tokens * prices.price_input
        + usage.output_tokens * prices.price_output
        + usage.cache_read_tokens * prices.price_cache_read
        + (usage.cache_write_tokens - usage.cache_write_1h_tokens) * prices.price_cache_write
        + usage.cache_write_1h_tokens * (prices.price_cache_write_1h or prices.price_cache_write)
    ) / _PER


def uncached_cost_usd(model: Model, usage: Usage, prompt_tokens: int | None = None) -> float:
    """What the same tokens would have cost without prompt caching: all input at the price of input."""
    prices = model.prices(usage.prompt_tokens if prompt_tokens is None else prompt_tokens)
    return (usage.prompt_tokens * prices.price_input + usage.output_tokens * prices.price_output) / _PER


def may_be_billed(attempt: Attempt, outcome: str) -> bool:
    """Whether Bedrock may bill a request that ended so: it was taken, or something came of it."""
    return outcome in _POSSIBLY_BILLED or attempt.first_delta_at is not None


def usage_is_missing(event: AttemptFinished) -> bool:
    """Whether this request may have been billed although its usage never arrived."""
    return event.attempt.usage is None and may_be_billed(event.attempt, event.outcome)


@dataclass(slots=True)
class TurnAccount:
    """Times are in seconds, money in USD.

    `attempts` lists requests on the wire as (model alias, outcome), `left_out` the parameters that a model was not sent
    because it does not take them, each once, `cache_rules` the rule of each decision about cache points.
    `cost_uncached` is what the same tokens cost without prompt caching. `first_delta` counts from the acceptance of the
    request to the first text of an attempt that was kept; None while there is none. `tool_time` is the time during
    which at least one tool ran: parallel ones count once.
    """

    attempts: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    retries: int = 0
    fallbacks: int = 0
    retry_wait: float = 0.0
    model_time: float = 0.0
    tool_time: float = 0.0
    first_delta: float | None = None
    usage_unknown: int = 0
    cost: float = 0.0
    cost_uncached: float = 0.0
    cache_rules: list[str] = field(default_factory=list)
    _waiting: tuple[float, float] | None = None
    _running: list[ToolCall] = field(default_factory=list)
    _ran: list[tuple[float, float]] = field(default_factory=list)

    def observe(self, event: Event) -> None:
        """Take one event of the turn into account, in the order in which they happen; others are passed over."""
        step = _STEPS.get(type(event))
        if step is not None:
            step(self, event)

    def overhead(self, event: TurnFinished) -> float:
        """The turn's own time: what is left of it without the model, the tools, the queue and waits for a retry."""
        elsewhere = self.model_time + self.tool_time + self.retry_wait + event.turn.queue_wait
        return max(0.0, event.duration - elsewhere)

    def _attempt_started(self, event: AttemptStarted) -> None:
        self._stop_waiting(event.attempt.turn)

    def _attempt_finished(self, event: AttemptFinished) -> None:
        attempt = event.attempt
        self.attempts.append((attempt.model.alias, event.outcome))
        if attempt.cache_plan is not None:
            self.cache_rules.append(attempt.cache_plan.rule)
        if attempt.left_out:
            self.left_out += [name for name in attempt.left_out if name not in self.left_out]
        self.model_time += event.duration
        if attempt.emitted or event.error is None:
            self._note_first_delta(attempt)
        if attempt.usage is not None:
            self.cost += cost_usd(attempt.model, attempt.usage)
            self.cost_uncached += uncached_cost_usd(attempt.model, attempt.usage)
        elif usage_is_missing(event):
            self.usage_unknown += 1

    def _attempt_answered(self, event: AttemptAnswered) -> None:
        self._stop_waiting(event.attempt.turn)
        self._note_first_delta(event.attempt)

    def _note_first_delta(self, attempt: Attempt) -> None:
        if self.first_delta is None and attempt.first_delta_at is not None:
            self.first_delta = attempt.first_delta_at - attempt.turn.deadline.started

    def _tool_started(self, event: ToolStarted) -> None:
        self._running.append(event.tool_call)

    def _tool_finished(self, event: ToolFinished) -> None:
        call = event.tool_call
        self._running.remove(call)
        if call.started_at is not None:
            self._ran.append((call.started_at, call.started_at + call.duration))

    def _retry_scheduled(self, event: RetryScheduled) -> None:
        turn = event.call.turn
        self._stop_waiting(turn)
        self.retries += event.model == turn.model
        self._waiting = (turn.clock.monotonic(), event.after_seconds)

    def _fallback_used(self, event: FallbackUsed) -> None:
        self._stop_waiting(event.call.turn)
        self.fallbacks += 1

    def _iteration_finished(self, event: IterationFinished) -> None:
        self._stop_waiting(event.iteration.turn)

    def _turn_finished(self, event: TurnFinished) -> None:
        turn = event.turn
        self._stop_waiting(turn)
        now = turn.clock.monotonic()
        self._ran += [(call.started_at, now) for call in self._running if call.started_at is not None]
        self._running.clear()
        self.tool_time = _union(self._ran)

    def _stop_waiting(self, turn: Turn) -> None:
        if self._waiting is not None:
            since, planned = self._waiting
            self._waiting = None
            self.retry_wait += min(planned, turn.clock.monotonic() - since)


def _union(spans: list[tuple[float, float]]) -> float:
    """Seconds covered by at least one span."""
    covered, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        if stop > end:
            covered += stop - max(start, end)
            end = stop
    return covered


_STEPS: dict[type[Event], Callable[[TurnAccount, Any], None]] = {
    AttemptStarted: TurnAccount._attempt_started,
    AttemptAnswered: TurnAccount._attempt_answered,
    AttemptFinished: TurnAccount._attempt_finished,
    ToolStarted: TurnAccount._tool_started,
    ToolFinished: TurnAccount._tool_finished,
    RetryScheduled: TurnAccount._retry_scheduled,
    FallbackUsed: TurnAccount._fallback_used,
    IterationFinished: TurnAccount._iteration_finished,
    TurnFinished: TurnAccount._turn_finished,
}
ACCOUNTED = frozenset(_STEPS)
"""The types of events that an account is made of."""


def turn_of(event: Event) -> Turn | None:
    """The turn that the event belongs to: one of its fields is that turn or a part of it. None if there is none."""
    for part in fields(event):
        value = getattr(event, part.name)
        if isinstance(value, Turn):
            return value
        if isinstance(value, _PARTS):
            turn: Turn = value.turn
            return turn
    return None


_PARTS = (Attempt, Iteration, ModelCall, ToolCall)
