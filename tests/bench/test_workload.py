"""The published workload keeps what docs/cost.md claims of it; `rom cost --workload` replays it, or one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.workload import CONVERSATIONS, SINGLES
from rom_core.cli import main
from rom_core.cli.cost_workload import replayed_report
from rom_core.ops.workload import InvalidWorkload, read_workload

ROOT = Path(__file__).parents[2]
MODEL = "anthropic.claude-sonnet-4-5"
TURN = {"pause": 5, "question": 900, "results": [2000], "answer": 300}


def test_conversations_with_tools_cost_at_least_39_percent_less() -> None:
    """Of the whole bill, output included; both sides use the same tokens, and every total is the sum of its turns."""
    found = replayed_report(CONVERSATIONS, ROOT, MODEL)
    assert found["total"]["requests"] == 906
    assert found["replayed"]["change_percent"] <= -39
    assert found["without_caching"]["usd"] == pytest.approx(found["replayed"]["without_caching_usd"])
    assert found["without_caching"]["saved_percent"] >= 39
    assert sum(found["cache_rules"].values()) == 906


@pytest.mark.parametrize("model", [MODEL, "anthropic.claude-haiku-4-5"])
def test_single_calls_cost_at_most_1_percent_more(model: str) -> None:
    """Where nothing is read again, next to nothing is risked."""
    assert replayed_report(SINGLES, ROOT, model)["replayed"]["change_percent"] <= 1


def written(folder: Path, *rows: Any) -> Path:
    """A workload file of these rows."""
    file = folder / "work.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return file


def test_a_text_or_its_length_gives_the_same_bill(tmp_path: Path) -> None:
    """Who records a workload need not write down what was said."""
    lengths = {"start": 0, "turns": [TURN, TURN]}
    texts = {"pause": 5, "question": "q" * 900, "results": ["r" * 2000], "answer": "a" * 300}
    bills = []
    for row in (lengths, {"start": 0, "turns": [texts, texts]}):
        found = replayed_report(written(tmp_path, {"system": 7000}, row), tmp_path, "")
        bills.append((found["replayed"], found["total"]))
    assert bills[0] == bills[1]
    assert bills[0][1]["requests"] == 4


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"start": 0}, "turns"),
        ({"start": 0, "turns": []}, "no turns"),
        ({"start": "now", "turns": [TURN]}, "a number of seconds"),
        ({"start": 0, "turns": [TURN | {"pause": -1}]}, "a number of seconds"),
        ({"start": 0, "turns": [TURN | {"question": ""}]}, "a text or its number"),
        ({"start": 0, "turns": [TURN | {"answer": 0}]}, "a text or its number"),
        ([1], "no conversation"),
    ],
)
def test_what_is_no_workload_is_refused_with_its_line(tmp_path: Path, row: Any, said: str) -> None:
    """By number."""
    with pytest.raises(InvalidWorkload, match=f"line 2.*{said}"):
        read_workload(written(tmp_path, {"system": "s"}, row))


def test_the_command_replays_a_file_without_any_server(tmp_path: Path) -> None:
    """With --json one object with `total` and `without_caching`; else tables, and what cannot be shown in words."""
    file = written(tmp_path, {"system": 7000}, *[{"start": 60 * n, "turns": [TURN] * 3} for n in range(6)])
    run = ["cost", "--workload", str(file), "--root", str(tmp_path)]
    found = json.loads(CliRunner().invoke(main, [*run, "--json"]).output)
    assert found["total"]["requests"] == 36
    assert found["replayed"]["model"] == MODEL
    assert found["without_caching"]["usd"] == found["replayed"]["without_caching_usd"]
    shown = CliRunner().invoke(main, [*run, "--model", "anthropic.claude-haiku-5-5"]).output
    assert "replayed with anthropic.claude-haiku-5-5" in shown
    assert "Not measured on AWS" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "x"], "--model goes with --workload"),
        (["--workload", "FILE", "--since", "1h"], "--since does not go"),
        (["--workload", "FILE", "--model", "nobody"], "MODEL_PRIMARY"),
    ],
)
def test_what_does_not_go_together_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    """An alias that MODELS does not have, and options of the other kind of report."""
    monkeypatch.setenv("ROM_ADMIN_TOKEN", "a-token-for-tests")
    file = written(tmp_path, {"start": 0, "turns": [TURN]})
    run = [str(file) if option == "FILE" else option for option in options]
    done = CliRunner().invoke(main, ["cost", *run, "--root", str(tmp_path)])
    assert done.exit_code != 0
    assert said in done.output
