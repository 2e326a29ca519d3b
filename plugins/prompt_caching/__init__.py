"""Prompt caching that never costs more than 1 %: decides where the core sets cache points.

Settings: PROMPT_CACHING_ENABLED (switch), PROMPT_CACHING_ADVANCE_USD. Hooks: rom_settings, rom_start, rom_status,
rom_cache_points (decides), rom_model_attempt (learns what came of it). docs/prompt_caching.md has the rules.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from plugins.prompt_caching.planner import RULES, Ask, Decided, Planner, tool_forced
from plugins.prompt_caching.prefixes import Reader
from rom_core.errors import ModelError
from rom_core.markers import hookimpl
from rom_core.settings import Setting
from rom_core.telemetry.accounts import may_be_billed
from rom_core.turn import Attempt
from rom_core.turn_values import CachePlan, ModelReply

__all__ = ["RULES", "PromptCaching"]

_OWN = "prompt_caching"


class PromptCaching:
    """The plugin; what it remembers is in its planner."""

    def __init__(self) -> None:
        self.planner = Planner()

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch, and what may be lost before anything was saved."""
        return [
            Setting(
                "PROMPT_CACHING_ENABLED",
                bool,
                False,
                "Sets cache points where they pay; the bill stays within 1.01 times that without them.",
                switch=True,
            ),
            Setting(
                "PROMPT_CACHING_ADVANCE_USD",
                float,
                0.0,
                "USD that caching may lose beyond 1 %, so that it starts sooner; 0 keeps the bound from the start.",
                minimum=0,
                maximum=100,
            ),
        ]

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """What was saved, what may be risked, and how often each rule decided."""
        return self.planner.status()

    @hookimpl
    def rom_cache_points(self, attempt: Attempt, request: dict[str, Any]) -> CachePlan | None:
        """Decide by the bytes of the request."""
        turn = attempt.turn
        reader: Reader = turn.stash.setdefault(_OWN, Reader())
        ask = Ask(
            attempt.model,
            reader.read(attempt.model.id, request),
            attempt.call.iteration,
            attempt.call.closing,
            tool_forced(request),
        )
        advance = turn.settings.PROMPT_CACHING_ADVANCE_USD
        decided = self.planner.decide(ask, turn.clock.monotonic(), advance)
        attempt.stash[_OWN] = decided
        return decided.plan

    @hookimpl(wrapper=True)
    def rom_model_attempt(self, attempt: Attempt) -> Generator[None, ModelReply, ModelReply]:
        """Settle what was decided, however the attempt ends."""
        billed = True
        try:
            return (yield)
        except ModelError as error:
            billed = may_be_billed(attempt, error.outcome)
            raise
        finally:
            decided: Decided | None = attempt.stash.pop(_OWN, None)
            if decided is not None:
                billed = billed and attempt.on_wire
                self.planner.settle(decided, attempt.usage, attempt.turn.clock.monotonic(), billed=billed)
