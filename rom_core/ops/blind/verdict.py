"""The verdict: what the judgements come to, with the margin that was set before anything was asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rom_core.ops.blind.folder import Folder, Judgement
from rom_core.ops.blind.judging import pairs, winner
from rom_core.ops.blind.statistics import ALPHA, krippendorff_alpha, more_needed, not_worse, sign_test


class Outcome(StrEnum):
    """What can be said of arm b beside arm a."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    CANNOT_JUDGE = "cannot judge"


@dataclass(frozen=True, slots=True)
class Count:
    """Questions by what was thought of arm b: won, lost, equal (disagreement among judges included), both bad."""

    won: int = 0
    lost: int = 0
    equal: int = 0
    both_bad: int = 0

    @property
    def questions(self) -> int:
        """All of them."""
        return self.won + self.lost + self.equal + self.both_bad


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one kind of judges found. `more`: about how many more questions a verdict takes, None if none would do."""

    outcome: Outcome
    count: Count
    margin: float
    p_better: float
    p_not_worse: float
    p_worse: float
    more: int | None = None
    agreement: float | None = None
    judges: tuple[str, ...] = ()
    categories: dict[str, Count] = field(default_factory=dict)
    lost: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "outcome": self.outcome.value,
            "count": _as_dict(self.count),
            "margin": self.margin,
            "p": {"better": self.p_better, "not_worse": self.p_not_worse, "worse": self.p_worse},
            "more_questions_needed": self.more,
            "agreement": self.agreement,
            "judges": list(self.judges),
            "categories": {name: _as_dict(count) for name, count in self.categories.items()},
            "lost": list(self.lost),
        }


@dataclass(frozen=True, slots=True)
class FactCheck:
    """Facts that an arm's answers have, of all that could be checked; `missed` names question and fact."""

    held: int
    checked: int
    missed: tuple[tuple[str, str], ...]


def judge(count: Count, margin: float) -> tuple[Outcome, float, float, float]:
    """The outcome and its three p-values: better, not worse, worse.

    Better and worse by the sign test, not worse by the exact test against the margin. Where b is measurably worse, but
    by less than the margin, it is not worse: that is what the margin was set for.
    """
    better = sign_test(count.won, count.lost)
    within = not_worse(count.won, count.lost, count.questions, margin)
    worse = sign_test(count.lost, count.won)
    if better <= ALPHA:
        outcome = Outcome.BETTER
    elif within <= ALPHA:
        outcome = Outcome.NOT_WORSE
    elif worse <= ALPHA:
        outcome = Outcome.WORSE
    else:
        outcome = Outcome.CANNOT_JUDGE
    return outcome, better, within, worse


def verdict_of(folder: Folder, kind: str = "person") -> Verdict | None:
    """The verdict by the judges of one kind; None if none of them has judged. Raises BlindFailed."""
    by_question: defaultdict[str, list[Judgement]] = defaultdict(list)
    paired = {pair.question.id for pair in pairs(folder)}
    for judgement in folder.judgements():
        if judgement.kind == kind and judgement.question in paired:
            by_question[judgement.question].append(judgement)
    if not by_question:
        return None
    results = {question: _result(folder, question, given) for question, given in by_question.items()}
    results = {question: result for question, result in results.items() if result}
    count = _counted(results.values())
    outcome, better, within, worse = judge(count, folder.margin)
    category_of = {question.id: question.category for question in folder.questions}
    categories = {
        name: _counted(result for question, result in results.items() if category_of[question] == name)
        for name in dict.fromkeys(category_of[question.id] for question in folder.questions)
    }
    opinions = [
        {one.judge: winner(folder, question, one.choice) or one.choice for one in given if not one.swapped}
        for question, given in by_question.items()
    ]
    return Verdict(
        outcome,
        count,
        folder.margin,
        better,
        within,
        worse,
        more_needed(count.won, count.lost, count.questions, folder.margin) if outcome is Outcome.CANNOT_JUDGE else None,
        krippendorff_alpha(opinions),
        tuple(sorted({one.judge for given in by_question.values() for one in given})),
        categories,
        tuple(question for question, result in results.items() if result == "lost"),
    )


def check_facts(folder: Folder) -> dict[str, FactCheck]:
    """What a program can check in the answers of each arm, apart from taste."""
    answers = folder.answers()
    checks = {}
    for arm in ("a", "b"):
        checked, missed = 0, []
        for question in folder.questions:
            answer = answers.get((question.id, arm))
            if answer is None or answer.error:
                continue
            for fact, wanted in [(f, True) for f in question.must] + [(f, False) for f in question.must_not]:
                checked += 1
                if fact.holds(answer.text) != wanted:
                    missed.append((question.id, fact.shown if wanted else f"not {fact.shown}"))
        checks[arm] = FactCheck(checked - len(missed), checked, tuple(missed))
    return checks


def _result(folder: Folder, question: str, given: Iterable[Judgement]) -> str:
    """What the judges of a question think together: the side with more votes, equal if there is none.

    A model's vote counts if both orders agree, else it is "equal"; "" until both are there.
    """
    votes: list[str] = []
    by_judge: defaultdict[str, list[Judgement]] = defaultdict(list)
    for one in given:
        by_judge[one.judge].append(one)
    for mine in by_judge.values():
        named = {winner(folder, question, one.choice, swapped=one.swapped) or one.choice for one in mine}
        if mine[0].kind == "model" and len(mine) < 2:
            continue
        votes.append(named.pop() if len(named) == 1 else "equal")
    if not votes:
        return ""
    counted = Counter(votes)
    if counted["a"] != counted["b"]:
        return "won" if counted["b"] > counted["a"] else "lost"
    return "both_bad" if counted["both_bad"] * 2 > len(votes) else "equal"


def _counted(results: Iterable[str]) -> Count:
    counts = Counter(results)
    return Count(counts["won"], counts["lost"], counts["equal"], counts["both_bad"])


def _as_dict(count: Count) -> dict[str, int]:
    return {"won": count.won, "lost": count.lost, "equal": count.equal, "both_bad": count.both_bad}
