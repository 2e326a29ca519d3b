"""A rollout of several instances: the reports of all are added up, and of two who decide at once one was first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from canary_support import BLOCK, PLAN, Bench
from store_support import NOW, opened

from plugins.canary import CanaryPlugin
from plugins.canary.kept import DecidedMeanwhile, KeptRollout
from plugins.canary.rollout import Rollout
from plugins.canary.watcher import Report, together
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import CanaryConflict, StoreUnavailable
from rom_core.flags import Author
from rom_core.fleet import Instance, SingleInstance
from rom_core.gate import Figures
from rom_core.store.owners import owners_of
from rom_core.store.sharing import NotLeader
from rom_core.store.tables import LEASES

ANA, EVA = Author("ana", "go"), Author("eva", "go")
OWNERS = owners_of("0.1.0", [("canary", "0.1.0", CanaryPlugin().rom_tables())])


def figures(ok: float, watched: float = 600.0) -> dict[str, Figures]:
    """Of both cohorts of one instance."""
    return dict.fromkeys(("canary", "stable"), Figures(turns={"ok": ok}, watched=watched, scrapes=2))


def report(rollout: Rollout, instance: str, ok: float = 10, watched: float = 600.0, *, closed: bool = False) -> Report:
    """The report of an instance on the window under way."""
    return Report(instance, rollout.id, rollout.window, figures(ok, watched), closed)


def test_reports_of_instances_are_added_up() -> None:
    """Counts of all, also of those that have left; one that was killed is a restart, one that has ended is none."""
    rollout = Rollout(PLAN, FakeClock(), "ana", "go")
    sums = together(
        [
            report(rollout, "a"),
            report(rollout, "b", 5),
            report(rollout, "killed", 3),
            report(rollout, "left", 2, closed=True),
        ],
        {"a", "b"},
        900.0,
    )
    whole = sums["canary"]
    assert (whole.turns["ok"], whole.restarts, whole.watched, whole.scrapes) == (20, 1, 900.0, 2)


def test_time_counts_while_every_instance_watches() -> None:
    """The one that has watched least since the last look decides; one that reports nothing stops the window's clock."""
    rollout = Rollout(PLAN, FakeClock(), "ana", "go")
    rollout.look([report(rollout, "a", watched=600), report(rollout, "b", watched=500)], {"a", "b"})
    assert rollout.figures("canary").watched == 500
    rollout.look([report(rollout, "a", watched=900), report(rollout, "b", watched=500)], {"a", "b"})
    assert rollout.figures("canary").watched == 500
    # It is gone, and another has come that has watched for a while.
    rollout.look([report(rollout, "a", watched=1200), report(rollout, "c", watched=100)], {"a", "c"})
    assert rollout.figures("canary").watched == 600
    rollout.look([report(rollout, "a", watched=1500), report(rollout, "c", watched=400)], {"a", "c", "silent"})
    assert rollout.figures("canary").watched == 600


def test_a_report_on_another_window_or_rollout_is_no_news() -> None:
    """An instance that has not heard yet that the window has changed counts for nothing in the new one."""
    rollout = Rollout(PLAN, FakeClock(), "ana", "go")
    old = report(rollout, "a", 100)
    rollout._begin()
    rollout.look([old, Report("b", "another", rollout.window, figures(7))], {"a"})
    assert rollout.figures("canary").turns == {}
    assert rollout.figures("canary").watched == 0


def test_another_leader_goes_on_with_the_same_window() -> None:
    """What the one before had added up is kept with the rollout; nobody's time is counted twice."""
    clock = FakeClock()
    rollout = Rollout(PLAN, clock, "ana", "go")
    reports = [report(rollout, "leader", watched=600), report(rollout, "b", watched=600)]
    rollout.look(reports, {"leader", "b"})
    taken = Rollout.of(rollout.as_dict(), clock)
    taken.look([reports[0], report(rollout, "b", 30, watched=900)], {"b"})
    whole = taken.figures("canary")
    assert (whole.watched, whole.turns["ok"], whole.restarts) == (900, 40, 1)


@pytest.fixture
def two(postgres_url: str) -> Iterator[list[KeptRollout]]:
    """The rollout as two instances of a fleet have it; the first one leads in term 3."""
    store = opened(postgres_url, OWNERS).store
    lease = {"name": "leader", "holder": "a", "term": 3, "expires": 1e12}
    store.write(lambda connection: connection.execute(LEASES.insert().values(**lease)))
    made = []
    for name, term in (("a", 3), ("b", None)):
        fleet = SingleInstance(lambda name=name: Instance(name, "1", 1, NOW, NOW))  # type: ignore[misc]
        fleet.term = term
        made.append(KeptRollout(store, fleet, FakeClock()))
    yield made
    store.close()


def test_of_two_who_decide_at_once_one_was_first(two: list[KeptRollout]) -> None:
    """The other reads what was decided, and may decide again."""
    first, second = two
    rollout = Rollout(PLAN, FakeClock(), "ana", "go")
    first.save(rollout)
    assert second.is_newer()
    theirs = second.load()
    assert theirs is not None
    first.save(rollout, [rollout.hold("ana", "wait")])
    with pytest.raises(DecidedMeanwhile):
        second.save(theirs, [theirs.abort("eva", "no")])
    assert [entry["action"] for entry in second.trail(9)] == ["held"]
    again = second.load()
    assert again is not None
    assert again.held
    second.save(again, [again.abort("eva", "no")])
    assert first.is_newer()
    assert [entry["action"] for entry in first.trail(9)] == ["aborted", "held"]


def test_only_the_leader_writes_what_the_gate_finds(two: list[KeptRollout]) -> None:
    """In its term; who does not lead any more, however sure it is, writes nothing."""
    first, second = two
    rollout = Rollout(PLAN, FakeClock(), "ana", "go")
    first.save(rollout, lead=True)
    theirs = second.load()
    assert theirs is not None
    with pytest.raises(NotLeader):
        second.save(theirs, [theirs.abort("gate", "errors")], lead=True)
    first._fleet.term = 2  # type: ignore[misc]
    with pytest.raises(NotLeader):
        first.save(rollout, [rollout.abort("gate", "errors")], lead=True)
    kept = first.load()
    assert kept is not None
    assert kept.running
    assert first.trail(9) == []


def test_each_reports_to_the_others(two: list[KeptRollout]) -> None:
    """One row for each instance; a decision sweeps the reports on windows before."""
    first, second = two
    rollout = Rollout(PLAN, FakeClock(), "ana", "go")
    first.save(rollout)
    first.save_report(report(rollout, "a", 1))
    first.save_report(report(rollout, "a", 2))
    second.save_report(report(rollout, "b", 3))
    counted = {each.instance: each.cohorts["canary"].turns["ok"] for each in first.reports()}
    assert counted == {"a": 2, "b": 3}
    rollout._begin()
    first.save(rollout, [rollout.hold("ana", "")])
    assert list(first.reports()) == []


@pytest.fixture
def bench(tmp_path: Path, postgres_url: str) -> Iterator[Bench]:
    """An instance of a fleet."""
    made = Bench(tmp_path, postgres_url)
    yield made
    made.keeper.stop()
    made.runtime.stop()


def test_whoever_decides_too_late_is_told(bench: Bench) -> None:
    """Another instance has decided between the look at the rollout and the decision: 409, the flags as they were."""
    bench.keeper.begin(BLOCK, ANA)
    other = KeptRollout(bench.store, bench.runtime.fleet, bench.runtime.clock)
    theirs = other.load()
    assert theirs is not None
    reload, done = bench.keeper._reload, list[bool]()

    def overtaken() -> None:
        reload()
        if not done:
            done.append(True)
            other.save(theirs, [theirs.hold("eva", "first")])

    bench.keeper._reload = overtaken  # type: ignore[method-assign]
    with pytest.raises(CanaryConflict, match="another instance"):
        bench.keeper.hold(EVA, held=True)
    assert bench.keeper.view["rollout"]["held"] is True
    bench.keeper.hold(EVA, held=False)
    assert bench.percent == 10


def counting_elsewhere(bench: Bench, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Another instance leads, and keeps what it has counted before each of so many of the next writes here."""
    other, save, left = KeptRollout(bench.store, bench.runtime.fleet, bench.runtime.clock), KeptRollout.save, [times]

    def overtaken(mine: KeptRollout, *arguments: Any, **options: Any) -> None:
        theirs = other.load()
        if left[0] and theirs is not None and theirs.running:
            left[0] -= 1
            save(other, theirs, lead=True)
        save(mine, *arguments, **options)

    monkeypatch.setattr(KeptRollout, "save", overtaken)


def test_a_leader_that_counts_meanwhile_is_in_nobodys_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has changed the flags is not told to decide again: counting decides nothing."""
    with monkeypatch.context() as patched:
        counting_elsewhere(bench, patched, 2)
        bench.keeper.begin(BLOCK, ANA)
    assert (bench.percent, bench.told) == (10, ["started"])
    bench.look(4)
    decisions: list[tuple[Callable[[], None], int | None]] = [
        (lambda: bench.keeper.hold(ANA, held=True), 10),
        (lambda: bench.keeper.hold(ANA, held=False), 10),
        (lambda: bench.keeper.approve(ANA), 100),
        (lambda: bench.keeper.abort(ANA), None),
    ]
    for decide, percent in decisions:
        with monkeypatch.context() as patched:
            counting_elsewhere(bench, patched, 2)
            decide()
        assert bench.percent == percent
    actions = ["started", "passed", "held", "released", "approved", "aborted"]
    assert [entry["action"] for entry in bench.keeper.trail(9)] == actions[::-1]
    assert bench.told == actions


def test_a_leader_that_never_leaves_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not tried for ever."""
    bench.keeper.begin(BLOCK, ANA)
    counting_elsewhere(bench, monkeypatch, 1000)
    with pytest.raises(CanaryConflict, match="another instance"):
        bench.keeper.hold(ANA, held=True)


def test_a_rollout_that_somebody_else_ended_leaves_no_canary(bench: Bench) -> None:
    """Ended while its flags were being set: they are withdrawn, since nobody judges them."""
    change = bench.flags.change

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        applied = change(*arguments, **options)
        other = KeptRollout(bench.store, bench.runtime.fleet, bench.runtime.clock)
        theirs = other.load()
        assert theirs is not None
        other.save(theirs, [theirs.abort("eva", "first")])
        return applied

    bench.flags.change = meanwhile  # type: ignore[method-assign]
    with pytest.raises(CanaryConflict, match="another instance"):
        bench.keeper.begin(BLOCK, ANA)
    assert bench.percent is None
    assert bench.keeper.view["rollout"]["status"] == "aborted"


def test_without_the_store_nothing_is_decided_but_an_abort(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that the others cannot know is none, and 503; the flags are withdrawn here all the same."""
    bench.keeper.begin(BLOCK, ANA)

    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "write", away)
        patched.setattr(bench.store, "read", away)
        with pytest.raises(StoreUnavailable):
            bench.keeper.hold(ANA, held=True)
        bench.keeper.abort(ANA)
        assert bench.percent is None
    bench.look()
    rollout = bench.keeper.view["rollout"]
    assert (rollout["status"], rollout["ended_because"], rollout["held"]) == (
        "aborted",
        "the canary was ended by hand",
        False,
    )
