"""Time kept for fallback candidates, and silence that counts."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from support import make_runtime, make_turn

from rom_core.resilience.reserve import reserved_seconds, silence_that_counts


def test_a_quarter_is_reserved_and_at_most_thirty_seconds() -> None:
    """Of nothing, nothing."""
    assert [reserved_seconds(seconds) for seconds in (40.0, 120.0, 600.0, -1.0)] == [10.0, 30.0, 30.0, 0.0]


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [({}, 40.0), ({"mode": "exhaustive"}, 40.0), ({"client_timeout": 80.0}, 40.0), ({"client_timeout": 79.0}, inf)],
    ids=["ordinary", "exhaustive", "as patient as we are", "impatient"],
)
def test_silence_counts_from_half_a_turn_on(asked: dict[str, Any], seconds: float) -> None:
    """Half of TURN_DEADLINE_SECONDS, in a longer turn too; never where the client shortened the deadline."""
    runtime, _ = make_runtime(TURN_DEADLINE_SECONDS=80)
    assert silence_that_counts(make_turn(runtime, **asked)) == seconds
