"""The store of overrides: durable, for its user alone, and refused where it cannot be opened or written."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_support import OWNERS, filled, opened, put, version

from rom_core.errors import StoreRefused, StoreUnavailable
from rom_core.store import opening
from rom_core.store.address import DATABASE
from rom_core.store.sqlite import connections
from rom_core.store.sqlite import store as sqlite_store
from rom_core.store.sqlite.store import read_state


def test_a_store_that_cannot_be_opened_refuses_changes_and_is_opened_again(tmp_path: Path) -> None:
    """The trouble ends with the first append that succeeds, without a restart."""
    store = filled(tmp_path)
    (tmp_path / DATABASE).rename(tmp_path / "away")
    (tmp_path / DATABASE).mkdir()
    with pytest.raises(StoreUnavailable):
        store.append(3, [version(4)])
    assert store.trouble is not None
    assert store.trouble.state == "unwritable"
    assert read_state(tmp_path / DATABASE, OWNERS).values == {"MAX_TOKENS": 2}
    (tmp_path / DATABASE).rmdir()
    (tmp_path / "away").rename(tmp_path / DATABASE)
    store.append(3, [version(4, put("MAX_TOKENS", 4))])
    assert store.load().values == {"MAX_TOKENS": 4}
    assert not store.trouble


def test_a_folder_that_cannot_be_made_refuses_the_start(tmp_path: Path) -> None:
    """STATE_DIR is a file, say: what, where, and what to do."""
    (tmp_path / "var").write_text("")
    with pytest.raises(StoreRefused, match=r"var/rom\.db cannot be made or written: .* STATE_DIR"):
        opened(tmp_path / "var")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk of the store .* is full; make room"),
        (OSError(errno.EROFS, "Read-only file system"), "cannot be made or written: Read-only file system; let"),
        (OSError(errno.EACCES, "Permission denied"), "cannot be made or written: Permission denied; let"),
    ],
)
def test_a_folder_that_cannot_be_written_refuses_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    """Each with what to do about it; what there was is as before."""
    filled(tmp_path)

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_store, "make_private", fail)
        with pytest.raises(StoreRefused, match=says):
            opened(tmp_path)
    assert opened(tmp_path).load().values == {"MAX_TOKENS": 2}


def test_a_full_disk_refuses_changes_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says so itself; nothing that was acknowledged is lost, and it is no damage."""
    store = filled(tmp_path)
    connect = connections.connect
    pages = 0

    def small(path: Path, **options: Any) -> sqlite3.Connection:
        connection = connect(path, **options)
        if pages:
            connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(connections, "connect", small)
    pages = 1
    long = put("SYSTEM_PROMPT", "x" * 100_000)
    with pytest.raises(StoreUnavailable, match="full"):
        store.append(3, [version(4, long)])
    assert (store.load().values, store.trouble and store.trouble.state) == ({"MAX_TOKENS": 2}, "unwritable")
    pages = 0
    store.append(3, [version(4, long)])
    assert store.trouble is None
    assert not (tmp_path / f"{DATABASE}.damaged").exists()


def test_a_start_on_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new store needs room."""
    connect = connections.connect

    def small(path: Path, **options: Any) -> sqlite3.Connection:
        connection = connect(path, **options)
        connection.execute("PRAGMA max_page_count = 3")
        return connection

    monkeypatch.setattr(connections, "connect", small)
    with pytest.raises(StoreRefused, match=r"the disk of the store .* is full; make room"):
        opened(tmp_path)


def test_a_mistake_in_a_statement_is_no_trouble(tmp_path: Path) -> None:
    """It is the caller's: the store is as well as before, and says so."""
    store = filled(tmp_path)
    with pytest.raises(StoreUnavailable):
        store.store.read(lambda connection: connection.exec_driver_sql("SELECT nowhere"))
    assert store.trouble is None


def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    """It is refused at start, not put aside: it may be what somebody else lives on."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection, connection:
        connection.execute("CREATE TABLE notes (text)")
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(StoreRefused, match="database of something else"):
        opened(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == before


def test_a_store_that_stays_locked_refuses_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds it has to let go; the wait has an end."""
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.01)
    monkeypatch.setattr(opening, "START_SECONDS", 0.05)
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as shell:
        shell.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreRefused, match="locked by another program"):
            opened(tmp_path)
        shell.execute("ROLLBACK")
    assert opened(tmp_path).load().version == 3


def test_who_only_reads_makes_and_changes_nothing(tmp_path: Path) -> None:
    """No folder, no database, no copy, no mending; what is there is read, from the copy if need be."""
    assert read_state(tmp_path / "none" / DATABASE, OWNERS).values == {}
    assert not (tmp_path / "none").exists()
    assert read_state(tmp_path / DATABASE, OWNERS).values == {}
    assert not list(tmp_path.iterdir())
    filled(tmp_path)
    (tmp_path / f"{DATABASE}.new-1").write_text("half a copy")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert read_state(tmp_path / DATABASE, OWNERS).values == {"MAX_TOKENS": 2}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / DATABASE).write_bytes(b"damaged")
    assert read_state(tmp_path / DATABASE, OWNERS).values == {"MAX_TOKENS": 2}
    assert (tmp_path / DATABASE).read_bytes() == b"damaged"


def test_only_this_user_reads_what_is_kept(tmp_path: Path) -> None:
    """Folder and files, new ones and those of an earlier release; a folder that holds other things keeps its rights."""
    before = os.umask(0o022)
    try:
        folder = tmp_path / "deep" / "var"
        store = filled(folder)
        assert _rights(folder) == {0o700} | {0o600}
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        store = opened(folder)
        assert _rights(folder) == {0o700, 0o600}
        folder.chmod(0o755)
        (folder / "notes.txt").touch()
        store.append(3, [version(4)])
        opened(folder)
        assert folder.stat().st_mode & 0o777 == 0o755
        assert (folder / DATABASE).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def _rights(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}


def test_waiting_for_somebody_elses_lock_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten transaction in an sqlite3 shell makes changes fail, not hang; afterwards they work again."""
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.01)
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
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(sqlite_store, "TROUBLED_SECONDS", 0.01)
    waited: list[float] = []
    connect = connections.connect

    def noted(path: Path, *, busy_seconds: float, **options: Any) -> sqlite3.Connection:
        waited.append(busy_seconds)
        return connect(path, busy_seconds=busy_seconds, **options)

    store = filled(tmp_path)
    monkeypatch.setattr(connections, "connect", noted)
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                store.append(3, [version(4)])
    store.append(3, [version(4)])
    store.load()
    assert waited[:3] == [0.02, 0.01, 0.01]
    assert waited[-1] == 0.02


WRITER = """
import sys, time
from pathlib import Path
from rom_core.store.address import SqliteAddress
from rom_core.store.history import StoredOverrides
from rom_core.store.opening import open_store
from rom_core.store.overrides import Change, Version
from rom_core.store.owners import owners_of

store = StoredOverrides(open_store(SqliteAddress(Path(sys.argv[1]) / "rom.db"), owners_of("0.1.0", ()), time.time))
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
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            first = child.stdout.readline()
            assert first
            timer = threading.Timer(chance.uniform(0.0, 0.15), child.send_signal, (signal.SIGKILL,))
            timer.start()
            # `communicate` would lose the lines that `readline` has already taken from the pipe.
            rest, errors = child.stdout.read(), child.stderr.read()
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
        return int(json.loads(connection.execute("SELECT value FROM rom_overrides WHERE name = 'N'").fetchone()[0]))
