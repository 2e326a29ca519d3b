"""Judging by people: two answers without names, in the order that was drawn once for each question."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from rom_core.ops.blind.folder import Arm, Folder
from rom_core.ops.blind.questions import BlindFailed, Question


@dataclass(frozen=True, slots=True)
class Pair:
    """What a judge sees of one question."""

    question: Question
    left: str
    right: str


def pairs(folder: Folder) -> list[Pair]:
    """Every question that both arms answered. Raises BlindFailed if there is none."""
    answers = folder.answers()
    found = []
    for question in folder.questions:
        texts = {arm: answers.get((question.id, arm)) for arm in ("a", "b")}
        a, b = texts["a"], texts["b"]
        if a is None or b is None or a.error or b.error:
            continue
        left, right = (a, b) if folder.left(question.id) == "a" else (b, a)
        found.append(Pair(question, left.text, right.text))
    if not found:
        raise BlindFailed("no question was answered by both arms yet; run rom blind ask again")
    return found


def unjudged(folder: Folder, judge: str) -> Iterator[tuple[Pair, int, int]]:
    """What this judge has not judged yet, with its number and how many there are; each judge in an order of their own.

    Raises BlindFailed as `pairs`.
    """
    everything = pairs(folder)
    done = {one.question for one in folder.judgements() if one.kind == "person" and one.judge == judge}
    random.Random(judge).shuffle(everything)  # noqa: S311 - an order, no secret
    todo = [pair for pair in everything if pair.question.id not in done]
    for number, pair in enumerate(todo, start=len(everything) - len(todo) + 1):
        yield pair, number, len(everything)


def winner(folder: Folder, question: str, choice: str, *, swapped: bool = False) -> Arm | None:
    """The arm that a choice is for; None for equal and both bad."""
    if choice not in ("left", "right"):
        return None
    left = folder.left(question)
    on_left = (choice == "left") != swapped
    other: Arm = "b" if left == "a" else "a"
    return left if on_left else other
