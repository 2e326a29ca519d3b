"""The phases of a rollout as people write them: `10%:2h`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rom_core.gate import Thresholds
from rom_core.settings import Settings

_PHASE = re.compile(r"(\d{1,3}) ?%? ?[: ] ?(\d{1,6}(?:\.\d{1,3})?)(s|m|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Phase:
    """`percent` of the traffic, until the gate has held over `seconds` watched ones and a person has approved."""

    percent: int
    seconds: float


def phases_of(texts: Sequence[str]) -> tuple[Phase, ...]:
    """Read them. Raises ValueError unless the shares grow, from 1 to at most 100, and every window has a length."""
    phases = []
    for text in texts:
        match = _PHASE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a phase such as 10%:2h")
        phases.append(Phase(int(match[1]), float(match[2]) * _SECONDS[match[3]]))
    shares = [phase.percent for phase in phases]
    if not shares or shares != sorted(set(shares)) or shares[0] < 1 or shares[-1] > 100:
        raise ValueError("there must be phases, and their shares must grow, from 1 to at most 100")
    if any(phase.seconds <= 0 for phase in phases):
        raise ValueError("a window must be longer than nothing")
    return tuple(phases)


def thresholds_of(settings: Settings) -> Thresholds:
    """The limits of the gate. Raises ValueError if one of them would let everything or nothing pass."""
    return Thresholds(
        error_share=settings.CANARY_MAX_ERROR_RATIO,
        p95_seconds=settings.CANARY_MAX_P95_SECONDS,
        memory_ratio=settings.CANARY_MAX_MEMORY_RATIO,
        throttled_share=settings.CANARY_MAX_THROTTLED_RATIO,
        refused_share=settings.CANARY_MAX_REFUSED_RATIO,
        restarts=settings.CANARY_MAX_RESTARTS,
    )


def check_settings(settings: Settings) -> str | None:
    """What is wrong with CANARY_PHASES, as the rule of the settings wants it."""
    try:
        phases_of(settings.CANARY_PHASES)
    except ValueError as error:
        return str(error)
    return None
