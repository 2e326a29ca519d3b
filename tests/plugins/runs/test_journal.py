"""The journal of runs: what is said is kept once and in order, and only by whoever holds the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import store_support
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.runs import ageing, keeping, owning
from plugins.runs.journal import Changes, End, Journal, Recorder, encoded, unpacked
from plugins.runs.keeping import Accepted, Ending, Hold, Progress
from plugins.runs.plugin import Runs
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ConversationBusy, QueueFull, RunNotFound, StoreUnavailable
from rom_core.store.content_owner import Owner
from rom_core.store.opening import open_store
from rom_core.store.owners import owners_of
from rom_core.store.sealing import Sealer

WHO = Owner("ana", "")
LEASE = 20.0
BOTH = (True, False)


class Failing:
    """A store that may fail before or after its transaction, as a network does."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.failures: list[str] = []

    def read(self, action: Any) -> Any:
        """As the store."""
        return self.store.read(action)

    def write(self, action: Any) -> Any:
        """As the store, or StoreUnavailable: "before" nothing was done, "after" all of it."""
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "before":
            raise StoreUnavailable("away")
        done = self.store.write(action)
        if failure == "after":
            raise StoreUnavailable("away")
        return done


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An SQLite store that has the tables."""
    folder: Path = tmp_path_factory.mktemp("runs")
    owners = owners_of("0.1.0", [("runs", "0.1.0", Runs().rom_tables())])
    store = open_store(store_support.address(folder), owners, lambda: 0.0)
    yield store
    store.close()


@pytest.fixture
def store(opened: Any) -> Any:
    """The same without any run."""
    opened.write(empty)
    return opened


def empty(connection: Any) -> None:
    """Erase all runs."""
    owning.remove(connection, owning.owned_by(connection, "") + owning.owned_by(connection, "maria"))


def accepted(run_id: str, conversation_id: str = "", user: str = "") -> Accepted:
    """A run with one event."""
    first = b"\0" + encoded([["start", {}]])
    owner = Owner("ana", user)
    return Accepted(run_id, f"turn of {run_id}", owner, conversation_id or run_id, True, "", "", b"\0{}", {}, 1, first)


def begun(store: Any, run_id: str = "run_1", holder: str = "me", at: float = 0.0) -> Hold:
    """A run that `holder` runs."""
    store.write(lambda connection: keeping.accept(connection, accepted(run_id), 10, at))
    claimed = store.write(lambda connection: keeping.claim(connection, holder, BOTH, LEASE, at))
    hold: Hold = claimed.hold
    return hold


def kept(store: Any, run_id: str) -> list[tuple[str, dict[str, Any]]]:
    """All events of a run, as a reader gets them."""
    _, batches = store.read(lambda connection: owning.events(connection, run_id, 0, 1000))
    return [event for _, body in batches for event in unpacked(body[1:])]


@settings(max_examples=40)
@given(st.data())
def test_what_is_said_is_kept_once_and_in_order_whatever_the_store_does(opened: Any, data: st.DataObject) -> None:
    """Text is one text, whatever the batches; everything else is event for event; the end comes last."""
    opened.write(empty)
    store = Failing(opened)
    hold = begun(opened)
    journal = Journal(lambda: store, Sealer(), FakeClock(), Changes())  # type: ignore[arg-type, return-value]
    recorder = journal.open(hold, 1, Progress)
    said: list[tuple[str, str]] = []
    steps = data.draw(st.lists(st.sampled_from(["delta", "tool_call", "flush", "before", "after"]), max_size=30))
    for number, step in enumerate(steps):
        if step == "flush":
            journal.round()
        elif step in ("before", "after"):
            store.failures.append(step)
        else:
            said.append((step, str(number)))
            recorder.add(step, {"text": str(number)} if step == "delta" else {"id": str(number)})
    recorder.end("done", {}, End("done", {"reply": "x"}))
    while journal.due:
        assert not recorder.settled.is_set()
        journal.round()
    assert recorder.settled.is_set()
    events = kept(opened, hold.run_id)
    assert [name for name, _ in (events[0], events[-1])] == ["start", "done"]
    assert _plain([(name, each.get("text") or each.get("id", "")) for name, each in events[1:-1]]) == _plain(said)
    row = opened.read(lambda connection: owning.found(connection, hold.run_id, WHO))
    assert (row.state, row.last_event, row.request) == ("done", len(events), b"")


def _plain(events: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """With pieces of text joined."""
    plain: list[tuple[str, str]] = []
    for name, value in events:
        if name == "delta" and plain and plain[-1][0] == "delta":
            plain[-1] = (name, plain[-1][1] + value)
        else:
            plain.append((name, value))
    return plain


def test_whoever_has_lost_a_run_writes_nothing_more_into_it(store: Any) -> None:
    """Neither events nor an end nor a mark, once somebody else runs it."""
    old = begun(store, at=0.0)
    recorder = Recorder(old, 1, Progress, lambda: None)
    assert not store.read(lambda connection: keeping.standing(connection, LEASE)).lost
    assert store.read(lambda connection: keeping.standing(connection, LEASE + 1)).lost
    (row,) = store.write(lambda connection: keeping.lost(connection, LEASE + 1))
    store.write(lambda connection: keeping.queue_again(connection, row.id))
    taken = store.write(lambda connection: keeping.claim(connection, "other", BOTH, LEASE, LEASE + 1))
    assert (taken.restart, taken.hold.attempt, taken.turn_id) == ("instance_lost", 2, f"turn of {old.run_id}")
    journal = Journal(lambda: store, Sealer(), FakeClock(), Changes())
    recorder = journal.open(old, 1, Progress)
    recorder.add("delta", {"text": "late"})
    assert journal.flush()
    assert (recorder.lost, recorder.settled.is_set()) == (True, True)
    assert not store.write(lambda connection: keeping.guard(connection, old))
    assert not store.write(lambda connection: keeping.give_back(connection, old, "", 0.0, 0.0))
    ending = Ending("done", b"\0[]", b"\0{}")
    assert not store.write(lambda connection: keeping.finish(connection, old, 9, Progress(), ending, 0.0))
    assert kept(store, old.run_id) == [("start", {})]
    assert store.write(lambda connection: keeping.guard(connection, taken.hold))


def test_a_hold_that_is_renewed_is_not_lost_and_tells_of_a_cancelling(store: Any) -> None:
    """By the holder alone."""
    hold = begun(store)
    store.write(lambda connection: keeping.ask_to_cancel(connection, hold.run_id))
    assert store.write(lambda connection: keeping.renew(connection, "other", [hold.run_id], LEASE, 15.0)) == {}
    renewed = store.write(lambda connection: keeping.renew(connection, "me", [hold.run_id], LEASE, 15.0))
    assert renewed == {hold.run_id: True}
    assert not store.read(lambda connection: keeping.standing(connection, 30.0)).lost


def test_a_run_that_is_given_back_waits_as_long_as_it_is_told(store: Any) -> None:
    """For want of room, say; nobody begins it sooner."""
    hold = begun(store)
    assert store.write(lambda connection: keeping.give_back(connection, hold, "", 5.0, 10.0))
    assert store.write(lambda connection: keeping.claim(connection, "me", BOTH, LEASE, 14.0)) is None
    assert store.write(lambda connection: keeping.claim(connection, "me", BOTH, LEASE, 15.0)).restart == ""


def test_a_conversation_of_somebody_else_is_another_one(store: Any) -> None:
    """Also under the same id: nobody learns that a run goes on there, and nobody is kept waiting by it."""
    for number, user in enumerate(("", "maria")):
        run = accepted(f"run_{number}", "main", user)
        store.write(lambda connection: keeping.accept(connection, run, 9, 0.0))
    other = replace(accepted("run_2", "main"), owner=Owner("rui", ""))
    store.write(lambda connection: keeping.accept(connection, other, 9, 0.0))
    with pytest.raises(ConversationBusy):
        store.write(lambda connection: keeping.accept(connection, replace(other, id="run_3"), 9, 0.0))


def test_the_queue_is_bounded_and_a_conversation_has_one_unfinished_run(store: Any) -> None:
    """Whoever comes too much is refused, and nothing of it is kept."""
    store.write(lambda connection: keeping.accept(connection, accepted("run_1", "conv_1"), 2, 0.0))
    with pytest.raises(ConversationBusy):
        store.write(lambda connection: keeping.accept(connection, accepted("run_2", "conv_1"), 2, 0.0))
    store.write(lambda connection: keeping.accept(connection, accepted("run_2"), 2, 0.0))
    with pytest.raises(QueueFull):
        store.write(lambda connection: keeping.accept(connection, accepted("run_3"), 2, 0.0))
    assert store.read(lambda connection: owning.owned_by(connection, "")) == ["run_1", "run_2"]


def test_runs_are_erased_so_long_after_their_end_and_not_before(store: Any) -> None:
    """What has not ended stays, however old; an erased one leaves no event."""
    old = begun(store, "run_old")
    ending = Ending("done", b"\0[]", b"\0{}")
    store.write(lambda connection: keeping.finish(connection, old, 2, Progress(), ending, 100.0))
    store.write(lambda connection: keeping.accept(connection, accepted("run_waits"), 10, 0.0))
    assert store.write(lambda connection: ageing.erase_ended(connection, 150.0, 50.0, 10)) == 0
    assert store.write(lambda connection: ageing.erase_ended(connection, 150.1, 50.0, 10)) == 1
    assert store.read(lambda connection: owning.owned_by(connection, "")) == ["run_waits"]
    assert kept(store, "run_old") == []
    with pytest.raises(RunNotFound):
        store.read(lambda connection: owning.found(connection, "run_old", WHO))
