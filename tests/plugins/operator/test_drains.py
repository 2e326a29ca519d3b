"""Draining through the store that a fleet shares: the newest decision counts, and this instance never needs it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from support import make_runtime

from plugins.operator import drains
from plugins.operator.drains import Decision, Drains
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import StoreUnavailable
from rom_core.flags import Author
from rom_core.fleet import Instance
from rom_core.runtime import Runtime

ANA, EVA = Author("ana", "disk", "trace-1"), Author("eva", "done", "trace-2")


class Shared:
    """The table, as all instances see it; `away` makes every access fail."""

    def __init__(self) -> None:
        self.rows: dict[str, Decision] = {}
        self.away = False

    def read(self, _store: Any) -> dict[str, Decision]:
        """All of it."""
        self._check()
        return dict(self.rows)

    def write(self, _store: Any, instance: str, decision: Decision, living: set[str]) -> None:
        """One decision; those about instances that have ended go."""
        self._check()
        self.rows = {id_: row for id_, row in self.rows.items() if id_ in living} | {instance: decision}

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("told to fail")


class Process:
    """An instance of the fleet."""

    def __init__(self, shared: Shared, id_: str, ids: list[str]) -> None:
        self.shared = shared
        self.id = id_
        self.changed = 0
        self.runtime, _ = make_runtime(clock=FakeClock())
        listed = [Instance(each, "1", 1, 0.0, 0.0) for each in ids]
        self._fleet = SimpleNamespace(id=id_, instances=listed, on=self._on)
        self.drains = Drains(self._note)
        self.drains.attach(self._seen())
        self.drains.start()

    def _seen(self) -> Runtime:
        real: Any = self.runtime
        store = SimpleNamespace(kind="postgresql")
        seen: Any = SimpleNamespace(clock=real.clock, intake=real.intake, fleet=self._fleet, store=store)
        return seen  # type: ignore[no-any-return]

    def _on(self, topic: str, callback: Callable[[], None]) -> None:
        assert topic == drains.TOPIC
        self.hear = callback

    def _note(self) -> None:
        self.changed += 1

    @property
    def open(self) -> bool:
        """Whether it takes turns."""
        return self.runtime.intake.open


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    """The one store."""
    made = Shared()
    monkeypatch.setattr(drains, "_read", made.read)
    monkeypatch.setattr(drains, "_write", made.write)
    return made


def test_another_instance_is_drained_and_taken_back_by_whoever_is_there(shared: Shared) -> None:
    """It heeds each decision once, and everybody knows by whom and why it is drained."""
    one, two, three = (Process(shared, id_, ["a", "b", "c"]) for id_ in "abc")
    assert one.drains.decide("b", ANA, draining=True)
    assert (one.open, two.open) == (True, True)
    for _ in range(2):
        for each in (one, two, three):
            each.hear()
    assert (one.open, two.open, two.changed) == (True, False, 1)
    drained = two.runtime.intake.drained
    assert drained is not None
    assert (drained.by, drained.why) == ("ana", "disk")
    assert {each.drains.shown["b"]["by"] for each in (one, two, three)} == {"ana"}
    three.drains.decide("b", EVA, draining=False)
    two.hear()
    assert (two.open, two.drains.shown) == (True, {})


def test_the_clocks_of_instances_may_differ(shared: Shared) -> None:
    """What was decided last counts, however late it was where it was decided before."""
    one, two = Process(shared, "a", ["a", "b"]), Process(shared, "b", ["a", "b"])
    two.runtime.clock.advance(1000)  # type: ignore[attr-defined]
    two.drains.decide("b", ANA, draining=True)
    one.drains.decide("b", EVA, draining=False)
    two.hear()
    assert two.open


def test_with_the_store_away_it_drains_itself_and_nobody_else(shared: Shared) -> None:
    """It says that the others do not know; once the store is back it stays drained until somebody decides anew."""
    one, two = Process(shared, "a", ["a", "b"]), Process(shared, "b", ["a", "b"])
    shared.away = True
    assert one.drains.decide("a", ANA, draining=True) is False
    with pytest.raises(StoreUnavailable):
        one.drains.decide("b", ANA, draining=True)
    with pytest.raises(StoreUnavailable):
        two.hear()
    shared.away = False
    for each in (one, two):
        each.hear()
    assert (one.open, two.open) == (False, True)
    two.drains.decide("a", EVA, draining=False)
    one.hear()
    assert one.open


def test_decisions_about_instances_that_have_ended_are_forgotten(shared: Shared) -> None:
    """An id is never used again, so its row would stay for ever."""
    one = Process(shared, "a", ["a", "b"])
    one.drains.decide("b", ANA, draining=True)
    Process(shared, "a", ["a", "c"]).drains.decide("c", ANA, draining=True)
    assert set(shared.rows) == {"c"}
