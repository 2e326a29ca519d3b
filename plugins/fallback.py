"""Fallback: when a model is given up, the next alias of MODEL_FALLBACKS goes on with the same turn.

A model is given up when its circuit is open, when its retries are spent, when the service does not serve it, or when
its quota of a day is used up (both are remembered for a while); not for a mistake of the client, which the next model
would refuse as well (rom_core/resilience/verdicts.py). The core sends the next model the same conversation, in the same
call, with the same deadline and MAX_MODEL_REQUESTS, in the form that it accepts, and stays with it for the rest of the
turn. The next turn begins with its own model again.

Settings: FALLBACK_ENABLED (switch), FALLBACK_SKIP_SECONDS; the core's MODEL_FALLBACKS and MODELS.
Hooks: rom_settings, rom_model_attempt (passes over models that are not served), rom_model_failed (decides),
rom_model_call (what is left to say when nobody could answer), rom_status.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

from rom_core.concurrency.clock import Clock
from rom_core.errors import Draining, ModelError, ModelNotServed, RomError, TurnCancelled
from rom_core.events import FallbackExhausted
from rom_core.markers import hookimpl
from rom_core.resilience.verdicts import failure_of
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.turn import Attempt, ModelCall, Turn
from rom_core.turn_values import ModelReply, TryAgain


def models_after(turn: Turn) -> tuple[str, ...]:
    """The aliases that may still take over from the turn's model, in order.

    All of MODEL_FALLBACKS, or what comes after the turn's model if it is among them: there is no way back in a turn.
    """
    chain: tuple[str, ...] = tuple(turn.settings.MODEL_FALLBACKS)
    return chain[chain.index(turn.model) + 1 :] if turn.model in chain else chain


class Fallback:
    """The plugin. It remembers which model ids are passed over, and until when."""

    _runtime: Runtime

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._skipped: dict[str, float] = {}

    @hookimpl
    def rom_settings(self) -> list[Setting]:
        """The switch, and how long a model that cannot be used is passed over."""
        return [
            Setting("FALLBACK_ENABLED", bool, False, "Goes on with the next model of MODEL_FALLBACKS.", switch=True),
            Setting(
                "FALLBACK_SKIP_SECONDS",
                float,
                600.0,
                "Seconds for which a model that is not served, or whose quota of a day is used up, is passed over.",
                minimum=0,
                maximum=86400,
            ),
        ]

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """The status needs the table of models."""
        self._runtime = runtime

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """Aliases that are passed over at present, with the seconds that are left of it."""
        now = self._runtime.clock.monotonic()
        models = self._runtime.current.settings.models.values()
        with self._lock:
            left = {model.alias: round(self._skipped.get(model.id, now) - now, 1) for model in models}
        return {"passed_over": {alias: seconds for alias, seconds in left.items() if seconds > 0}}

    @hookimpl(wrapper=True)
    def rom_model_attempt(self, attempt: Attempt) -> Generator[None, ModelReply, ModelReply]:
        """Pass over a model that could not be used lately, unless it is the last; remember one that cannot be."""
        turn = attempt.turn
        attempt.call.fallback_candidates = candidates = self._candidates(turn)
        if candidates and self._is_skipped(attempt.model.id, turn.clock):
            raise ModelNotServed("this model could not be used a while ago and is passed over", kind="passed_over")
        try:
            reply = yield
        except ModelError as error:
            if failure_of(error).fallback == "remembered":
                with self._lock:
                    self._skipped[attempt.model.id] = turn.clock.monotonic() + turn.settings.FALLBACK_SKIP_SECONDS
            raise
        if attempt.answered_by == "wire":
            with self._lock:
                self._skipped.pop(attempt.model.id, None)
        return reply

    @hookimpl
    def rom_model_failed(self, attempt: Attempt, error: RomError) -> TryAgain | None:
        """The next model at once, if another model may do better and there is one."""
        if failure_of(error).fallback == "no":
            return None
        candidates = self._candidates(attempt.turn)
        return TryAgain(model=candidates[0]) if candidates else None

    @hookimpl(wrapper=True)
    def rom_model_call(self, call: ModelCall) -> Generator[None, ModelReply, ModelReply]:
        """Where no model could answer, the error says when one may, and an event has all attempts."""
        try:
            return (yield)
        except (TurnCancelled, Draining):
            raise
        except RomError as error:
            used_up = isinstance(error, ModelError) and failure_of(error).fallback != "no" and not call.emitted
            if used_up:
                error.retry_after = _soonest(call)
            if used_up or len({attempt.model.alias for attempt in call.attempts}) > 1:
                call.turn.emit(FallbackExhausted(call, error, _history(call, error)))
            raise

    def _candidates(self, turn: Turn) -> tuple[str, ...]:
        models = turn.settings.models
        return tuple(alias for alias in models_after(turn) if not self._is_skipped(models[alias].id, turn.clock))

    def _is_skipped(self, model_id: str, clock: Clock) -> bool:
        with self._lock:
            return clock.monotonic() < self._skipped.get(model_id, 0.0)


def _soonest(call: ModelCall) -> float | None:
    """The least that any model asked for in its last word; None if none said anything."""
    last = {attempt.model.alias: attempt.error for attempt in call.attempts}
    waits = [error.retry_after for error in last.values() if isinstance(error, RomError)]
    return min((wait for wait in waits if wait is not None), default=None)


def _history(call: ModelCall, end: RomError) -> tuple[tuple[str, str, str], ...]:
    """(model, outcome, kind of failure) of every attempt; one that the turn's own end cut short has its code."""
    return tuple(
        (attempt.model.alias, attempt.error.outcome, attempt.error.kind)
        if isinstance(attempt.error, ModelError)
        else (attempt.model.alias, "cancelled", end.code)
        for attempt in call.attempts
    )
