"""Retry: asks the same model again after a failure that may pass, three times, after about 1, 2 and 4 seconds.

What is worth a retry is in rom_core/resilience/verdicts.py. A retry is not made when the turn has no time for it,
when it would take the time or the requests that another model needs, or when the process retries too much already: in
an outage retries only add load, so they are a share of the first tries (the budget), over all turns together.

Settings: RETRY_ENABLED (switch), RETRY_MAX_RETRIES, RETRY_BACKOFF_SECONDS, RETRY_JITTER, RETRY_BUDGET_*.
Hooks: rom_settings, rom_start, rom_model_attempt (counts first tries), rom_model_failed (decides), rom_model_call (has
the client not retry on top), rom_status.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rom_core.errors import ModelError, RomError
from rom_core.events import RetryDeclined
from rom_core.markers import hookimpl
from rom_core.resilience.reserve import reserved_seconds
from rom_core.resilience.verdicts import failure_of
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.turn import Attempt, ModelCall
from rom_core.turn_values import ModelReply, TryAgain

BUDGET_WINDOW_SECONDS = 60.0
_OWN = "retry"
# An attempt with less time than this is not worth its wait.
_LEAST_ATTEMPT_SECONDS = 1.0


def backoff(steps: Sequence[float], number: int) -> float:
    """Seconds before retry `number` (from 1), without jitter; the last step repeats, no steps mean no wait."""
    return steps[min(number, len(steps)) - 1] if steps else 0.0


class RetryBudget:
    """How much was tried and retried in the last minute, by all turns. Thread-safe; times are monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._firsts: deque[float] = deque()
        self._retries: deque[float] = deque()

    def first(self, now: float) -> None:
        """Count a first try."""
        with self._lock:
            self._firsts.append(now)
            self._forget(now)

    def retry(self, now: float) -> None:
        """Count a retry that nobody here can refuse: a client's own."""
        with self._lock:
            self._retries.append(now)
            self._forget(now)

    def take(self, now: float, percent: float, per_minute: int, wanted: int = 1) -> int:
        """Count up to `wanted` retries, as far as retries stay within `percent` of the first tries, or `per_minute`.

        How many were granted; `percent` 0 grants all.
        """
        with self._lock:
            self._forget(now)
            allowed = int(max(per_minute, len(self._firsts) * percent / 100)) - len(self._retries)
            granted = max(0, min(wanted, allowed)) if percent else wanted
            self._retries.extend([now] * granted)
            return granted

    def give_back(self, granted_at: Iterable[float]) -> None:
        """Retries granted at these moments were not made, or led to an answer: they count no more."""
        with self._lock:
            for time in granted_at:
                with contextlib.suppress(ValueError):  # It has left the window.
                    self._retries.remove(time)

    def counts(self, now: float) -> tuple[int, int]:
        """First tries and retries of the last minute."""
        with self._lock:
            self._forget(now)
            return len(self._firsts), len(self._retries)

    def _forget(self, now: float) -> None:
        for times in (self._firsts, self._retries):
            while times and times[0] <= now - BUDGET_WINDOW_SECONDS:
                times.popleft()


@dataclass
class _Grant:
    """The retries that the budget has granted to one call for one model: when, and how many were made."""

    at: list[float] = field(default_factory=list)
    made: int = 0


class Retry:
    """The plugin. It remembers nothing but the budget: how often a call was tried is on the call."""

    _runtime: Runtime

    def __init__(self) -> None:
        self._budget = RetryBudget()

    @hookimpl
    def rom_settings(self) -> list[Setting]:
        """The switch, the waits, the budget."""
        return [
            Setting("RETRY_ENABLED", bool, False, "Retries failures of a model that may pass.", switch=True),
            Setting("RETRY_MAX_RETRIES", int, 3, "Retries after the first try, per model.", minimum=0, maximum=20),
            Setting(
                "RETRY_BACKOFF_SECONDS",
                list,
                (1.0, 2.0, 4.0),
                "Seconds before the first retry, the second and so on; the last repeats.",
                item=float,
                minimum=0,
                maximum=600,
            ),
            Setting("RETRY_JITTER", float, 0.2, "Share by which a wait varies, up and down.", minimum=0, maximum=1),
            Setting(
                "RETRY_BUDGET_PERCENT",
                float,
                50.0,
                "Retries in a minute, in percent of first tries; 0 = no such limit.",
                minimum=0,
                maximum=1000,
                scope="process",
            ),
            Setting(
                "RETRY_BUDGET_MIN_PER_MINUTE",
                int,
                30,
                "Retries in a minute that are always allowed.",
                minimum=0,
                scope="process",
            ),
        ]

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """The budget is the process's: its settings are read where they are newest."""
        self._runtime = runtime

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """What the budget stands at."""
        firsts, retries = self._budget.counts(self._runtime.clock.monotonic())
        return {"first_tries_last_minute": firsts, "retries_last_minute": retries}

    @hookimpl(wrapper=True)
    def rom_model_attempt(self, attempt: Attempt) -> Generator[None, ModelReply, ModelReply]:
        """Count a call's first request on the wire; that of a client who retries counts as a retry.

        Retries that led to an answer are given back: the budget is to hold back those that help nobody.
        """
        try:
            reply = yield
            self._budget.give_back(_grants(attempt.call).pop(attempt.model.alias, _Grant()).at)
            return reply
        finally:
            if attempt.on_wire and attempt.call.requests == 1:
                turn = attempt.turn
                again = turn.request.client_retries > 0 and turn.model_requests == 1
                (self._budget.retry if again else self._budget.first)(turn.clock.monotonic())

    @hookimpl
    def rom_model_failed(self, call: ModelCall, attempt: Attempt, error: RomError) -> TryAgain | None:
        """Try the same model again, unless that is pointless, too late or too much."""
        if failure_of(error).retry == "no":
            return None
        turn = attempt.turn
        steps = turn.settings.RETRY_BACKOFF_SECONDS
        jitter = turn.settings.RETRY_JITTER
        wait = backoff(steps, _tries(call, attempt)) * (1 + turn.clock.uniform(-jitter, jitter))
        wait = max(wait, error.retry_after or 0.0)
        reason = _reason_to_decline(call, attempt, error, wait) or self._over_budget(call, attempt, error)
        if reason:
            attempt.retry_declined = reason
            turn.emit(RetryDeclined(call, error, attempt.model.alias, reason))
            return None
        return TryAgain(wait)

    @hookimpl(wrapper=True)
    def rom_model_call(self, call: ModelCall) -> Generator[None, ModelReply, ModelReply]:
        """A call that was worth retries has had them: an official client must not multiply them by its own.

        Whatever it ended with: a model that took over may have failed in a way that is not worth a retry.
        """
        try:
            return (yield)
        except ModelError as error:
            failures = [error, *(other.error for other in call.attempts if isinstance(other.error, ModelError))]
            if any(failure_of(failure).retry != "no" for failure in failures):
                error.should_retry = False
            raise
        finally:
            for grant in _grants(call).values():
                self._budget.give_back(grant.at[grant.made :])

    def _over_budget(self, call: ModelCall, attempt: Attempt, error: RomError) -> str:
        """All retries that the call may need are asked for at once: one that is cut off half-way helps nobody.

        It would tell the breaker nothing either, and in an outage with many users all would be cut off.
        """
        grant = _grants(call).setdefault(attempt.model.alias, _Grant())
        if grant.made == len(grant.at):
            settings, now = self._runtime.current.settings, call.turn.clock.monotonic()
            percent, per_minute = settings.RETRY_BUDGET_PERCENT, settings.RETRY_BUDGET_MIN_PER_MINUTE
            wanted = _retries_left(call, attempt, error)
            grant.at += [now] * self._budget.take(now, percent, per_minute, wanted)
        if grant.made == len(grant.at):
            return "budget"
        grant.made += 1
        return ""


def _grants(call: ModelCall) -> dict[str, _Grant]:
    grants: dict[str, _Grant] = call.stash.setdefault(_OWN, {})
    return grants


def _retries_left(call: ModelCall, attempt: Attempt, error: RomError) -> int:
    """How many retries of this model the call may still make, this one included."""
    if failure_of(error).retry == "once":
        return 1
    settings = attempt.turn.settings
    requests: int = settings.MAX_MODEL_REQUESTS - call.requests - len(call.fallback_candidates)
    retries: int = settings.RETRY_MAX_RETRIES + 1 - _tries(call, attempt)
    return max(1, min(requests, retries))


def _tries(call: ModelCall, attempt: Attempt) -> int:
    """How often this call has asked this model."""
    return sum(other.model.alias == attempt.model.alias for other in call.attempts)


def _reason_to_decline(call: ModelCall, attempt: Attempt, error: RomError, wait: float) -> str:
    """Why a retry after `wait` seconds is not made, as in RetryDeclined; "" if there is none."""
    turn = attempt.turn
    settings = turn.settings
    if attempt.probe:
        return "probe"
    if _tries(call, attempt) > settings.RETRY_MAX_RETRIES:
        return "retries_spent"
    if failure_of(error).retry == "once" and _same_failures(call, attempt, error) > 1:
        return "read_timeout"
    left = call.deadline.remaining() - wait
    if left < _LEAST_ATTEMPT_SECONDS:
        return "deadline"
    candidates = len(call.fallback_candidates)
    if not candidates:
        return ""
    if settings.MAX_MODEL_REQUESTS - call.requests <= candidates:
        return "fallback_requests"
    # The next attempt is taken to last as long as the one that failed.
    lasted = (attempt.finished_at or 0.0) - (attempt.started_at or 0.0)
    kept = reserved_seconds(call.deadline.at - call.deadline.started)
    return "fallback_time" if left - lasted < kept else ""


def _same_failures(call: ModelCall, attempt: Attempt, error: RomError) -> int:
    line = failure_of(error)
    return sum(
        other.model.alias == attempt.model.alias
        and isinstance(other.error, ModelError)
        and failure_of(other.error) is line
        for other in call.attempts
    )
