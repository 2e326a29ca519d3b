"""The statistics: against published tables, against plain enumeration, and by simulation."""

from __future__ import annotations

import itertools
import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.ops.blind.statistics import (
    ALPHA,
    _fewest_wins,
    _score,
    krippendorff_alpha,
    more_needed,
    not_worse,
    sign_test,
)
from rom_core.ops.blind.verdict import Count, Outcome, judge

MARGIN = 0.10


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    # Binomial tails at one half, as in any table of the sign test (Siegel, "Nonparametric Statistics", table D).
    [
        (7, 1, 0.035),
        (8, 2, 0.055),
        (9, 1, 0.011),
        (12, 3, 0.018),
        (15, 5, 0.021),
        (18, 7, 0.022),
        (5, 5, 0.623),
        (0, 0, 1),
    ],
)
def test_the_sign_test_is_the_one_of_the_tables(won: int, lost: int, p: float) -> None:
    """The one-sided p-values that are printed there."""
    assert sign_test(won, lost) == pytest.approx(p, abs=0.0006)


def test_agreement_is_the_one_that_was_published() -> None:
    """Krippendorff's own example: four judges, twelve units, gaps; nominal alpha 0.743."""
    judges = ("123321412...", "123322412" + "5.3", ".3332342251.", "1233244125" + "1.")
    units = [
        {str(judge): row[unit] for judge, row in enumerate(judges) if row[unit] != "."}
        for unit in range(len(judges[0]))
    ]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=0.0005)


def test_agreement_of_nobody_is_not_known() -> None:
    """One judge alone, or one category alone, says nothing of agreement; perfect agreement is 1."""
    assert krippendorff_alpha([{"ana": "a"}, {"ana": "b"}]) is None
    assert krippendorff_alpha([{"ana": "a", "bia": "a"}] * 3) is None
    assert krippendorff_alpha([{"ana": "a", "bia": "a"}, {"ana": "b", "bia": "b"}]) == 1


def error_rate(questions: int, decided: float) -> float:
    """The exact chance that "not worse" is said of an arm that is worse by just the margin, by plain enumeration."""
    win, loss = (decided - MARGIN) / 2, (decided + MARGIN) / 2
    total = 0.0
    for won, lost in itertools.product(range(questions + 1), repeat=2):
        tied = questions - won - lost
        if tied >= 0 and not_worse(won, lost, questions, MARGIN) <= ALPHA:
            ways = comb(questions, won) * comb(questions - won, lost)
            total += ways * win**won * loss**lost * (1 - decided) ** tied
    return total


@pytest.mark.parametrize("decided", [0.10, 0.25, 0.5, 0.9])
def test_not_worse_is_said_wrongly_in_at_most_one_of_twenty(decided: float) -> None:
    """Exactly, whatever the share of questions with a winner is."""
    assert error_rate(16, decided) <= ALPHA


def test_what_was_promised_holds_in_simulated_tests() -> None:
    """2,000 tests of 80 questions each: at most 5 % wrong verdicts of each kind (and 1 % for the simulation itself)."""
    draw = random.Random(7)

    def share(win: float, loss: float, wrong: set[Outcome]) -> float:
        said = 0
        for _ in range(2000):
            rolls = [draw.random() for _ in range(80)]
            won = sum(roll < win for roll in rolls)
            lost = sum(win <= roll < win + loss for roll in rolls)
            said += judge(Count(won, lost, 80 - won - lost), MARGIN)[0] in wrong
        return said / 2000

    assert share(0.2, 0.3, {Outcome.NOT_WORSE, Outcome.BETTER}) <= 0.06
    assert share(0.2, 0.2, {Outcome.WORSE}) <= 0.06
    assert share(0.2, 0.2, {Outcome.BETTER}) <= 0.06
    assert share(0.05, 0.45, {Outcome.WORSE}) >= 0.95, "an arm that is clearly worse is found"
    assert share(0.1, 0.1, {Outcome.NOT_WORSE, Outcome.BETTER}) >= 0.5, "an equal one is mostly cleared"


@given(st.integers(1, 60), st.floats(0.02, 0.4))
def test_more_wins_never_score_less(decided: int, margin: float) -> None:
    """So the fewest wins that are as good as what was seen can be found by halving."""
    scores = [_score(won, decided - won, 60, margin) for won in range(decided + 1)]
    assert all(low <= high + 1e-9 for low, high in itertools.pairwise(scores))
    for won in range(decided + 1):
        fewest = _fewest_wins(decided, scores[won], 60, margin)
        assert fewest <= won
        assert scores[fewest] >= scores[won] - 1e-8


def test_how_many_more_are_needed() -> None:
    """With only ties some seventy are enough; further from the margin it takes fewer; at the margin nobody can say."""
    assert more_needed(0, 0, 10, MARGIN) == 63
    assert not_worse(0, 0, 73, MARGIN) <= ALPHA
    few, many = more_needed(9, 8, 20, MARGIN), more_needed(9, 10, 20, MARGIN)
    assert few is not None
    assert many is not None
    assert few < many
    assert more_needed(8, 16, 80, MARGIN) is None
    hasty = more_needed(1, 0, 1, MARGIN)
    assert hasty is not None
    assert hasty > 5, "one judgement promises nothing"


def test_each_verdict() -> None:
    """Better, not worse, worse and cannot judge; measurably worse by less than the margin is not worse."""
    assert judge(Count(20, 5, 10), MARGIN)[0] is Outcome.BETTER
    assert judge(Count(3, 3, 74), MARGIN)[0] is Outcome.NOT_WORSE
    assert judge(Count(5, 20, 10), MARGIN)[0] is Outcome.WORSE
    assert judge(Count(3, 4, 5), MARGIN)[0] is Outcome.CANNOT_JUDGE
    outcome, _, within, worse = judge(Count(0, 8, 392), MARGIN)
    assert (outcome, within <= ALPHA, worse <= ALPHA) == (Outcome.NOT_WORSE, True, True)
