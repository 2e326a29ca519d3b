"""Time kept for fallback candidates, and how long a model must be silent for it to count as its failure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rom_core.turn import Turn

_RESERVED_SHARE = 0.25
_MOST_RESERVED_SECONDS = 30.0
_COUNTING_SHARE = 0.5


def reserved_seconds(seconds: float) -> float:
    """Of so many seconds, those kept for the fallback candidates of a call: a quarter, at most 30."""
    return min(_MOST_RESERVED_SECONDS, _RESERVED_SHARE * max(0.0, seconds))


def silence_that_counts(turn: Turn) -> float:
    """From how many seconds of silence on the end of our own time is the model's failure: half TURN_DEADLINE_SECONDS.

    A turn can wait no longer than its deadline, so a model that hangs would otherwise never count where
    BEDROCK_READ_TIMEOUT_SECONDS is long. Less than that proves nothing: a late call of a turn has little time left.
    Infinite if the client shortened the deadline: its hurry must not take a model from everybody.
    """
    seconds: float = turn.settings.TURN_DEADLINE_SECONDS
    client_timeout = turn.request.client_timeout
    if client_timeout is not None and client_timeout < seconds:
        return math.inf
    return _COUNTING_SHARE * seconds
