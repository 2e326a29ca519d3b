"""What an instance does about its runs: it holds them, whatever the clock and the upkeep do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import store_support
from cryptography.fernet import Fernet

from plugins.runs import ageing, keeping, owning, upkeep
from plugins.runs.keeping import Accepted, Ending, Progress
from plugins.runs.plugin import Runs
from plugins.runs.running import Running
from plugins.runs.upkeep import LOOK_SECONDS, Upkeep
from plugins.runs.work import Work
from rom_core.concurrency.clock import FakeClock
from rom_core.events import RunFinished
from rom_core.store.content_owner import Owner
from rom_core.store.opening import open_store
from rom_core.store.owners import owners_of
from rom_core.store.sealing import Sealer
from rom_core.turn_values import ChatRequest

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
LEASE = 20.0


class Leaping(FakeClock):
    """The time of day may leap, as when a machine has slept; the monotonic clock does not notice."""

    leap = 0.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return super().time() + self.leap


class Instance:
    """A runtime, as far as runs need one."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.clock = Leaping()
        self.current = self
        self.settings = SimpleNamespace(
            RUN_LEASE_SECONDS=LEASE, RUNS_CONCURRENT=2, RUN_RETENTION_DAYS=7, TEXT_ERRORS={"run_interrupted": "…"}
        )
        self.fleet = SimpleNamespace(id="me", term=1)
        self.draining = threading.Event()
        self.events: list[Any] = []
        self.emit = self.events.append

    def closed(self) -> None:
        """Turns are taken."""

    def for_request(self, request: ChatRequest) -> tuple[Any, str]:
        """Ana's turns are the canary's."""
        return self, "canary" if request.key_name == "ana" else "stable"


class Lasting:
    """Runs that last until they are cancelled, or all are let go."""

    def __init__(self) -> None:
        self.begun: list[Running] = []
        self.over = threading.Event()
        self._one_more = threading.Semaphore(0)

    def run(self, running: Running, _recorder: Any) -> None:
        """As the runner."""
        self.begun.append(running)
        self._one_more.release()
        while not (running.ended_by or self.over.wait(0.01)):
            pass

    def wait_for(self, number: int) -> None:
        """Until so many more have begun."""
        for _ in range(number):
            assert self._one_more.acquire(timeout=60)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Any]:
    """With an SQLite store that has the tables."""
    store = open_store(
        store_support.address(tmp_path), owners_of("0.1.0", [("runs", "0.1.0", Runs().rom_tables())]), lambda: 0.0
    )
    yield Instance(store)
    store.close()


@pytest.fixture
def lasting() -> Iterator[Lasting]:
    """None is left behind."""
    runs = Lasting()
    yield runs
    runs.over.set()


def working(instance: Any, lasting: Lasting) -> Work:
    """Without its thread."""
    work = Work(instance, Sealer(), lambda: True)
    work._runner = lasting  # type: ignore[assignment]
    return work


def accept(instance: Any, run_id: str, sealer: Sealer) -> None:
    """A run that is queued."""
    sealed, at = sealer.seal(b"[]"), instance.clock.time()
    run = Accepted(run_id, "turn", Owner("ana", ""), f"of {run_id}", True, "trace", "request", sealed, {}, 1, sealed)
    instance.store.write(lambda connection: keeping.accept(connection, run, 10_000, at))


def test_a_leap_of_the_clock_takes_no_run_from_who_runs_it(instance: Any, lasting: Lasting) -> None:
    """A machine that slept renews its own runs before it looks for those of others."""
    work = working(instance, lasting)
    accept(instance, "run_1", Sealer())
    work.look()
    instance.clock.leap = 3600.0
    work.look()
    assert (work.running, len(work._threads)) == (1, 1)
    row = instance.store.read(lambda connection: keeping.lost(connection, instance.clock.time()))
    assert not row
    assert not [event for event in instance.events if type(event).__name__ == "RunTakenOver"]


def test_a_run_that_died_with_its_instance_counts_in_its_cohort(instance: Any, lasting: Lasting) -> None:
    """It is not begun again, as a tool has run: a fault, which the gate of its canary must see."""
    accept(instance, "run_1", Sealer())
    at = instance.clock.time()
    claimed = instance.store.write(lambda connection: keeping.claim(connection, "other", {True}, LEASE, at))
    assert instance.store.write(lambda connection: keeping.guard(connection, claimed.hold))
    instance.clock.leap = 3600.0
    working(instance, lasting).look()
    (ended,) = [event for event in instance.events if isinstance(event, RunFinished)]
    assert (ended.state, ended.status, ended.code, ended.cohort) == (
        "interrupted",
        "error",
        "run_interrupted",
        "canary",
    )
    assert (ended.route, ended.exhaustive, ended.duration) == ("/api/chat", True, 0)


def test_a_run_that_an_instance_lost_and_has_again_is_held(instance: Any, lasting: Lasting) -> None:
    """Its first beginning ends, and takes the second one's hold with it in no way."""
    work = working(instance, lasting)
    accept(instance, "run_1", Sealer())
    work.look()
    lasting.wait_for(1)
    (first,) = work._threads
    instance.store.write(lambda connection: keeping.queue_again(connection, "run_1"))
    work.look()
    lasting.wait_for(1)
    assert [running.ended_by for running in lasting.begun] == ["lost", ""]
    first.join(60)
    assert not first.is_alive()
    assert list(work._running.values()) == [lasting.begun[1]]


def test_a_run_that_was_erased_elsewhere_ends_though_it_says_nothing(instance: Any, lasting: Lasting) -> None:
    """With the next renewal; one that is still held goes on."""
    work = working(instance, lasting)
    for run_id in ("run_1", "run_2"):
        accept(instance, run_id, Sealer())
    work.look()
    lasting.wait_for(2)
    instance.store.write(lambda connection: owning.remove(connection, ["run_1"]))
    instance.clock.advance(LEASE / 2)
    work.look()
    assert {running.claimed.hold.run_id: running.ended_by for running in lasting.begun} == {
        "run_1": "lost",
        "run_2": "",
    }


@pytest.mark.parametrize("work_left", ["old", "sealed"])
def test_upkeep_lets_the_runs_be_held_in_between(
    instance: Any, monkeypatch: pytest.MonkeyPatch, work_left: str
) -> None:
    """However much there is to be done, one look is short, and the next goes on from there."""
    monkeypatch.setattr(upkeep, "_BATCH", 5)
    number = 20
    for each in range(number):
        accept(instance, f"run_{each}", Sealer([OLD]))
    if work_left == "old":
        for _ in range(number):
            claimed = instance.store.write(lambda connection: keeping.claim(connection, "me", [True], LEASE, 0.0))
            end = Ending("done", b"\0[]", b"\0{}")
            instance.store.write(lambda connection: keeping.finish(connection, claimed.hold, 2, Progress(), end, 0.0))
        instance.clock.advance(8 * 86_400.0)
    slow, write = instance.clock, instance.store.write

    def slowly(action: Any) -> Any:
        slow.advance(0.6)
        return write(action)

    kept = SimpleNamespace(read=instance.store.read, write=slowly)
    ours = Upkeep(instance, SimpleNamespace(store=kept, sealer=Sealer([NEW, OLD])))  # type: ignore[arg-type]
    instance.clock.advance(LOOK_SECONDS)
    looks = 0
    while (before := slow.monotonic()) is not None:
        ours.look()
        if slow.monotonic() == before:
            break
        assert slow.monotonic() - before < LEASE / 4
        looks += 1
    assert looks > 2
    marks = instance.store.read(ageing.marks)
    assert all(Sealer([NEW]).is_current(mark) for mark, _ in marks)
    assert sum(count for _, count in marks) == (0 if work_left == "old" else 2 * number)
