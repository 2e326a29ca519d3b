"""The store of overrides in both databases: a history that is whole or absent, and any state of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from store_support import NOW, filled, opened, put, version

from rom_core.errors import StoreUnavailable
from rom_core.store.history import StoredOverrides
from rom_core.store.overrides import Change, StoreConflict, replay
from rom_core.store.sqlite import connections


def test_a_new_store_begins_with_version_1_and_no_overrides(where: Path | str) -> None:
    """There is always a version to go back to."""
    store = opened(where)
    assert (store.load().version, store.load().values, store.trouble) == (1, {}, None)
    assert [entry.by for entry in store.history(10)] == ["rom"]


def test_what_was_appended_is_there_for_the_next_process(where: Path | str) -> None:
    """Values keep their JSON types; who, when, why and the trace id come with them."""
    values = {"A": True, "B": 7, "C": 0.5, "D": "ção", "E": ["x", 1], "F": {"k": None}, "canary": {"flags": {}}}
    before = version(2, *(put(name, value, before="old") for name, value in sorted(values.items())), why="porquê")
    opened(where).append(1, [before])
    after = opened(where)
    assert after.load().values == values
    assert after.history(1) == [before]
    override = after.load().overrides["A"]
    assert (override.version, override.at, override.by, override.why) == (2, NOW + 2, "ana", "porquê")


def test_a_past_state_is_what_the_history_up_to_it_gives(where: Path | str) -> None:
    """Set, cleared and set again; `reload` changes no override; an unknown version has no state."""
    store = opened(where)
    store.append(1, [version(2, put("A", 1), put("B", 1))])
    store.append(2, [version(3, Change("A", "clear", 1, 0), Change("C", "reload", 1, 2))])
    store.append(3, [version(4, put("A", 5))])
    states = [store.state_at(number) for number in range(6)]
    assert [state and state.values for state in states] == [
        None,
        {},
        {"A": 1, "B": 1},
        {"B": 1},
        {"A": 5, "B": 1},
        None,
    ]


CHANGES = st.lists(
    st.builds(
        Change, st.sampled_from("ABC"), st.sampled_from(["set", "clear", "reload"]), st.none(), st.integers(0, 9)
    ),
    max_size=3,
    unique_by=lambda change: change.name,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(CHANGES, max_size=6))
def test_every_state_equals_replaying_the_history(anew: Callable[[], Path | str], history: list[list[Change]]) -> None:
    """`state_at` and `replay` agree at every version."""
    store = opened(anew())
    versions = [version(number, *changes) for number, changes in enumerate(history, start=2)]
    if versions:
        store.append(1, versions)
    entries = list(reversed(store.history(100)))
    assert entries[1:] == [version(v.number, *sorted(v.changes, key=lambda change: change.name)) for v in versions]
    for number in range(1, len(entries) + 1):
        state = store.state_at(number)
        assert state is not None
        assert dict(state.overrides) == dict(replay(entries[:number]).overrides)
    assert store.load().values == replay(entries).values


def test_the_history_is_read_in_pages(where: Path | str) -> None:
    """Newest first, at most `limit`, below `before`."""
    store = filled(where)
    assert [entry.number for entry in store.history(2)] == [3, 2]
    assert [entry.number for entry in store.history(2, before=2)] == [1]
    assert store.history(2, before=1) == []


def test_an_append_is_whole_or_refused(where: Path | str) -> None:
    """Whoever does not know the newest version appends nothing; two versions go in together or not at all."""
    store = filled(where)
    with pytest.raises(StoreConflict):
        store.append(2, [version(3, put("MAX_TOKENS", 9))])
    with pytest.raises(StoreUnavailable):
        store.append(3, [version(4, put("A", 1)), version(4, put("B", 1))])
    assert (store.load().version, store.load().values) == (3, {"MAX_TOKENS": 2})


def test_two_processes_never_append_the_same_version(where: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those who append at the same time exactly one succeeds for each version."""
    monkeypatch.setattr(connections, "BUSY_SECONDS", 60)
    stores = [opened(where) for _ in range(4)]
    won: list[int] = []

    def work(store: StoredOverrides) -> None:
        for _ in range(5):
            newest = store.load().version
            try:
                store.append(newest, [version(newest + 1)])
            except StoreConflict:
                continue
            won.append(newest + 1)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(2, len(won) + 2))
    assert opened(where).load().version == len(won) + 1


def test_who_reads_while_another_writes_sees_one_moment(where: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that is committed between two looks at the tables is no damage; it is seen by the next reading."""
    monkeypatch.setattr(connections, "BUSY_SECONDS", 60)
    reader, writer = opened(where), opened(where)
    reader.load()
    writing = threading.Thread(target=lambda: writer.append(1, [version(2, put("MAX_TOKENS", 5))]))

    def between(statement: str) -> None:
        if writing.ident is None and "FROM rom_versions" in statement:
            writing.start()
            # Long enough for a writer that nothing keeps back.
            writing.join(0.5)

    event.listen(reader.store.engine, "after_cursor_execute", lambda *given: between(given[2]))
    assert reader.load().version == 1
    assert writing.ident is not None
    assert reader.trouble is None
    writing.join(60)
    assert (reader.load().version, reader.trouble) == (2, None)
