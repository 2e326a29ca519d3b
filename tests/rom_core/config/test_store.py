"""The store of overrides: durable, whole at any moment, never the reason why a process does not start."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rom_core.config import sqlite_store
from rom_core.config.sqlite_store import DATABASE, SqliteStore
from rom_core.config.store import Change, StoreConflict, Version, replay
from rom_core.errors import StoreUnavailable

NOW = 1_700_000_000.0


def opened(folder: Path) -> SqliteStore:
    """The store as a process that starts opens it."""
    return SqliteStore(folder, lambda: NOW)


def version(number: int, *changes: Change, why: str = "") -> Version:
    """One entry of the history."""
    return Version(number, NOW + number, "ana", why, f"trace-{number}", changes)


def put(name: str, after: Any, before: Any = None) -> Change:
    """An override set."""
    return Change(name, "set", before, after)


def filled(folder: Path) -> SqliteStore:
    """A store whose newest version, 3, has MAX_TOKENS at 2."""
    store = opened(folder)
    store.append(1, [version(2, put("MAX_TOKENS", 1))])
    store.append(2, [version(3, put("MAX_TOKENS", 2, before=1))])
    return store


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


def test_an_append_is_whole_or_refused(tmp_path: Path) -> None:
    """Whoever does not know the newest version appends nothing; two versions go in together or not at all."""
    store = filled(tmp_path)
    with pytest.raises(StoreConflict):
        store.append(2, [version(3, put("MAX_TOKENS", 9))])
    with pytest.raises(StoreUnavailable):
        store.append(3, [version(4, put("A", 1)), version(4, put("B", 1))])
    assert (store.load().version, store.load().values) == (3, {"MAX_TOKENS": 2})


def test_two_processes_never_append_the_same_version(tmp_path: Path) -> None:
    """Of those who append at the same time exactly one succeeds for each version."""
    stores = [opened(tmp_path) for _ in range(4)]
    won: list[int] = []

    def work(store: SqliteStore) -> None:
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
    assert opened(tmp_path).load().version == len(won) + 1


def test_the_database_reads_with_sqlite_alone(tmp_path: Path) -> None:
    """The view `overrides` shows name and value, and by whom, to any SQLite client."""
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        rows = connection.execute("SELECT name, value, version, by FROM overrides").fetchall()
    assert rows == [("MAX_TOKENS", "2", 3, "ana")]


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


def test_a_store_that_loses_its_versions_while_it_is_used_is_unavailable(tmp_path: Path) -> None:
    """Typed like every other failure; nothing is written on top of it."""
    store = filled(tmp_path)
    _without_versions(tmp_path / DATABASE)
    with pytest.raises(StoreUnavailable, match="no versions"):
        store.load()
    with pytest.raises(StoreUnavailable, match="no versions"):
        store.append(3, [version(4)])
    assert store.trouble is not None


# -- damage ----------------------------------------------------------------------------------------------------------


def _flip_pages(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    file.write_bytes(content)


def _foreign(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE notes (text)")


def _without_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TABLE changes")


def _without_versions(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM versions")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage": lambda file: file.write_bytes(b"garbage" * 1000),
    "truncated": lambda file: os.truncate(file, 5000),
    "empty": lambda file: os.truncate(file, 0),
    "missing": Path.unlink,
    "pages overwritten": _flip_pages,
    "another program's": _foreign,
    "a table is gone": _without_tables,
    "its versions are gone": _without_versions,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_store_is_replaced_by_the_last_good_copy(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """Every acknowledged change is in the copy; the trouble is told, kept in the history, and the file is kept."""
    filled(tmp_path)
    damage(tmp_path / DATABASE)
    store = opened(tmp_path)
    assert store.trouble is not None
    assert store.trouble.state == "restored"
    assert store.load().values == {"MAX_TOKENS": 2}
    assert "copy" in store.history(1)[0].why
    newest = store.load().version
    store.append(newest, [version(newest + 1, put("MAX_TOKENS", 3))])
    assert opened(tmp_path).trouble is None
    assert opened(tmp_path).load().values == {"MAX_TOKENS": 3}
    assert (tmp_path / f"{DATABASE}.damaged").exists() is (damage is not DAMAGES["missing"])


@pytest.mark.parametrize("copy", [None, b"", b"garbage" * 1000], ids=["no copy", "empty copy", "damaged copy"])
def test_without_a_good_copy_the_store_begins_anew_and_says_so(tmp_path: Path, copy: bytes | None) -> None:
    """It never raises: the other layers count, and the history tells that overrides were lost."""
    filled(tmp_path)
    (tmp_path / DATABASE).write_bytes(b"garbage" * 1000)
    if copy is None:
        (tmp_path / f"{DATABASE}.copy").unlink()
    else:
        (tmp_path / f"{DATABASE}.copy").write_bytes(copy)
    store = opened(tmp_path)
    assert store.trouble is not None
    assert (store.trouble.state, store.load().values) == ("lost", {})
    assert "lost" in store.history(1)[0].why


def test_an_empty_file_without_a_copy_is_told_as_a_loss(tmp_path: Path) -> None:
    """Something has been there; a folder without any file is a first start."""
    (tmp_path / DATABASE).touch()
    store = opened(tmp_path)
    assert store.trouble is not None
    assert (store.trouble.state, store.load().values) == ("lost", {})
    assert "lost" in store.history(1)[0].why
    assert opened(tmp_path).trouble is None


def test_the_journal_of_a_damaged_database_is_not_played_into_the_new_one(tmp_path: Path) -> None:
    """It is put aside together with the database."""
    filled(tmp_path)
    (tmp_path / DATABASE).write_bytes(b"garbage" * 1000)
    (tmp_path / f"{DATABASE}-journal").write_bytes(b"leftover" * 100)
    assert opened(tmp_path).load().values == {"MAX_TOKENS": 2}
    assert not (tmp_path / f"{DATABASE}-journal").exists()


def test_a_store_that_cannot_be_opened_is_read_from_its_copy_and_refuses_changes(tmp_path: Path) -> None:
    """The trouble ends with the first append that succeeds, without a restart."""
    filled(tmp_path)
    (tmp_path / DATABASE).rename(tmp_path / "away")
    (tmp_path / DATABASE).mkdir()
    store = opened(tmp_path)
    assert store.trouble is not None
    assert store.trouble.state == "unwritable"
    assert store.load().values == {"MAX_TOKENS": 2}
    with pytest.raises(StoreUnavailable):
        store.append(3, [version(4)])
    (tmp_path / DATABASE).rmdir()
    (tmp_path / "away").rename(tmp_path / DATABASE)
    store.append(3, [version(4, put("MAX_TOKENS", 4))])
    assert store.load().values == {"MAX_TOKENS": 4}
    assert not store.trouble


def test_a_folder_that_cannot_be_made_is_trouble_and_no_exception(tmp_path: Path) -> None:
    """STATE_DIR is a file, say."""
    (tmp_path / "var").write_text("")
    store = opened(tmp_path / "var")
    assert store.trouble is not None
    assert (store.trouble.state, store.load().values) == ("unwritable", {})


def test_a_database_that_vanishes_while_it_is_used_does_not_look_empty(tmp_path: Path) -> None:
    """Reading and writing fail; nothing makes a new, empty one behind the process's back."""
    store = filled(tmp_path)
    (tmp_path / DATABASE).unlink()
    with pytest.raises(StoreUnavailable):
        store.load()
    with pytest.raises(StoreUnavailable):
        store.append(3, [version(4)])
    assert store.trouble is not None
    assert not (tmp_path / DATABASE).exists()


def test_waiting_for_somebody_elses_lock_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten transaction in an sqlite3 shell makes changes fail, not hang; afterwards they work again."""
    monkeypatch.setattr(sqlite_store, "BUSY_SECONDS", 0.01)
    store = filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as shell:
        shell.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            store.append(3, [version(4)])
        shell.execute("ROLLBACK")
    store.append(3, [version(4)])
    assert store.trouble is None


def test_a_store_in_trouble_is_not_waited_for_as_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a first failure a call gives up sooner, until one succeeds."""
    monkeypatch.setattr(sqlite_store, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(sqlite_store, "TROUBLED_SECONDS", 0.01)
    waited: list[float] = []
    connect = sqlite_store.connect

    def noted(path: Path, *, busy_seconds: float, **options: Any) -> sqlite3.Connection:
        waited.append(busy_seconds)
        return connect(path, busy_seconds=busy_seconds, **options)

    store = filled(tmp_path)
    monkeypatch.setattr(sqlite_store, "connect", noted)
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                store.append(3, [version(4)])
    store.append(3, [version(4)])
    store.load()
    assert waited[:3] == [0.02, 0.01, 0.01]
    assert waited[-1] == 0.02


def test_a_copy_that_fails_does_not_undo_the_change(tmp_path: Path) -> None:
    """What was committed is acknowledged; only the copy stays behind."""
    store = filled(tmp_path)
    (tmp_path / f"{DATABASE}.copy").unlink()
    (tmp_path / f"{DATABASE}.copy").mkdir()
    store.append(3, [version(4, put("MAX_TOKENS", 4))])
    assert store.load().values == {"MAX_TOKENS": 4}


# -- kill -9 ---------------------------------------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from rom_core.config.sqlite_store import SqliteStore
from rom_core.config.store import Change, Version

store = SqliteStore(Path(sys.argv[1]), time.time)
number = store.load().version
while True:
    number += 1
    store.append(number - 1, [Version(number, time.time(), "loop", changes=(Change("N", "set", None, number),))])
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """After each kill in a write loop the store opens without trouble and has the last acknowledged change."""
    chance = random.Random(4)
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        assert first
        timer = threading.Timer(chance.uniform(0.0, 0.15), child.send_signal, (signal.SIGKILL,))
        timer.start()
        rest, errors = child.communicate(timeout=30)
        timer.join()
        assert not errors
        acknowledged = int((first + rest).rsplit("\n", 2)[-2])
        store = opened(tmp_path)
        assert store.trouble is None
        # One more may have been committed before its acknowledgement was printed.
        assert store.load().values["N"] - acknowledged in (0, 1)
        assert store.load().values["N"] == store.load().version
        copied = opened_copy(tmp_path)
        assert acknowledged - 1 <= copied <= acknowledged + 1


def opened_copy(folder: Path) -> int:
    """N as the copy has it."""
    with closing(sqlite3.connect(folder / f"{DATABASE}.copy")) as connection:
        return int(json.loads(connection.execute("SELECT value FROM overrides WHERE name = 'N'").fetchone()[0]))
