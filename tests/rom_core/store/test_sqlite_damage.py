"""The store of overrides is mended when it is damaged: from its copy, or from what is in force."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from store_support import filled, opened, put, version

from rom_core.store.address import DATABASE


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
        connection.execute("DROP TABLE rom_changes")


def _without_versions(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM rom_versions")


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


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_while_it_is_used_is_mended_at_the_next_call(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """As at start: nothing that was acknowledged is lost, and the trouble is told."""
    store = filled(tmp_path)
    damage(tmp_path / DATABASE)
    state = store.load()
    assert (state.values, state.version) == ({"MAX_TOKENS": 2}, 4)
    assert store.trouble is not None
    assert store.trouble.state == "restored"
    store.append(4, [version(5, put("MAX_TOKENS", 3))])
    assert opened(tmp_path).load().values == {"MAX_TOKENS": 3}


def test_a_folder_that_is_deleted_is_made_again_with_what_is_in_force(tmp_path: Path) -> None:
    """Copy and all: the next change writes every override anew, with who set it and when."""
    store = filled(tmp_path / "var")
    before = store.load()
    shutil.rmtree(tmp_path / "var")
    state = store.load()
    assert dict(state.overrides) == dict(before.overrides)
    store.append(state.version, [version(state.version + 1, put("A", 1))])
    again = opened(tmp_path / "var")
    assert again.load().values == {"MAX_TOKENS": 2, "A": 1}
    assert "made again" in again.history(2)[1].why


def test_a_copy_that_is_older_than_what_is_in_force_is_not_gone_back_to(tmp_path: Path) -> None:
    """A copy that could not be renewed must not take a change back."""
    store = filled(tmp_path)
    copy = (tmp_path / f"{DATABASE}.copy").read_bytes()
    store.append(3, [version(4, put("MAX_TOKENS", 4))])
    (tmp_path / f"{DATABASE}.copy").write_bytes(copy)
    (tmp_path / DATABASE).write_bytes(b"garbage" * 1000)
    assert store.load().values == {"MAX_TOKENS": 4}


def test_a_copy_that_fails_does_not_undo_the_change(tmp_path: Path) -> None:
    """What was committed is acknowledged; only the copy stays behind."""
    store = filled(tmp_path)
    (tmp_path / f"{DATABASE}.copy").unlink()
    (tmp_path / f"{DATABASE}.copy").mkdir()
    store.append(3, [version(4, put("MAX_TOKENS", 4))])
    assert store.load().values == {"MAX_TOKENS": 4}
