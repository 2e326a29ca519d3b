"""Retry, breaker and fallback together against upstreams that fail, in simulated time."""

from __future__ import annotations

import pytest

from bench.outages import BEGIN, DOCS, END, simulate, table
from bench.simulation import Upstream

FLAPPING = Upstream(2, 2)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("pause", "seconds"), [(1.0, (0.5, 1.5)), (0.2, (0.1, 0.3)), (3.0, (1.0, 3.0))])
@pytest.mark.parametrize("obeys", [True, False], ids=["obeying", "ignoring Retry-After"])
def test_an_upstream_that_flaps_is_ridden_out(
    pause: float, seconds: tuple[float, float], seed: int, obeys: bool
) -> None:
    """2 s up, 2 s down, five users, the defaults: at least 95 % of the questions are answered, at any pace."""
    outcome = simulate(FLAPPING, minutes=3, pause=pause, seconds=seconds, seed=seed, obeys=obeys)
    assert outcome.questions.asked > 80
    assert outcome.questions.share >= 0.95


@pytest.mark.parametrize("users", [5, 10, 20])
def test_an_outage_opens_every_circuit_however_many_users(users: int) -> None:
    """Failures whose retries the budget declined do not count, yet enough calls get all of theirs; nothing amplifies:
    with the whole chain away a question costs fewer requests than there are models."""
    outcome = simulate(Upstream(0, 1), users=users)
    assert set(outcome.circuits.values()) == {"open"}
    assert outcome.requests < 1.5 * outcome.questions.asked


def test_breaks_in_the_middle_leave_the_model_in_use() -> None:
    """A fifth of its streams break off: the circuit stays closed and no answer is degraded."""
    outcome = simulate(Upstream(cut_share=0.2), streams=True, everywhere=False)
    assert outcome.questions.degraded == 0
    assert set(outcome.circuits.values()) == {"closed"}


def test_a_model_that_breaks_off_every_answer_is_found() -> None:
    """No answer in full makes up for the breaks: the fallback answers instead."""
    outcome = simulate(Upstream(cut_share=1.0), streams=True, everywhere=False)
    assert outcome.questions.share > 0.95
    assert "open" in outcome.circuits.values()


def test_the_table_of_the_page_is_that_of_the_simulation() -> None:
    """Every run gives the same figures."""
    page = DOCS.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == table(), "run `python -m bench outages --write`"
