"""Questions files: checked whole, and our own set."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from plugins.legal_tools.case_number import parse
from rom_core.cli.blind import OUR_QUESTIONS
from rom_core.ops.blind.questions import BlindFailed, load_questions


def write(folder: Path, *lines: Any) -> Path:
    """A questions file."""
    path = folder / "q.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_our_own_set_has_eighty_questions_in_eight_categories() -> None:
    """Ten each, most of them with facts to check; the case numbers in it are what it says they are."""
    ours = load_questions(Path(str(files("rom_core.ops.blind") / OUR_QUESTIONS)))
    assert set(Counter(question.category for question in ours).values()) == {10}
    assert (len(ours), len({question.category for question in ours})) == (80, 8)
    assert sum(bool(question.must) for question in ours) >= 60
    for question in ours:
        if any(fact.shown == "válido" for fact in question.must):
            (number,) = re.findall(r"[\d.-]{25}", question.message)
            assert parse(number).expected_check == parse(number).check


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """With its line."""
    good = {"id": "1", "category": "c", "message": "m"}
    path = write(
        tmp_path, good, good, "{", {"id": "2"}, {**good, "id": "3", "mst": []}, {**good, "id": "4", "must": [5]}
    )
    with pytest.raises(BlindFailed) as failed:
        load_questions(path)
    text = str(failed.value)
    for part in ("2: the id '1' was there before", "3: ", "4: category", "5: unknown member 'mst'", "6: 5 is no fact"):
        assert f"line {part}" in text


def test_an_attachment_goes_with_the_message(tmp_path: Path) -> None:
    """Its text follows; one that cannot be read is a problem."""
    (tmp_path / "contrato.txt").write_text("cláusula 1")
    question = {"id": "1", "category": "c", "message": "leia", "attachment": "contrato.txt"}
    assert load_questions(write(tmp_path, question))[0].prompt == "leia\n\ncláusula 1"
    with pytest.raises(BlindFailed, match=r"nada\.txt"):
        load_questions(write(tmp_path, {**question, "attachment": "nada.txt"}))


def test_an_empty_or_missing_file_is_a_sentence(tmp_path: Path) -> None:
    """No traceback."""
    with pytest.raises(BlindFailed, match="no question"):
        load_questions(write(tmp_path, ""))
    with pytest.raises(BlindFailed, match="cannot be read"):
        load_questions(tmp_path / "nothing.jsonl")


def test_dates_are_dates() -> None:
    """Every deadline in our own set lies after the day that its question names."""
    for question in load_questions(Path(str(files("rom_core.ops.blind") / OUR_QUESTIONS))):
        for fact in question.must:
            if fact.kind == "date":
                day, month, year = re.findall(r"(\d\d)/(\d\d)/(\d{4})", question.message)[0]
                assert date(int(year), int(month), int(day)) < date.fromisoformat(fact.shown)
