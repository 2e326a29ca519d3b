"""The folder: sealed, hashed, whole after any interruption."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from rom_core.ops.blind.facts import parse_fact
from rom_core.ops.blind.folder import Answer, Folder, Judgement
from rom_core.ops.blind.judging import pairs, unjudged, winner
from rom_core.ops.blind.questions import BlindFailed, Question

ARMS = {"a": {"url": "http://127.0.0.1:1", "body": {}}, "b": {"url": "http://127.0.0.1:2", "body": {}}}


@pytest.fixture
def test(tmp_path: Path) -> Folder:
    """Ten questions, answered by both arms."""
    facts = (parse_fact("sim"), parse_fact({"date": "2026-03-10"}), parse_fact({"any": ["x", "y"]}))
    questions = [Question(str(number), "c", f"pergunta {number}", must=facts) for number in range(10)]
    folder = Folder.create(tmp_path / "t", questions, ARMS, 0.1, random.Random(1))  # type: ignore[arg-type]
    for question in questions:
        folder.add_answer(Answer(question.id, "a", text=f"velha {question.id}"))
        folder.add_answer(Answer(question.id, "b", text=f"nova {question.id}"))
    return folder


def test_a_judge_sees_both_answers_and_no_names(test: Folder) -> None:
    """Left and right were drawn once; the file does not show which is which; a choice finds its arm."""
    shown = pairs(test)
    assert {pair.left.split()[0] for pair in shown} == {"velha", "nova"}
    assert [pair.left for pair in pairs(Folder(test.path))] == [pair.left for pair in shown]
    for pair in shown:
        arm = "a" if pair.left.startswith("velha") else "b"
        assert winner(test, pair.question.id, "left") == arm
        assert winner(test, pair.question.id, "right", swapped=True) == arm
        assert winner(test, pair.question.id, "equal") is None
    written = json.loads((test.path / "test.json").read_text())
    assert '"0"' not in written["seal"]


def test_a_changed_test_is_refused(test: Folder) -> None:
    """The seal, the questions and the answers: each with a sentence."""
    path = test.path / "test.json"
    whole = path.read_text()
    path.write_text(whole.replace('"seal": "', '"seal": "c'))
    with pytest.raises(BlindFailed, match="changed or damaged"):
        Folder(test.path)
    path.write_text(whole)
    questions = test.path / "questions.jsonl"
    questions.write_text(questions.read_text().replace("pergunta 1", "outra"))
    with pytest.raises(BlindFailed, match="changed after the test began"):
        Folder(test.path)
    answers = test.path / "answers.jsonl"
    answers.write_text(answers.read_text().replace("nova 3", "nova 33"))
    with pytest.raises(BlindFailed, match="'3' was edited after it was collected"):
        test.answers()


def test_a_line_that_was_cut_off_costs_only_itself(test: Folder) -> None:
    """Whatever byte a kill comes at: the lines before it count, the next one is whole."""
    path = test.path / "answers.jsonl"
    whole = path.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    for cut in range(last, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert len(test.answers()) == 19
        test.add_answer(Answer("9", "b", text="de novo"))
        assert test.answers()["9", "b"].text == "de novo"


def test_each_judge_goes_on_where_they_stopped(test: Folder) -> None:
    """In an order of their own; a second judgement of the same question replaces the first."""
    first = [pair.question.id for pair, _, _ in unjudged(test, "ana")]
    assert first != [pair.question.id for pair, _, _ in unjudged(test, "bia")]
    test.add_judgement(Judgement(first[0], "ana", "left"))
    assert [pair.question.id for pair, _, _ in unjudged(test, "ana")] == first[1:]
    assert next(unjudged(test, "ana"))[1:] == (2, 10)
    test.add_judgement(Judgement(first[0], "ana", "right"))
    assert [one.choice for one in test.judgements()] == ["right"]


def test_questions_come_back_as_they_were(test: Folder) -> None:
    """Facts too."""
    assert Folder(test.path).questions == test.questions
    assert [fact.kind for fact in test.questions[0].must] == ["text", "date", "any"]


def test_one_folder_one_test(test: Folder, tmp_path: Path) -> None:
    """A second test does not write over the first; a folder without a test says how to begin one."""
    with pytest.raises(BlindFailed, match="another folder"):
        Folder.create(test.path, test.questions, ARMS, 0.1, random.Random(1))  # type: ignore[arg-type]
    with pytest.raises(BlindFailed, match="rom blind ask"):
        Folder(tmp_path)
