"""The questions of a blind test: a JSONL file, one object a line, checked whole before anything is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rom_core.ops.blind.facts import Fact, parse_fact

_MEMBERS = ("id", "category", "message", "attachment", "must", "must_not")
MAX_ATTACHMENT_CHARS = 200_000


class BlindFailed(Exception):
    """The blind test cannot go on; the text says why and what to do, in one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `attachment` is the text that goes with the message; `must` and `must_not` are facts to check."""

    id: str
    category: str
    message: str
    attachment: str = ""
    must: tuple[Fact, ...] = field(default=())
    must_not: tuple[Fact, ...] = field(default=())

    @property
    def prompt(self) -> str:
        """What is sent."""
        return f"{self.message}\n\n{self.attachment}" if self.attachment else self.message


def load_questions(path: Path) -> list[Question]:
    """The questions of a file. Raises BlindFailed with every problem, by line.

    A line: {"id", "category", "message", "attachment"?: name of a text file beside this one, "must"?: [fact],
    "must_not"?: [fact]}; a fact is a text, or {"date": "2026-03-10"}, {"case_number": "…"} or {"any": [fact, …]}.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BlindFailed(f"{path} cannot be read: {error}") from None
    questions: dict[str, Question] = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = _parse(json.loads(line), path.parent)
            if question.id in questions:
                raise ValueError(f"the id {question.id!r} was there before")
            questions[question.id] = question
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if not questions and not problems:
        problems = ["there is no question in it"]
    if problems:
        raise BlindFailed(f"{path}: " + "; ".join(problems))
    return list(questions.values())


def _parse(raw: Any, folder: Path) -> Question:
    if not isinstance(raw, Mapping):
        raise ValueError("is no object")
    unknown = [name for name in raw if name not in _MEMBERS]
    if unknown:
        raise ValueError(f"unknown member {unknown[0]!r}; known: {', '.join(_MEMBERS)}")
    texts = {name: raw.get(name, "") for name in ("id", "category", "message", "attachment")}
    for name, value in texts.items():
        if not isinstance(value, str) or (name != "attachment" and not value.strip()):
            raise ValueError(f"{name} must be a text that is not empty")
    facts = {}
    for name in ("must", "must_not"):
        given = raw.get(name, [])
        if not isinstance(given, list):
            raise ValueError(f"{name} must be a list of facts")
        facts[name] = tuple(parse_fact(fact) for fact in given)
    attachment = _attachment(folder, texts["attachment"]) if texts["attachment"] else ""
    return Question(texts["id"], texts["category"], texts["message"], attachment, facts["must"], facts["must_not"])


def _attachment(folder: Path, name: str) -> str:
    path = folder / name
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the attachment {name!r} cannot be read as text: {error}") from None
    if len(text) > MAX_ATTACHMENT_CHARS:
        raise ValueError(f"the attachment {name!r} is longer than {MAX_ATTACHMENT_CHARS:,} characters")
    return text
