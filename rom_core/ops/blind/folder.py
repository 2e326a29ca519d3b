"""The folder of a blind test: what was asked, what was answered, what was judged. Lines are only ever added.

`test.json` holds the arms, the questions and the seal; `answers.jsonl` one line for each answer, `judgements.jsonl` one
for each judgement. Every line is on the disk before the next step, so that an interruption costs nothing.

Which arm stands on which side is drawn once and sealed: encoded, so that nobody reads it by accident, with a hash, so
that nobody changes it unseen. The verdict opens it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import random
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rom_core.ops.blind.questions import BlindFailed, Question, load_questions

Arm = Literal["a", "b"]
Choice = Literal["left", "right", "equal", "both_bad"]
CHOICES: tuple[Choice, ...] = ("left", "right", "equal", "both_bad")
_TEST, _ANSWERS, _JUDGEMENTS, _QUESTIONS = "test.json", "answers.jsonl", "judgements.jsonl", "questions.jsonl"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one arm answered to one question; `error` instead of a text if it did not."""

    question: str
    arm: Arm
    text: str = ""
    error: str = ""
    seconds: float = 0.0
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def digest(self) -> str:
        """The hash that tells whether the text was edited after it was collected."""
        return _digest(f"{self.question}\0{self.arm}\0{self.text}\0{self.error}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judge's choice for one question. `kind` keeps people and models apart; `swapped` shows the sides changed."""

    question: str
    judge: str
    choice: Choice
    kind: Literal["person", "model"] = "person"
    swapped: bool = False
    note: str = ""
    at: str = ""


class Folder:
    """One blind test on disk."""

    def __init__(self, path: Path) -> None:
        """Raises BlindFailed if there is no test in it, or if it was changed by hand."""
        self.path = path
        try:
            self._test = json.loads((path / _TEST).read_text("utf-8"))
            self.margin = float(self._test["margin"])
            self.arms: dict[Arm, dict[str, Any]] = self._test["arms"]
            self._sides: dict[str, Arm] = _open_seal(self._test["seal"], self._test["seal_sha256"])
        except FileNotFoundError:
            raise BlindFailed(f"{path} holds no blind test; begin one with: rom blind ask --out {path} …") from None
        except (OSError, ValueError, KeyError, TypeError, zlib.error) as error:
            raise BlindFailed(f"{path / _TEST} was changed or damaged ({error}); begin a new test") from None
        questions = path / _QUESTIONS
        if _digest(questions.read_text("utf-8")) != self._test["questions_sha256"]:
            raise BlindFailed(f"{questions} was changed after the test began; begin a new test")
        self.questions = load_questions(questions)

    @classmethod
    def create(
        cls,
        path: Path,
        questions: list[Question],
        arms: Mapping[Arm, Mapping[str, Any]],
        margin: float,
        draw: random.Random,
    ) -> Folder:
        """Begin a test, with the margin that it will be judged by. Raises BlindFailed if there is one already."""
        if (path / _TEST).exists():
            raise BlindFailed(f"{path} holds a blind test already; name another folder with --out")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = "".join(json.dumps(_as_line(question), ensure_ascii=False) + "\n" for question in questions)
        (path / _QUESTIONS).write_text(text, "utf-8")
        sides = {question.id: draw.choice(("a", "b")) for question in questions}
        sealed = base64.b85encode(zlib.compress(json.dumps([draw.getrandbits(64), sides]).encode())).decode()
        test = {
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            "arms": arms,
            "margin": margin,
            "questions_sha256": _digest(text),
            "seal": sealed,
            "seal_sha256": _digest(sealed),
        }
        _write_whole(path / _TEST, json.dumps(test, ensure_ascii=False, indent=2) + "\n")
        return cls(path)

    def left(self, question: str) -> Arm:
        """The arm whose answer stands on the left. For showing and for the verdict; nobody else asks."""
        return self._sides[question]

    def answers(self) -> dict[tuple[str, Arm], Answer]:
        """The newest answer of each arm to each question. Raises BlindFailed if one was edited."""
        found: dict[tuple[str, Arm], Answer] = {}
        for number, line in self._lines(_ANSWERS):
            digest = line.pop("sha256", "")
            answer = Answer(**line)
            if answer.digest != digest:
                raise BlindFailed(
                    f"{self.path / _ANSWERS}, line {number}: the answer to {answer.question!r} was edited after it was "
                    "collected; put the line back, or delete it and ask again"
                )
            found[answer.question, answer.arm] = answer
        return found

    def judgements(self) -> list[Judgement]:
        """Every judgement; of the same judge on the same question and sides, the newest."""
        newest = {}
        for _, line in self._lines(_JUDGEMENTS):
            judgement = Judgement(**line)
            newest[judgement.kind, judgement.judge, judgement.question, judgement.swapped] = judgement
        return list(newest.values())

    def add_answer(self, answer: Answer) -> None:
        """Keep an answer."""
        self._add(_ANSWERS, {**asdict(answer), "sha256": answer.digest})

    def add_judgement(self, judgement: Judgement) -> None:
        """Keep a judgement."""
        self._add(_JUDGEMENTS, asdict(judgement))

    def _add(self, name: str, line: Mapping[str, Any]) -> None:
        with (self.path / name).open("a+b") as file:
            file.seek(0)
            # A half-written last line is dropped before appending.
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _lines(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The lines of a file with their numbers; a last one that was cut off in the middle counts as not written."""
        try:
            lines = (self.path / name).read_text("utf-8").split("\n")
        except FileNotFoundError:
            return
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                yield number, json.loads(line)
            except ValueError:
                if number < len(lines):
                    raise BlindFailed(f"{self.path / name}, line {number} is damaged; delete it and go on") from None


def _as_line(question: Question) -> dict[str, Any]:
    line: dict[str, Any] = {"id": question.id, "category": question.category, "message": question.prompt}
    for name in ("must", "must_not"):
        facts = [_fact_line(fact) for fact in getattr(question, name)]
        line |= {name: facts} if facts else {}
    return line


def _fact_line(fact: Any) -> Any:
    if fact.kind == "text":
        return fact.shown
    return {fact.kind: [_fact_line(one) for one in fact.value] if fact.kind == "any" else fact.shown}


def _open_seal(sealed: str, digest: str) -> dict[str, Arm]:
    if _digest(sealed) != digest:
        raise ValueError("the seal is broken")
    _, sides = json.loads(zlib.decompress(base64.b85decode(sealed)))
    return dict(sides)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write_whole(path: Path, text: str) -> None:
    """All of the file or nothing of it."""
    beside = path.with_suffix(".new")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
