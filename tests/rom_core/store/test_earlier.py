"""Overrides of the releases that kept them in flags.db."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_support import opened, put, version

FLAGS_DB = """
CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    trace_id TEXT NOT NULL
);
CREATE TABLE changes (
    version INTEGER NOT NULL REFERENCES versions (version),
    name TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('set', 'clear', 'reload')),
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    PRIMARY KEY (version, name)
) WITHOUT ROWID;
PRAGMA user_version = 1;
PRAGMA application_id = 0x524F4D46;
INSERT INTO versions VALUES (1, '2026-01-01T00:00:00.000+00:00', 'rom', 'first start', '');
INSERT INTO versions VALUES (2, '2026-01-02T00:00:00.000+00:00', 'ana', 'porquê', 't');
INSERT INTO changes VALUES (2, 'BEDROCK_ENABLED', 'set', 'true', 'false');
"""
CHECKSUMS = """
CREATE TABLE checksums (version INTEGER PRIMARY KEY, checksum TEXT NOT NULL);
INSERT INTO checksums VALUES (1, '8d0e5ccd2cc9d55ae1e4ab6bfa01f1bb0e37ad62d5be1a8cb1ad2e9a7b0d8b7c');
INSERT INTO checksums VALUES (2, '0000000000000000000000000000000000000000000000000000000000000000');
"""


def earlier(folder: Path, script: str = FLAGS_DB, name: str = "flags.db") -> Path:
    """A database of an earlier release."""
    with closing(sqlite3.connect(folder / name)) as connection:
        connection.executescript(script)
    return folder / name


def test_what_an_earlier_release_has_stored_still_counts(tmp_path: Path) -> None:
    """A kill switch set under it stays set, with its history; read in once, the file is put away under another name."""
    earlier(tmp_path)
    earlier(tmp_path, name="flags.db.copy")
    store = opened(tmp_path)
    assert (store.load().values, store.load().version, store.trouble) == ({"BEDROCK_ENABLED": False}, 2, None)
    assert [(each.number, each.by, each.why) for each in store.history(9)] == [
        (2, "ana", "porquê"),
        (1, "rom", "first start"),
    ]
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith("flags")} == {
        "flags.db.imported",
        "flags.db.copy.imported",
    }
    store.append(2, [version(3, put("BEDROCK_ENABLED", True))])
    assert opened(tmp_path).load().values == {"BEDROCK_ENABLED": True}


def test_a_damaged_one_is_read_from_its_copy(tmp_path: Path) -> None:
    """As the earlier release did."""
    earlier(tmp_path, name="flags.db.copy")
    (tmp_path / "flags.db").write_bytes(b"damaged" * 1000)
    assert opened(tmp_path).load().values == {"BEDROCK_ENABLED": False}


@pytest.mark.parametrize("content", [b"damaged" * 1000, None], ids=["no database", "checksums that do not fit"])
def test_one_that_cannot_be_read_is_told_as_a_loss(tmp_path: Path, content: bytes | None) -> None:
    """In the history; the process starts without its overrides."""
    if content is None:
        earlier(tmp_path, FLAGS_DB + CHECKSUMS)
    else:
        (tmp_path / "flags.db").write_bytes(content)
    store = opened(tmp_path)
    assert store.load().values == {}
    assert "lost" in store.history(1)[0].why
    assert (tmp_path / "flags.db.imported").exists()


def test_a_store_that_there_is_reads_nothing_in(tmp_path: Path) -> None:
    """A flags.db that somebody brings back later does not undo what was decided since."""
    opened(tmp_path).append(1, [version(2, put("BEDROCK_ENABLED", True))])
    earlier(tmp_path)
    assert opened(tmp_path).load().values == {"BEDROCK_ENABLED": True}
