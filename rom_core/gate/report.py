"""What a person sees of the gate: a line of current figures while it watches, and the verdict as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import ExitStack

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from rom_core.gate.figures import Figures
from rom_core.gate.verdict import Outcome, Verdict, p95
from rom_core.gate.watch import WatchProgress

COLOURS = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.INCONCLUSIVE: "yellow"}
# Without a terminal there is no line to rewrite: a log gets one now and then.
LOG_SECONDS = 300.0


class Progress:
    """One line with the current figures, rewritten on a terminal; elsewhere a line every five minutes."""

    def __init__(self, console: Console, window: float, stack: ExitStack) -> None:
        self._console = console
        self._window = window
        self._status: Status | None = stack.enter_context(console.status("")) if console.is_terminal else None
        self._logged_at = -math.inf

    def __call__(self, progress: WatchProgress) -> None:
        """Show one progress."""
        line = f"{clock_face(progress.elapsed)} of {clock_face(self._window)} · {summary(progress.figures)}"
        line += f" · {progress.failure}" if progress.failure else ""
        if self._status is not None:
            self._status.update(Text(line))
        elif progress.failure or progress.elapsed - self._logged_at >= LOG_SECONDS:
            self._logged_at = progress.elapsed
            self._console.print(line, markup=False, soft_wrap=True)


def clock_face(seconds: float) -> str:
    """`1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def summary(figures: Figures) -> str:
    """The current figures in one line."""
    ok, errors, refused = (figures.turns.get(status, 0.0) for status in ("ok", "error", "rejected"))
    attempts = sum(figures.attempts.values())
    slowest = p95(figures.buckets)
    parts = [
        f"{ok + errors + refused:.0f} turns",
        f"errors {_percent(errors, ok + errors)}",
        f"p95 {seconds_text(slowest, figures.buckets)}",
        f"memory {figures.memory:.0%}" if figures.memory is not None else "memory ?",
        f"429 {_percent(figures.attempts.get('throttled', 0.0), attempts)}",
        f"refused {_percent(refused, ok + errors + refused)}",
    ]
    return " · ".join(parts)


def show(verdict: Verdict, console: Console) -> None:
    """The verdict for people."""
    table = Table("check", "outcome", "value", "limit", "why", box=None, pad_edge=False)
    for check in verdict.checks:
        colour = COLOURS[check.outcome]
        value = value_text(check.name, check.value, verdict.figures.buckets)
        limit = limit_text(check.name, check.limit)
        table.add_row(check.name, Text(check.outcome, style=colour), value, limit, check.why)
    console.print(table)
    # A fail needs no whole window: what is missing then did not keep the gate from judging.
    what = "incomplete" if verdict.outcome == Outcome.FAIL else "cannot judge"
    for reason in verdict.reasons:
        console.print(f"{what}: {reason}", style="yellow", markup=False)
    console.print(f"verdict: {verdict.outcome}", style=f"bold {COLOURS[verdict.outcome]}")


def seconds_text(value: float | None, buckets: Iterable[float], *, estimated: bool = True) -> str:
    """`~8.1 s` for an estimate within a bucket of a histogram, else `8.1 s`; beyond the last edge that it is more."""
    if value is None:
        return "-"
    if math.isinf(value):
        edges = [edge for edge in buckets if math.isfinite(edge)]
        return f"> {max(edges):g} s" if edges else "-"
    return f"~{value:.2g} s" if estimated else f"{value:.3g} s"


def limit_text(name: str, limit: float | None) -> str:
    """The limit of a check: `30 s`, `2`, `1.00%`."""
    return seconds_text(limit, (), estimated=False) if name == "p95" else value_text(name, limit)


def value_text(name: str, value: float | None, buckets: Iterable[float] = ()) -> str:
    """The value of a check: `~8.1 s`, `2`, `0.33%`; `-` for None."""
    if name == "p95":
        return seconds_text(value, buckets)
    if value is None:
        return "-"
    return f"{value:.0f}" if name == "restarts" else f"{value:.2%}"


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.2%}" if whole else "-"
