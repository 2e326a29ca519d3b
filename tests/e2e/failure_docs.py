"""The tables of docs/resilience.md that measurements make: `python tests/e2e/failure_docs.py` writes them anew.

Three blocks: every kind of failure with each plugin on by itself; the lines of rom_core/resilience/verdicts.py that no
peer can bring about, driven without sockets; and all cells, failures that came out alike on one row.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from e2e.failure_cases import CASES, UNDRIVEN, Case  # noqa: E402
from e2e.failure_table import SETTINGS, Cell, Laboratory, Measured  # noqa: E402
from resilience import FIRST, Bench  # noqa: E402
from support import make_turn  # noqa: E402

from rom_core.errors import ModelError  # noqa: E402
from rom_core.events import RetryScheduled  # noqa: E402
from rom_core.resilience.verdicts import FAILURES, Failure  # noqa: E402

DOCS = ROOT / "docs" / "resilience.md"
ALONE, UNIT, CELLS = "each plugin by itself", "without sockets", "every cell"
_ANSWER = "HTTP answer if nothing helps"
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    ALONE: ("what happens", "retried", "counts for the breaker", "goes to the fallback", _ANSWER),
    UNIT: ("what happens", "retried", "counts for the breaker", "goes to the fallback", _ANSWER, "brought about in"),
    CELLS: ("which failures", "met how", "nothing on", "retry", "fallback", "retry, fallback"),
}
_TIMES = {0: "no", 1: "once", 3: "3 times"}
_NAMES = "<br>"

Row = tuple[str, ...]


# -- each plugin by itself -------------------------------------------------------------------------------------------


def row(case: Case, measured: Mapping[Cell, Measured]) -> Row:
    """The line that the measurements make."""
    alone = {name: measured[SETTINGS[0]._replace(**{name: True})] for name in ("retry", "breaker", "fallback")}
    bare = measured[SETTINGS[0]]
    fallback = _to_fallback(bool(alone["fallback"].haiku), alone["fallback"].passed_over)
    counts = _yes(bool(alone["breaker"].failures))
    return case.name, _TIMES[alone["retry"].retries], counts, fallback, f"{bare.status} `{bare.code}`"


def unit_row(failure: Failure) -> Row:
    """The line of a failure that is raised in the place of the model, by the same three plugins."""
    kind = failure.kinds[0] if failure.kinds else "something else"
    retried, counted, passed, bare = (_Driven(failure.error("", kind=kind), plugins) for plugins in _ONE_AT_A_TIME)
    fallback = _to_fallback(len(passed.bench.models) > 1, bool(passed.part("fallback")["passed_over"]))
    counts = _yes(counted.part("breaker")["models"][FIRST]["recent_failures"] == 1)
    answer = f"{bare.error.status} `{bare.error.code}`"
    return failure.name, _TIMES[retried.retries], counts, fallback, answer, f"`{UNDRIVEN[failure.name]}`"


_ONE_AT_A_TIME = ("retry", "breaker", "fallback", "")


class _Driven:
    """A turn whose model fails with `error` again and again."""

    def __init__(self, error: ModelError, plugins: str) -> None:
        self.bench = Bench(error, plugins=plugins)
        try:
            self.bench.runtime.run(make_turn(self.bench.runtime))
        except ModelError as raised:
            self.error = raised

    @property
    def retries(self) -> int:
        return sum(isinstance(event, RetryScheduled) for event in self.bench.recorder.events)

    def part(self, plugin: str) -> dict[str, Any]:
        found: dict[str, Any] = self.bench.runtime.current.pipeline.status()[plugin]
        return found


def _yes(it: bool) -> str:
    return "yes" if it else "no"


def _to_fallback(it: bool, passed_over: bool) -> str:
    return "yes, and passed over for a while" if passed_over else _yes(it)


# -- every cell ------------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """How a failure was met, and what came of it: nothing on, retry, fallback, both."""

    met: str
    cells: Row


def outcomes(measured: Mapping[Cell, Measured]) -> list[Outcome]:
    """All cells of one failure; ways of meeting it that came out alike are one. So is the breaker, on and off."""
    found: dict[Row, list[str]] = {}
    for streamed, after in sorted({(cell.streamed, cell.after) for cell in measured}):
        shown = tuple(
            _either(*(_shown(measured[Cell(streamed, after, retry, breaker, fallback)]) for breaker in (False, True)))
            for fallback, retry in itertools.product((False, True), repeat=2)
        )
        found.setdefault(shown, []).append(_met(streamed, after))
    return [Outcome("; ".join(_without_needless(met)), shown) for shown, met in found.items()]


_PLAIN, _PLAIN_AFTER = "plain", "plain, after some text"


def _met(streamed: bool, after: bool) -> str:
    if streamed:
        return "streamed, after it" if after else "streamed, before the first delta"
    return _PLAIN_AFTER if after else _PLAIN


def _without_needless(met: list[str]) -> list[str]:
    """An answer in one piece hands nothing over, so that both ways of meeting a failure are one if they end alike."""
    return [way for way in met if way != _PLAIN_AFTER or _PLAIN not in met]


def _shown(measured: Measured) -> str:
    asked = f"{measured.sonnet} + {measured.haiku}" if measured.haiku else f"{measured.sonnet}"
    ended = " and an `error` event" if measured.code and measured.status == 200 else ""
    return f"{asked} → {measured.status}{ended}"


def _either(off: str, on: str) -> str:
    return off if off == on else f"breaker off: {off}; on: {on}"


def grouped(found: Iterable[tuple[str, Outcome]]) -> Iterator[Row]:
    """The rows: each different outcome once, with the names of the failures that had it."""
    names: dict[Outcome, list[str]] = {}
    for name, outcome in found:
        names.setdefault(outcome, []).append(name)
    for outcome, its in sorted(names.items(), key=lambda group: (-len(group[1]), group[1])):
        yield _NAMES.join(its), outcome.met, *outcome.cells


def ungrouped(rows: Iterable[Row]) -> list[tuple[str, Outcome]]:
    """What `grouped` made rows of."""
    return [(name, Outcome(met, tuple(cells))) for names, met, *cells in rows for name in names.split(_NAMES)]


# -- the page --------------------------------------------------------------------------------------------------------


def documented(block: str) -> list[Row]:
    """The rows of a block as they stand in the page."""
    text = DOCS.read_text(encoding="utf-8")
    begin, end = _marks(block)
    head = _lines([_COLUMNS[block], ("---",) * len(_COLUMNS[block])])
    body = text[text.index(begin) + len(begin) : text.index(end)]
    assert body.startswith(head)
    return [tuple(line.removeprefix("| ").removesuffix(" |").split(" | ")) for line in body[len(head) :].splitlines()]


def write(block: str, rows: Iterable[Row]) -> None:
    """Put the rows into the page."""
    text = DOCS.read_text(encoding="utf-8")
    begin, end = _marks(block)
    lines = _lines([_COLUMNS[block], ("---",) * len(_COLUMNS[block]), *rows])
    DOCS.write_text(text[: text.index(begin)] + begin + lines + text[text.index(end) :], encoding="utf-8")


def _marks(block: str) -> tuple[str, str]:
    return f"<!-- measured, {block}: begin -->\n", f"<!-- measured, {block}: end -->\n"


def _lines(rows: Iterable[Row]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def undriven() -> list[Failure]:
    """The lines of the code's table that no case here brings about."""
    return [failure for failure in FAILURES if failure.name in UNDRIVEN]


def main() -> None:
    """Measure everything and write it."""
    laboratory = Laboratory()
    try:
        measured = {case: laboratory.measure(case) for case in CASES}
    finally:
        laboratory.close()
    write(ALONE, (row(case, its) for case, its in measured.items()))
    write(UNIT, (unit_row(failure) for failure in undriven()))
    write(CELLS, grouped((case.name, outcome) for case, its in measured.items() for outcome in outcomes(its)))


if __name__ == "__main__":
    main()
