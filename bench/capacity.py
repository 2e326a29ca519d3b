"""docs/capacity.md from the reports of `rom load`, with its plots.

`python -m bench capacity --load=load.json --faults=faults.json --chaos=chaos.json --limit=limit.json`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rom_core.ops.load.plots import svg

_DOCS = Path(__file__).parents[1] / "docs"
_SVG = '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff" '
# Of the owner: what must hold before a larger instance or quota is paid for (ops/prometheus/rom.rules.yml).
_P95_SECONDS = 45.0
_MEMORY_MB = 2048.0
_MEMORY_SHARE = 0.8
_ENOUGH_TURNS = 100


def main() -> None:
    """Read the four reports and write the page."""
    given = dict(option.removeprefix("--").split("=", 1) for option in sys.argv[1:])
    load, faults, chaos, limit = (_read(given[name]) for name in ("load", "faults", "chaos", "limit"))
    steps = sorted(limit["limit"]["steps"], key=lambda step: step["users"])
    # A step that surely failed ended early, and its few turns say nothing about their durations.
    told = [step for step in steps if step["turns"] >= _ENOUGH_TURNS]
    _plot("users-p95", "Duration of good turns, s", {name: _line(told, name) for name in ("p50", "p95", "p99")}, told)
    _plot("users-memory", "Memory, MB", {"memory": _line(told, "memory_mb")}, told)
    _plot("users-turns", "Turns per second", {"turns": _line(told, "turns_per_second")}, told)
    text = (Path(__file__).parent / "capacity.md.in").read_text("utf-8")
    filled = text.format(
        carried=limit["limit"]["carried"],
        why=limit["limit"]["why"],
        runs=_runs([("5 % faults", load), ("20 % faults", faults)]),
        steps=_table([_step(step) for step in steps]),
        disturbances=_disturbances(chaos),
        chaos=chaos["outcome"],
        upgrade_latency=_first(told, "p95", _P95_SECONDS),
        upgrade_memory=_first(told, "memory_mb", _MEMORY_SHARE * _MEMORY_MB),
    )
    (_DOCS / "capacity.md").write_text(filled, "utf-8")


def _read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return found


def _line(steps: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(step["users"], step[name]) for step in steps if step[name] is not None]


def _plot(name: str, title: str, lines: dict[str, list[tuple[float, float]]], steps: list[dict[str, Any]]) -> None:
    text = svg(title, lines, max(step["users"] for step in steps), "{:.0f}".format)
    (_DOCS / "reports" / f"{name}.svg").write_text(text.replace("<svg ", _SVG, 1) + "\n", "utf-8")


def _runs(runs: list[tuple[str, dict[str, Any]]]) -> str:
    names = list(runs[0][1]["figures"])
    rows = [["", *(title for title, _ in runs)], ["verdict", *(run["outcome"] for _, run in runs)]]
    rows += [[name, *(run["figures"][name] for _, run in runs)] for name in names]
    return _table([dict(zip(rows[0], row, strict=True)) for row in rows[1:]])


def _step(step: dict[str, Any]) -> dict[str, str]:
    return {
        "users": str(step["users"]),
        "verdict": step["outcome"],
        "turns": f"{step['turns']}, {step['failed']} failed",
        "per second": f"{step['turns_per_second']:.2f}",
        "p50, p95, p99 (s)": ", ".join(f"{step[name]:.1f}" for name in ("p50", "p95", "p99")),
        "memory (MB)": f"{step['memory_mb']:.0f}",
        "USD an answer": f"{step['cost_an_answer']:.4f}",
    }


def _disturbances(run: dict[str, Any]) -> str:
    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.0f} s"

    return _table(
        [
            {
                "what": one["name"],
                "lasted": seconds(one["ended"] - one["began"]),
                "failed turns": f"{one['failed']} of {one['turns']}",
                "time to recover": seconds(one["seconds_to_recover"]),
            }
            for one in run["disturbances"]
        ]
    )


def _table(rows: list[dict[str, str]]) -> str:
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*lines, *("| " + " | ".join(row.values()) + " |" for row in rows)])


def _first(steps: list[dict[str, Any]], name: str, limit: float) -> str:
    """In words: from how many users on a figure is above its limit."""
    over = [step["users"] for step in steps if step[name] is not None and step[name] > limit]
    most = max(step["users"] for step in steps)
    highest = max(step[name] for step in steps if step[name] is not None)
    return f"first at {min(over)} users" if over else f"not up to {most} users (at the most {highest:.0f})"


if __name__ == "__main__":
    main()
