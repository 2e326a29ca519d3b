"""Every failure × streamed or not × before or after a delta × retry, breaker, fallback on or off, over real sockets."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from e2e.failure_cases import CASES, UNDRIVEN, Case
from e2e.failure_docs import (
    ALONE,
    CELLS,
    DOCS,
    ROOT,
    UNIT,
    documented,
    grouped,
    outcomes,
    row,
    undriven,
    ungrouped,
    unit_row,
)
from e2e.failure_table import HAIKU, SONNET, Cell, Laboratory, Measured

from plugins.breaker import Breaker
from plugins.fallback import Fallback
from plugins.retry import Retry
from rom_core.resilience.verdicts import FAILURES

TEXT = "um dois três quatro"
OUT_OF_DATE = "docs/resilience.md is out of date: run `python tests/e2e/failure_docs.py`"


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    """The servers, for all tests of this module."""
    made = Laboratory()
    yield made
    made.close()


def expected(case: Case, cell: Cell) -> Measured:
    """What a person would say that has to happen."""
    status, code = case.answer.split()
    emitted = cell.streamed and cell.after
    tries = case.tries if cell.retry and not emitted else 1
    saved = cell.fallback and case.fallback and not emitted
    spent = cell.retry and case.tries > 1
    silenced = "false" if spent or code == "upstream_refused" else None
    return Measured(
        sonnet=tries,
        haiku=int(saved),
        status=200 if saved or emitted else int(status),
        code="" if saved else code,
        reply=TEXT if saved else "um dois " if emitted else "",
        model=HAIKU if saved else "",
        retries=tries - 1,
        failures=int(case.counts) if cell.breaker else None,
        should_retry=None if saved or emitted else silenced,
        passed_over=cell.fallback and case.line == "model not known or no longer served",
        lines=(case.line,) * tries,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failure_and_what_comes_of_it(laboratory: Laboratory, case: Case) -> None:
    """Requests, status, reply and counters of every cell are as expected, and stand in the documentation."""
    measured = laboratory.measure(case)
    for cell, found in measured.items():
        assert found == expected(case, cell), cell
    assert row(case, measured) in documented(ALONE), OUT_OF_DATE
    shown = [outcome for name, outcome in ungrouped(documented(CELLS)) if name == case.name]
    assert sorted(shown) == sorted(outcomes(measured)), OUT_OF_DATE


def test_the_tables_have_a_row_for_every_case_and_every_line_of_the_code() -> None:
    """Nothing else stands in the documentation, and every line of rom_core/resilience/verdicts.py is driven by some
    case, or by the unit test that stands beside it."""
    assert [cells[0] for cells in documented(ALONE)] == [case.name for case in CASES]
    cells = documented(CELLS)
    assert {name for name, _ in ungrouped(cells)} == {case.name for case in CASES}
    order = {case.name: number for number, case in enumerate(CASES)}
    assert list(grouped(sorted(ungrouped(cells), key=lambda found: order[found[0]]))) == cells, OUT_OF_DATE
    assert {failure.name for failure in FAILURES} == {case.line for case in CASES} | set(UNDRIVEN)
    assert not {case.line for case in CASES} & set(UNDRIVEN)


def test_what_no_peer_can_cause_goes_the_same_way() -> None:
    """Raised in the place of the model, each such failure meets the three plugins as its row says, which is what its
    line in the code says."""
    rows = [unit_row(failure) for failure in undriven()]
    assert rows == documented(UNIT), OUT_OF_DATE
    for failure, (_, retried, counts, fallback, answer, _) in zip(undriven(), rows, strict=True):
        assert (retried != "no", counts == "yes") == (failure.retry != "no", failure.counts)
        assert (fallback != "no", answer.replace("`", "")) == (failure.fallback != "no", failure.answer)


@pytest.mark.parametrize("named", sorted(set(UNDRIVEN.values())))
def test_the_tests_that_the_page_names_exist(named: str) -> None:
    """A renamed test takes its mention with it."""
    file, _, name = named.partition("::")
    functions = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    assert name in {node.name for node in functions if isinstance(node, ast.FunctionDef)}


def test_the_models_of_the_table_are_those_of_the_settings() -> None:
    """The first model fails, the second one is its fallback."""
    assert (SONNET, HAIKU) == ("anthropic.claude-sonnet-4-5", "anthropic.claude-haiku-4-5")


def test_every_setting_is_documented_with_its_default() -> None:
    """The tables of the page and the declarations of the three plugins agree."""
    settings = [setting for plugin in (Retry(), Breaker(), Fallback()) for setting in plugin.rom_settings()]
    page = DOCS.read_text(encoding="utf-8")
    for setting in settings:
        default = setting.default
        numbers = [f"{number:g}" for number in default] if isinstance(default, tuple) else None
        shown = f"[{', '.join(numbers)}]" if numbers else str(default).lower() if default is False else f"{default:g}"
        assert f"| {setting.name} | {shown} |" in page
