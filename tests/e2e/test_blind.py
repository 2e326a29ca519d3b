"""`rom blind` end to end: two arms on a real server, a judge at the keyboard, a verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from e2e.serving import ROOT, RomServer, serving, until

from local_bedrock import LocalBedrock, reply
from rom_core.cli import main
from rom_core.ops.blind.folder import Choice, Folder, Judgement
from rom_core.ops.blind.judging import Pair, pairs

SERVER_SETTINGS: dict[str, Any] = {}
ENVIRON = {"PATH": os.environ["PATH"], "COLUMNS": "200"}


def rom(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `rom blind …`."""
    return subprocess.run(
        [sys.executable, "-m", "rom_core", "blind", *arguments],
        cwd=ROOT,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def judged(folder: Path, choose: Callable[[Pair], Choice]) -> None:
    """Somebody judges every pair by a rule of their own."""
    test = Folder(folder)
    for pair in pairs(test):
        test.add_judgement(Judgement(pair.question.id, "ana", choose(pair)))


def longer(pair: Pair) -> Choice:
    """Whoever says more."""
    if len(pair.left) == len(pair.right):
        return "equal"
    return "left" if len(pair.left) > len(pair.right) else "right"


def test_an_arm_made_worse_is_found_worse(server: RomServer, tmp_path: Path) -> None:
    """Its answers are cut after a few tokens: exit 1, the lost questions and the missed facts are listed."""
    out = str(tmp_path / "t")
    asked = rom("ask", "--a", server.url, "--b", server.url, "--b-set", "max_tokens=8", "--out", out)
    assert asked.returncode == 0, asked.stderr
    assert "160/160" in asked.stdout
    judged(Path(out), longer)
    said = rom("verdict", out)
    assert said.returncode == 1, said.stdout + said.stderr
    assert "people: b is worse" in said.stdout
    assert "b lost: " in said.stdout
    found = json.loads(rom("verdict", out, "--json").stdout)
    assert found["people"]["count"]["lost"] > 60
    assert found["facts"]["a"]["held"] > found["facts"]["b"]["held"]
    assert found["models"] is None


def test_two_equal_arms_are_not_worse(server: RomServer, tmp_path: Path) -> None:
    """The same server twice: exit 0. Without judgements: exit 2."""
    out = str(tmp_path / "t")
    assert rom("ask", "--a", server.url, "--b", server.url, "--out", out).returncode == 0
    nobody = rom("verdict", out)
    assert (nobody.returncode, "nobody has judged" in nobody.stdout) == (2, True)
    judged(Path(out), longer)
    said = rom("verdict", out)
    assert (said.returncode, "people: b is not worse" in said.stdout) == (0, True), said.stdout


def test_a_person_judges_at_the_keyboard(server: RomServer, tmp_path: Path) -> None:
    """In Portuguese, without names; notes, skipping and leaving; the next time it goes on."""
    questions = tmp_path / "q.jsonl"
    lines = [{"id": str(n), "category": "c", "message": f"[[say=resposta]] pergunta {n}"} for n in range(4)]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = str(tmp_path / "t")
    asked = rom("ask", "--questions", str(questions), "--a", server.url, "--b", server.url, "--out", out)
    assert asked.returncode == 0, asked.stderr
    runner = CliRunner()
    first = runner.invoke(main, ["blind", "judge", out], input="Ana\nx\nn\nmais clara\ne\np\ns\n")
    assert first.exit_code == 0, first.output
    for words in (
        "Pergunta 1 de 4",
        "Esquerda",
        "Direita",
        "Responda com uma das letras",
        "1 perguntas julgadas por Ana",
    ):
        assert words in first.output
    assert server.url not in first.output
    (kept,) = Folder(Path(out)).judgements()
    assert (kept.choice, kept.note, kept.kind) == ("left", "mais clara", "person")
    second = runner.invoke(main, ["blind", "judge", out, "--judge", "Ana"], input="d\ni\nr\n")
    assert second.exit_code == 0, second.output
    assert "Pergunta 2 de 4" in second.output
    assert len(Folder(Path(out)).judgements()) == 4
    assert runner.invoke(main, ["blind", "verdict", out]).exit_code == 2


def test_a_model_judges_apart_from_people(server: RomServer, tmp_path: Path) -> None:
    """Each pair both ways round: one that always says left sees no difference; what it says is no verdict of people."""
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"id": "1", "category": "c", "message": "[[say=ESQUERDA]] pergunta"}) + "\n")
    out = str(tmp_path / "t")
    assert rom("ask", "--questions", str(questions), "--a", server.url, "--b", server.url, "--out", out).returncode == 0
    asked = rom("judge", out, "--model", "anthropic.claude-haiku-4-5", "--url", server.url)
    assert asked.returncode == 0, asked.stderr
    assert [one.swapped for one in Folder(Path(out)).judgements()] == [False, True]
    said = rom("verdict", out, "--json")
    found = json.loads(said.stdout)
    assert (said.returncode, found["people"], found["models"]["count"]["equal"]) == (2, None, 1)


def test_an_interruption_keeps_what_was_collected(bedrock: LocalBedrock, tmp_path: Path) -> None:
    """Ctrl-C in the middle: a sentence, exit 2; the same command asks only what is missing."""
    out = tmp_path / "t"
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as server:
        command = ["ask", "--a", server.url, "--b", server.url, "--out", str(out)]
        # It cannot have come to its end before it is interrupted.
        bedrock.script(*[reply("resposta")] * 8)
        bedrock.set_always("[[latency=2]] [[say=resposta]]")
        with subprocess.Popen(
            [sys.executable, "-m", "rom_core", "blind", *command],
            cwd=ROOT,
            env=ENVIRON,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                answers = out / "answers.jsonl"
                assert until(lambda: answers.exists() and answers.read_text().count("\n") >= 5)
                process.send_signal(signal.SIGINT)
                _, complaint = process.communicate(timeout=90)
            finally:
                process.kill()
                bedrock.reset()
        assert process.returncode == 2
        assert "the same command goes on" in complaint
        kept = len(Folder(out).answers())
        again = rom(*command)
        assert (again.returncode, again.stdout.split()[0]) == (0, f"{kept + 1}/160")
        assert len(Folder(out).answers()) == 160
        other = rom(*command, "--margin", "20%")
        assert (other.returncode, "another margin" in other.stderr) == (2, True)


def test_an_arm_that_answers_nothing_is_a_sentence(server: RomServer, tmp_path: Path) -> None:
    """After five failures in a row; exit 2."""
    asked = rom("ask", "--a", server.url, "--b", "http://127.0.0.1:9", "--out", str(tmp_path / "t"))
    assert asked.returncode == 2
    assert "arm b failed 5 times in a row" in asked.stderr
