"""The rows of the store: versions and changes as they were appended, and any state between."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_support import NOW, filled, opened, put, version

from rom_core.store.overrides import Change, replay
from rom_core.store.sqlite_store import DATABASE


def test_a_new_store_begins_with_version_1_and_no_overrides(tmp_path: Path) -> None:
    """There is always a version to go back to."""
    store = opened(tmp_path / "deep" / "down")
    assert (store.load().version, store.load().values, store.trouble) == (1, {}, None)
    assert [entry.by for entry in store.history(10)] == ["rom"]


def test_what_was_appended_is_there_for_the_next_process(tmp_path: Path) -> None:
    """Values keep their JSON types; who, when, why and the trace id come with them."""
    values = {"A": True, "B": 7, "C": 0.5, "D": "ção", "E": ["x", 1], "F": {"k": None}, "canary": {"flags": {}}}
    before = version(2, *(put(name, value, before="old") for name, value in sorted(values.items())), why="porquê")
    opened(tmp_path).append(1, [before])
    after = opened(tmp_path)
    assert after.load().values == values
    assert after.history(1) == [before]
    override = after.load().overrides["A"]
    assert (override.version, override.at, override.by, override.why) == (2, NOW + 2, "ana", "porquê")


def test_a_past_state_is_what_the_history_up_to_it_gives(tmp_path: Path) -> None:
    """Set, cleared and set again; `reload` changes no override; an unknown version has no state."""
    store = opened(tmp_path)
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
def test_every_state_equals_replaying_the_history(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[Change]]
) -> None:
    """The database's own view, `state_at` and `replay` agree at every version."""
    store = opened(tmp_path_factory.mktemp("store"))
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


def test_the_history_is_read_in_pages(tmp_path: Path) -> None:
    """Newest first, at most `limit`, below `before`."""
    store = filled(tmp_path)
    assert [entry.number for entry in store.history(2)] == [3, 2]
    assert [entry.number for entry in store.history(2, before=2)] == [1]
    assert store.history(2, before=1) == []


def test_the_database_reads_with_sqlite_alone(tmp_path: Path) -> None:
    """The view `overrides` shows name and value, and by whom, to any SQLite client."""
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        rows = connection.execute("SELECT name, value, version, by FROM overrides").fetchall()
    assert rows == [("MAX_TOKENS", "2", 3, "ana")]


# -- what was written by hand ------------------------------------------------------------------------------------------


def test_text_written_by_hand_stands_for_itself(tmp_path: Path) -> None:
    """What is not JSON in the database does not keep it from opening."""
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection, connection:
        connection.execute("UPDATE changes SET after = 'off' WHERE version = 3")
        connection.execute("UPDATE versions SET at = 'yesterday' WHERE version = 3")
    state = opened(tmp_path).load()
    assert (state.values, state.overrides["MAX_TOKENS"].at) == ({"MAX_TOKENS": "off"}, 0.0)


DEEP = "[" * 5000 + "]" * 5000

BY_HAND = {
    "a value nested too deep to read": f"UPDATE changes SET after = '{DEEP}' WHERE version = 3",
    "a value nested too deep to use": f"UPDATE changes SET after = '{'[' * 90 + ']' * 90}' WHERE version = 3",
    "a time that is no text": "UPDATE versions SET at = x'ff00' WHERE version = 3",
    "an author who is no text": "UPDATE versions SET by = x'ff00', why = x'616e61' WHERE version = 3",
    "a value that is no text": "UPDATE changes SET after = x'ff', before = x'ff' WHERE version = 3",
}


@pytest.mark.parametrize("statement", BY_HAND.values(), ids=BY_HAND)
def test_whatever_was_written_by_hand_is_read_and_can_be_shown(tmp_path: Path, statement: str) -> None:
    """By a store that is open and by one that opens; what it cannot make sense of is text."""
    store = filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection, connection:
        connection.execute(statement)
    for each in (store, opened(tmp_path)):
        assert each.load().version == 3
        assert each.trouble is None
        entry = each.history(1)[0]
        json.dumps([entry.at, entry.by, entry.why, [[c.name, c.before, c.after] for c in entry.changes]])
        json.dumps(each.load().values)
