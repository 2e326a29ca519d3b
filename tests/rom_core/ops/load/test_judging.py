"""The verdict on a run: the gate's rules over both sides, and nothing that may never happen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rom_core.gate import Figures, Outcome, Thresholds
from rom_core.ops.load.invariants import DOUBLED
from rom_core.ops.load.judging import percentile, surely_failing, verdict_on
from rom_core.ops.load.page import as_json, page
from rom_core.ops.load.player import Turn
from rom_core.ops.load.recording import Disturbance, Recording, Sample

GOOD = Turn(1000.0, "short", "ok", "", 2.0, 0.5, (), 10, "", "req")
FIGURES = Figures(
    turns={"ok": 400.0},
    buckets={30.0: 400.0, float("inf"): 400.0},
    attempts={"ok": 400.0},
    memory=0.1,
    watched=600.0,
    scrapes=300,
)


def recording(turns: list[Turn], figures: Figures = FIGURES) -> Recording:
    """A run of ten minutes."""
    made = Recording("http://127.0.0.1:1", 10, 600.0, 1000.0, stand_in=True, elapsed=600.0, calm_seconds=600.0)
    made.turns, made.figures = turns, figures
    made.samples = [Sample(1000.0 + at, 90.0, 0.1, 1.0, 4.0, at / 100, 0.0) for at in range(0, 600, 100)]
    return made


def test_a_good_run_passes() -> None:
    """Enough turns on both sides, none bad."""
    verdict = verdict_on(recording([GOOD] * 400), Thresholds())
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASS, ())
    assert [check.name for check in verdict.client] == ["errors", "p95", "refused"]


def test_one_thing_that_may_never_happen_fails_the_run() -> None:
    """However good the rest."""
    bad = replace(GOOD, violations=(DOUBLED,))
    run = recording([GOOD] * 400 + [bad])
    assert verdict_on(run, Thresholds()).outcome is Outcome.FAIL
    assert surely_failing(run, Thresholds())


@pytest.mark.parametrize("bad", [replace(GOOD, status="error", code="x"), replace(GOOD, seconds=40.0)])
def test_a_surely_failing_run_fails_however_short(bad: Turn) -> None:
    """Twelve turns, all bad, and a server that could not even be scraped: chance does not explain it."""
    run = recording([bad] * 12, Figures())
    assert verdict_on(run, Thresholds()).outcome is Outcome.FAIL
    assert surely_failing(run, Thresholds())


def test_too_little_is_no_verdict() -> None:
    """A few good turns, or a run that was interrupted."""
    few = recording([GOOD] * 12, replace(FIGURES, turns={"ok": 12.0}))
    assert verdict_on(few, Thresholds()).outcome is Outcome.INCONCLUSIVE
    stopped = recording([GOOD] * 400)
    stopped.stopped = "interrupted"
    verdict = verdict_on(stopped, Thresholds())
    assert (verdict.outcome, verdict.reasons) == (Outcome.INCONCLUSIVE, ("interrupted after 600 s of 600 s",))


def test_turns_of_a_disturbance_are_left_out_unless_nothing_recovers() -> None:
    """What failed meanwhile was ordered; a server that never answers again has failed."""
    failed = replace(GOOD, at=1100.0, status="error", code="upstream_unavailable")
    later = [replace(GOOD, at=1200.0 + number) for number in range(400)]
    run = recording([failed] * 50 + later)
    run.disturbances = [Disturbance("outage", 1090.0, 1120.0, recovered=1125.0, failed=50, turns=50)]
    assert verdict_on(run, Thresholds()).outcome is Outcome.PASS
    run.disturbances = [Disturbance("outage", 1090.0, 1120.0)]
    verdict = verdict_on(run, Thresholds())
    assert (verdict.outcome, verdict.reasons[-1]) == (Outcome.FAIL, "no good answer came any more after: outage")


def test_percentiles() -> None:
    """By nearest rank."""
    assert percentile([], 0.95) is None
    assert percentile([float(number) for number in range(1, 101)], 0.95) == 95.0


def test_the_report_holds_all_of_it_and_nothing_from_elsewhere() -> None:
    """Seven plots and the table; no link, script or import; what comes from outside is escaped."""
    run = recording([*[GOOD] * 30, replace(GOOD, status="error", code="<script>", violations=(DOUBLED,))])
    run.disturbances = [Disturbance("outage", 1090.0, 1120.0, recovered=1125.0, failed=3, turns=9)]
    verdict = verdict_on(run, Thresholds())
    text = page(run, verdict, "rom load --users 10")
    assert text.count("<svg") == 7
    for foreign in ("http", "<script", "<link", "@import", "url(", "src=", "href"):
        assert foreign not in text, foreign
    for shown in ("rom load --users 10", "doubled text", "3 of 9", "5.00 s", "&lt;script&gt;"):
        assert shown in text, shown
    result = as_json(run, verdict)
    assert (result["outcome"], result["never"][DOUBLED], len(result["turns"])) == ("fail", 1, 31)
    assert result["disturbances"][0]["seconds_to_recover"] == 5.0
