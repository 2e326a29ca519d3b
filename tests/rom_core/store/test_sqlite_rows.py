"""The rows of the store: versions and changes as they were appended, and any state between."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_support import OWNERS, filled, opened, put, version

from rom_core.store.address import DATABASE
from rom_core.store.overrides import Version
from rom_core.store.sqlite.connections import FAILURES, engine_of, is_damage
from rom_core.store.sqlite.contents import check
from rom_core.store.sqlite.files import check_header, make_private
from rom_core.store.sqlite.store import read_state


def test_the_database_reads_with_sqlite_alone(tmp_path: Path) -> None:
    """The view `rom_overrides` shows name and value, and by whom, to any SQLite client."""
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        rows = connection.execute("SELECT name, value, version, by FROM rom_overrides").fetchall()
    assert rows == [("MAX_TOKENS", "2", 3, "ana")]


# -- what was not written by us ----------------------------------------------------------------------------------------


DEEP = "[" * 5000 + "]" * 5000

BY_HAND = {
    "a value that is no JSON": "UPDATE rom_changes SET after = 'off' WHERE version = 3",
    "another value": "UPDATE rom_changes SET after = '3' WHERE version = 3",
    "another author": "UPDATE rom_versions SET by = 'bia' WHERE version = 3",
    "another name": "UPDATE rom_changes SET name = 'MAX_TOKENT' WHERE version = 3",
    "a change less": "DELETE FROM rom_changes WHERE version = 2",
    "a version less": "DELETE FROM rom_versions WHERE version = 2",
    "a version without its checksum": "UPDATE rom_versions SET checksum = '' WHERE version = 3",
    "a value nested too deep to read": f"UPDATE rom_changes SET after = '{DEEP}' WHERE version = 3",
    "a value nested too deep to use": f"UPDATE rom_changes SET after = '{'[' * 90 + ']' * 90}' WHERE version = 3",
    "a version more": "INSERT INTO rom_versions VALUES (4, '2026-01-01T00:00:00+00:00', 'eve', '', '', '')",
    "another view": "DROP VIEW rom_overrides",
    "a time that is no text": "UPDATE rom_versions SET at = x'ff00' WHERE version = 3",
    "an author who is no text": "UPDATE rom_versions SET by = x'ff00', why = x'616e61' WHERE version = 3",
    "a value that is no text": "UPDATE rom_changes SET after = x'ff', before = x'ff' WHERE version = 3",
}


@pytest.mark.parametrize("statement", BY_HAND.values(), ids=BY_HAND)
def test_whatever_was_not_written_by_us_counts_for_nothing(tmp_path: Path, statement: str) -> None:
    """The last good copy counts instead, for a store that is open and for one that opens; and it is told."""
    for opens in (False, True):
        folder = tmp_path / str(opens)
        store = filled(folder)
        with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
            connection.execute(statement)
        if opens:
            store = opened(folder)
        state = store.load()
        assert (state.values, state.overrides["MAX_TOKENS"].by) == ({"MAX_TOKENS": 2}, "ana")
        assert store.trouble is not None
        assert store.trouble.state == "restored"
        assert [entry.number for entry in store.history(9)] == [4, 3, 2, 1]


@pytest.mark.timeout(300)
def test_no_flipped_bit_passes_unseen(tmp_path: Path) -> None:
    """3,000 single flips, and 200 of several bytes: what is read is what was written, or the file is damaged."""
    store = filled(tmp_path)
    store.append(3, [version(4, put("SYSTEM_PROMPT", "ção " * 40), put("BEDROCK_ENABLED", False), why="porquê")])
    file = tmp_path / DATABASE
    whole, written = file.read_bytes(), _versions(file)
    assert _versions(file) is not None
    used = [place for place, byte in enumerate(whole) if byte]
    chance = random.Random(7)
    damaged = 0
    for number in range(3200):
        flipped = bytearray(whole)
        for _ in range(1 if number < 3000 else 3):
            place = chance.choice(used) if number % 4 else chance.randrange(len(whole))
            flipped[place] ^= 1 << chance.randrange(8)
        file.write_bytes(flipped)
        found = _versions(file)
        assert found is None or found == written, "changed unseen"
        damaged += found is None
    assert damaged > 1500


def test_a_store_with_any_flip_opens_with_what_was_acknowledged(tmp_path: Path) -> None:
    """From the file or from its copy; never an exception, never another value. `read_state` gives the same."""
    filled(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    chance = random.Random(11)
    for _ in range(60):
        for path in tmp_path.iterdir():
            path.unlink()
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        flipped = bytearray(files[DATABASE])
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        (tmp_path / DATABASE).write_bytes(flipped)
        assert read_state(tmp_path / DATABASE, OWNERS).values == {"MAX_TOKENS": 2}
        store = opened(tmp_path)
        assert store.load().values == {"MAX_TOKENS": 2}
        store.append(store.load().version, [version(store.load().version + 1, put("A", 1))])
        assert store.load().values == {"MAX_TOKENS": 2, "A": 1}


def _versions(file: Path) -> list[Version] | None:
    """All versions in the file, None if it is damaged."""
    try:
        check_header(file)
        with engine_of(file, mode="ro").connect() as connection:
            return check(connection, file, OWNERS)
    except FAILURES as error:
        if not is_damage(error):
            raise
        return None


def test_a_journal_that_goes_while_files_are_made_private_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes while this one starts; the files that stay are for this user alone all the same."""
    database, journal = tmp_path / "rom.db", tmp_path / "rom.db-journal"
    for file in (database, journal):
        file.touch()
        file.chmod(0o644)
    is_symlink = Path.is_symlink

    def last_look(file: Path) -> bool:
        found = is_symlink(file)
        if file == journal:
            file.unlink()
        return found

    monkeypatch.setattr(Path, "is_symlink", last_look)
    make_private(tmp_path, "rom.db")
    assert database.stat().st_mode & 0o777 == 0o600
