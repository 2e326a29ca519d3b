"""The published workload keeps what docs/cost.md claims of it."""

from __future__ import annotations

from bench.workload import conversations, singles
from bench.workload.replay import replay

MODEL = "anthropic.claude-sonnet-4-5"


def test_conversations_with_tools_cost_at_least_39_percent_less() -> None:
    """Of the whole bill, output included; both sides use the same tokens."""
    work = list(conversations())
    off, on = (replay(work, model=MODEL, caching=caching) for caching in (False, True))
    assert off.requests == on.requests
    assert abs(on.uncached - off.cost) < 1e-9
    assert on.cost <= 0.61 * off.cost


def test_single_calls_cost_at_most_1_percent_more() -> None:
    """Where nothing is read again, next to nothing is risked."""
    work = list(singles())
    off, on = (replay(work, model=MODEL, caching=caching) for caching in (False, True))
    assert on.cost <= 1.01 * off.cost
