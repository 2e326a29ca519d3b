"""The statistics of a blind test: exact tests of paired preferences, and agreement between judges.

Each question gives one of three results for the new arm: won, lost, or neither. The shares are p(won), p(lost) and the
rest. Nothing here is an approximation for large numbers, since a team judges some dozens of questions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist

ALPHA = 0.05
# Part of ALPHA for the confidence interval of the unknown share of questions with a winner.
_BOUND_ALPHA = 0.001
# How finely that share is searched for the worst case.
_STEPS = 40
_NEGLIGIBLE = 1e-12
_MOST_QUESTIONS = 5000
_Z_ALPHA = NormalDist().inv_cdf(1 - ALPHA)


def sign_test(won: int, lost: int) -> float:
    """The one-sided p-value against "not better": the chance of at least so many wins if wins and losses are equal.

    Ties say nothing and are left out (the exact sign test: a binomial tail at one half).
    """
    decided = won + lost
    return sum(math.comb(decided, wins) for wins in range(won, decided + 1)) / float(2**decided)


@lru_cache(maxsize=4096)
def not_worse(won: int, lost: int, questions: int, margin: float) -> float:
    """The one-sided p-value against "worse by `margin` or more", that is against p(won) - p(lost) <= -margin.

    Exact and unconditional: the largest chance of a result at least as good by the score statistic (Tango, "Equivalence
    test and confidence interval for the difference in proportions for the paired-sample design", 1998), over every
    share of questions with a winner that the data allow (Clopper and Pearson, 99.9 %); the 0.1 % is added (Berger and
    Boos, "P Values Maximized Over a Confidence Set for the Nuisance Parameter", 1994). `margin` lies between 0 and 1,
    both excluded.
    """
    if not questions:
        return 1.0
    low, high = _bounds(won + lost, questions)
    low = max(low, margin)
    if low > high:
        return _BOUND_ALPHA
    observed = _score(won, lost, questions, margin)
    fewest = [_fewest_wins(decided, observed, questions, margin) for decided in range(questions + 1)]
    shares = (low + (high - low) * step / _STEPS for step in range(_STEPS + 1))
    return min(1.0, max(_tail(fewest, share, (share - margin) / 2) for share in shares) + _BOUND_ALPHA)


def _score(won: int, lost: int, questions: int, margin: float) -> float:
    """How far the difference lies above -margin, in standard deviations as they would be at -margin."""
    linear = (won + lost) * (1 + margin) + 2 * margin * (questions - won)
    root = math.sqrt(max(0.0, linear**2 - 8 * questions * lost * margin * (1 + margin)))
    loss_share = (linear + root) / (4 * questions)
    variance = max(1e-12, 2 * loss_share - margin - margin**2) / questions
    return ((won - lost) / questions + margin) / math.sqrt(variance)


def _fewest_wins(decided: int, observed: float, questions: int, margin: float) -> int:
    """With so many decided questions, the fewest wins whose score is not below the one observed."""
    low, high = 0, decided + 1
    while low < high:
        middle = (low + high) // 2
        if _score(middle, decided - middle, questions, margin) >= observed - 1e-9:
            high = middle
        else:
            low = middle + 1
    return low


def _tail(fewest: Sequence[int], decided_share: float, won_share: float) -> float:
    """The chance of at least the fewest wins, each question decided with one probability and won with another."""
    chance = min(1.0, won_share / decided_share)
    total = 0.0
    for decided, probability in enumerate(_binomial(len(fewest) - 1, decided_share)):
        if probability > _NEGLIGIBLE:
            total += probability * math.fsum(_binomial(decided, chance)[fewest[decided] :])
    return min(1.0, total)


def _bounds(hits: int, number: int) -> tuple[float, float]:
    """The Clopper-Pearson limits of a share, given `hits` of `number`."""

    def limit(chance_at: Callable[[float], float]) -> float:
        below, above = 0.0, 1.0
        for _ in range(50):
            middle = (below + above) / 2
            below, above = (middle, above) if chance_at(middle) < _BOUND_ALPHA / 2 else (below, middle)
        return (below + above) / 2

    low = limit(lambda share: math.fsum(_binomial(number, share)[hits:])) if hits else 0.0
    high = 1 - limit(lambda share: math.fsum(_binomial(number, 1 - share)[: hits + 1])) if hits < number else 1.0
    return low, high


@lru_cache(maxsize=65536)
def _binomial(number: int, probability: float) -> tuple[float, ...]:
    """The probabilities of 0 to `number` successes."""
    if probability <= 0 or probability >= 1:
        certain = number if probability >= 1 else 0
        return tuple(float(count == certain) for count in range(number + 1))
    hit, miss = math.log(probability), math.log1p(-probability)
    whole = math.lgamma(number + 1)
    return tuple(
        math.exp(
            whole - math.lgamma(count + 1) - math.lgamma(number - count + 1) + count * hit + (number - count) * miss
        )
        for count in range(number + 1)
    )


def more_needed(won: int, lost: int, questions: int, margin: float) -> int | None:
    """About how many more questions it takes to say "not worse", or "worse", if the shares stay as they are.

    The normal approximation, for planning only, with one question of each kind added so that a handful of judgements
    promises nothing. None if it would take more than a team ever judges: the shares lie just between the two.
    """
    ties_enough = math.ceil(math.log(_BOUND_ALPHA / 2) / math.log1p(-margin))
    if not won + lost:
        return max(1, ties_enough - questions)
    decided, difference = (won + lost + 2) / (questions + 3), (won - lost) / (questions + 3)
    spread = decided - difference**2 if difference > -margin else decided
    distance = difference + margin if difference > -margin else difference
    if distance**2 * _MOST_QUESTIONS < _Z_ALPHA**2 * spread:
        return None
    return max(1, math.ceil(_Z_ALPHA**2 * spread / distance**2) - questions)


def krippendorff_alpha(ratings: Sequence[Mapping[str, str]]) -> float | None:
    """Agreement between judges on unordered categories: 1 is perfect, 0 what chance would bring.

    One mapping for each unit, from judge to category; judges may be missing. None if nothing was judged twice, or if
    only one category was ever given. Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011.
    """
    coincidences: defaultdict[tuple[str, str], float] = defaultdict(float)
    for unit in ratings:
        values = list(unit.values())
        for mine, first in enumerate(values):
            for theirs, second in enumerate(values):
                if mine != theirs:
                    coincidences[first, second] += 1 / (len(values) - 1)
    totals: defaultdict[str, float] = defaultdict(float)
    for (first, _), weight in coincidences.items():
        totals[first] += weight
    number = sum(totals.values())
    expected = sum(totals[a] * totals[b] for a in totals for b in totals if a != b)
    if not expected:
        return None
    observed = sum(weight for (a, b), weight in coincidences.items() if a != b)
    return 1 - (number - 1) * observed / expected
