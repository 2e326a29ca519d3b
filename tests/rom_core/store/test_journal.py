"""The journal: a state and how it came about, whole or absent, and readable by hand."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rom_core.errors import StoreUnavailable
from rom_core.store.journal import Entry, Journal


def test_state_and_entries_outlive_the_object(tmp_path: Path) -> None:
    """The folder is made; the newest state counts, entries stay, newest first."""
    path = tmp_path / "state" / "x.db"
    assert Journal(path).load() is None
    journal = Journal(path)
    journal.save({"step": 1}, [Entry(0.0, "ana", "started", "because", {"percent": 10})])
    journal.save({"step": 2}, [Entry(1.5, "bia", "ended")])
    again = Journal(path)
    assert again.load() == {"step": 2}
    assert [(entry["by"], entry["action"]) for entry in again.entries(5)] == [("bia", "ended"), ("ana", "started")]
    assert again.entries(5)[1] == {
        "at": "1970-01-01T00:00:00.000+00:00",
        "by": "ana",
        "action": "started",
        "why": "because",
        "details": {"percent": 10},
    }


def test_state_and_entries_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    """An entry that cannot be written takes the state with it."""
    journal = Journal(tmp_path / "x.db")
    journal.save({"step": 1})
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("ALTER TABLE entries RENAME TO other")
    with pytest.raises(StoreUnavailable):
        journal.save({"step": 2}, [Entry(0.0, "ana", "started")])
    assert journal.load() == {"step": 1}


@pytest.mark.parametrize("content", [b"damaged" * 500, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_put_aside(tmp_path: Path, content: bytes) -> None:
    """Told once; after that a new one begins."""
    path = tmp_path / "x.db"
    path.write_bytes(content)
    journal = Journal(path)
    with pytest.raises(ValueError, match="was damaged"):
        journal.load()
    assert (tmp_path / "x.db.damaged").read_bytes() == content
    journal.save({"step": 1})
    assert Journal(path).load() == {"step": 1}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """As a store that is unavailable, not as damage."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "x.db")
    for call in (journal.load, lambda: journal.entries(1), lambda: journal.save({})):
        with pytest.raises(StoreUnavailable):
            call()


def test_a_file_that_vanished_is_made_again_by_the_next_change(tmp_path: Path) -> None:
    """Reading must not look as if nothing ever happened; what is saved holds the whole state."""
    journal = Journal(tmp_path / "var" / "x.db")
    journal.save({"step": 1})
    shutil.rmtree(tmp_path / "var")
    for read in (journal.load, lambda: journal.entries(1)):
        with pytest.raises(StoreUnavailable):
            read()
    journal.save({"step": 2})
    assert Journal(tmp_path / "var" / "x.db").load() == {"step": 2}


def test_text_that_is_no_text_is_damage(tmp_path: Path) -> None:
    """A flipped byte in the state is put aside like any other damage."""
    journal = Journal(tmp_path / "x.db")
    journal.save({"step": "xxxx"})
    content = (tmp_path / "x.db").read_bytes()
    (tmp_path / "x.db").write_bytes(content.replace(b'{"step', b'\xff"step'))
    with pytest.raises(ValueError, match="was damaged"):
        Journal(tmp_path / "x.db").load()


def test_only_this_user_reads_it(tmp_path: Path) -> None:
    """Whatever the umask says."""
    before = os.umask(0o022)
    try:
        Journal(tmp_path / "var" / "x.db").save({"step": 1})
    finally:
        os.umask(before)
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "var" / "x.db").stat().st_mode & 0o777 == 0o600
