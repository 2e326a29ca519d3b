"""`rom store`: what an operator may rely on, for both databases."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, text
from store_support import OWNERS, close_all, filled, opened, put, version

from bench.postgres import PostgresServer
from rom_core.cli import main
from rom_core.store.address import DATABASE
from rom_core.store.history import StoredOverrides
from rom_core.store.postgres import backups as shared
from rom_core.store.sqlite import backups as local
from rom_core.store.sqlite import connections

PASSWORD = "pass-w0rd-of-mine"
Rom = Callable[..., Result]


def store_command(*arguments: object) -> Result:
    """`rom store …` here."""
    return CliRunner().invoke(main, ["store", *map(str, arguments)])


@pytest.fixture
def rom(
    where: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., Result]:
    """`rom store …` in a folder whose settings name `where`."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    if isinstance(where, Path):
        monkeypatch.setenv("STATE_DIR", str(where))
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        monkeypatch.setenv("STATE_URL", where)
        monkeypatch.setenv("PATH", f"{server.bin}:{os.environ['PATH']}")
    return store_command


def refused(result: Result) -> str:
    """What it says; exit code 1, in one line and without a traceback."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    return result.stderr


def change(store: StoredOverrides, **values: int) -> None:
    """One more version."""
    newest = store.load().version
    store.append(newest, [version(newest + 1, *(put(name, value) for name, value in values.items()))])


def replaced(folder: Path) -> list[Path]:
    """What was put away by restoring."""
    return [path for path in (*folder.iterdir(), *folder.glob("var/*")) if ".replaced-" in path.name]


def test_what_was_backed_up_comes_back(rom: Rom, where: Path | str, tmp_path: Path) -> None:
    """With its history, in which the restoring stands too; what was there meanwhile is kept, and is a backup itself."""
    store = filled(where)
    file = tmp_path / "kept.backup"
    assert rom("backup", file).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    change(store, MAX_TOKENS=9, A=1)
    store.store.close()
    done = rom("restore", file)
    assert done.exit_code == 0, done.output
    (kept,) = replaced(tmp_path)
    assert str(kept) in done.output
    store = opened(where)
    assert (store.load().values, store.trouble) == ({"MAX_TOKENS": 2}, None)
    assert [entry.why for entry in store.history(9)] == ["restored from the backup kept.backup", "", "", "first start"]
    change(store, MAX_TOKENS=3)
    assert rom("check").exit_code == 0
    store.store.close()
    kept = kept.rename(tmp_path / "newer")
    assert rom("restore", kept).exit_code == 0
    assert opened(where).load().values == {"MAX_TOKENS": 9, "A": 1}


def test_a_backup_is_of_one_moment_while_others_write(
    rom: Rom, where: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds a whole history, whatever is written meanwhile, and every change that was acknowledged before."""
    monkeypatch.setattr(connections, "BUSY_SECONDS", 60)
    store = filled(where)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            change(store, N=1)

    writer = threading.Thread(target=write)
    writer.start()
    acknowledged = []
    try:
        for number in range(3):
            acknowledged.append(opened(where).load().version)
            assert rom("backup", tmp_path / f"{number}.backup").exit_code == 0
    finally:
        stop.set()
        writer.join()
    for number, before in enumerate(acknowledged):
        close_all()
        assert rom("restore", tmp_path / f"{number}.backup").exit_code == 0
        again = opened(where)
        assert again.load().version > before
        assert again.trouble is None


def test_a_store_is_restored_where_there_is_none(
    rom: Rom, where: Path | str, tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, say."""
    filled(where).store.close()
    file = tmp_path / "kept.backup"
    assert rom("backup", file).exit_code == 0
    elsewhere: Path | str = tmp_path / "elsewhere"
    if isinstance(where, Path):
        monkeypatch.setenv("STATE_DIR", str(elsewhere))
    else:
        elsewhere = postgres.url(postgres.database())
        monkeypatch.setenv("STATE_URL", elsewhere)
    done = rom("restore", file)
    assert (done.exit_code, "what was there" in done.output) == (0, False)
    assert opened(elsewhere).load().values == {"MAX_TOKENS": 2}


def test_a_store_in_use_is_not_replaced(rom: Rom, where: Path | str, tmp_path: Path) -> None:
    """By a server in its folder, or by instances of a fleet."""
    store = filled(where)
    assert rom("backup", tmp_path / "kept.backup").exit_code == 0
    if not isinstance(where, Path):
        store.store.write(_instance)
    assert "stop" in refused(rom("restore", tmp_path / "kept.backup"))
    change(store, MAX_TOKENS=5)
    assert store.load().values == {"MAX_TOKENS": 5}


def _instance(connection: Connection) -> None:
    seen = "extract(epoch FROM now())"
    names = "id, release, version, since, seen, draining"
    connection.execute(text(f"INSERT INTO rom_instances ({names}) VALUES ('one', '0.1.0', 3, 0, {seen}, false)"))


def test_what_does_not_fit_is_refused_and_changes_nothing(rom: Rom, where: Path | str, tmp_path: Path) -> None:
    """No file, no backup, of the other database, cut short, of a newer release."""
    store = filled(where)
    file = tmp_path / "kept.backup"
    assert rom("backup", file).exit_code == 0
    store.store.write(_newer)
    assert rom("backup", tmp_path / "newer.backup").exit_code == 0
    store.store.write(_as_before)
    store.store.close()
    whole = file.read_bytes()
    (tmp_path / "text").write_text("what is this?")
    (tmp_path / "other").write_bytes((b"PGDMP" if isinstance(where, Path) else b"SQLite format 3\0") + bytes(200))
    (tmp_path / "short").write_bytes(whole[: len(whole) // 2])
    expected = {
        "nothing": ("cannot be read: No such file",),
        "text": ("is no backup of a store",),
        "other": ("is a backup of",),
        "short": ("cannot be restored", "pg_restore failed", "no backup of a store"),
        "newer.backup": ("needs 99.0 or newer",),
    }
    for name, says in expected.items():
        said = refused(rom("restore", tmp_path / name))
        assert any(part in said for part in says), (name, said)
    assert opened(where).load().values == {"MAX_TOKENS": 2}
    assert replaced(tmp_path) == []
    assert not [path for path in (*tmp_path.iterdir(), *tmp_path.glob("var/*")) if ".new-" in path.name]


def _newer(connection: Connection) -> None:
    connection.execute(text("INSERT INTO rom_migrations VALUES ('9999', '99.0')"))
    connection.execute(text("UPDATE rom_alembic_version SET version_num = '9999'"))


def _as_before(connection: Connection) -> None:
    connection.execute(text("DELETE FROM rom_migrations WHERE revision = '9999'"))
    connection.execute(text(f"UPDATE rom_alembic_version SET version_num = '{OWNERS[0].revisions[-1]}'"))


def test_a_backup_is_never_written_over_anything(rom: Rom, where: Path | str, tmp_path: Path) -> None:
    """Nor into a folder that is not there, nor of a store that is not there."""
    assert "no store" in refused(rom("backup", tmp_path / "kept.backup"))
    filled(where)
    (tmp_path / "kept.backup").write_text("mine")
    assert "exists already" in refused(rom("backup", tmp_path / "kept.backup"))
    assert (tmp_path / "kept.backup").read_text() == "mine"
    assert "does not exist" in refused(rom("backup", tmp_path / "no" / "kept.backup"))


def test_a_check_tells_what_is_wrong(rom: Rom, where: Path | str) -> None:
    """Nothing is made by looking; migrations are named, and what was not written by a server is found."""
    none = rom("check")
    assert (none.exit_code, "there is none" in none.output) == (0, True)
    assert not isinstance(where, Path) or not where.exists()
    store = filled(where)
    well = json.loads(rom("check", "--json").stdout)
    assert well["ok"] is True
    assert any("version 3 of the settings" in each["text"] for each in well["findings"])
    assert any(each["about"] == "tables of the core" and "at migration" in each["text"] for each in well["findings"])
    by_hand = text("UPDATE rom_changes SET after = '3' WHERE version = 3")
    store.store.write(lambda connection: connection.execute(by_hand))
    ill = rom("check")
    assert (ill.exit_code, "version 3 is not what was written" in ill.output) == (1, True)


def test_a_check_changes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the database nor its copy, damaged or not."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "var"
    filled(folder).store.close()
    (folder / f"{DATABASE}.copy").write_bytes(b"damaged")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "not good" in store_command("check").output
    (folder / DATABASE).unlink()
    assert "takes its copy" in store_command("check").output
    (folder / DATABASE).write_bytes(b"damaged" * 1000)
    assert store_command("check").exit_code == 1
    (folder / DATABASE).write_bytes(before[DATABASE])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_waiting_for_a_lock_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup of a database that somebody holds for himself gives up."""
    monkeypatch.setattr(local, "BACKUP_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "var").store.close()
    with closing(sqlite3.connect(tmp_path / "var" / DATABASE, isolation_level=None)) as shell:
        shell.execute("BEGIN EXCLUSIVE")
        said = refused(store_command("backup", "kept"))
    assert "locked by another program" in said
    assert [path.name for path in tmp_path.iterdir()] == ["var"]


def test_missing_programs_are_told(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed, and with what it comes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_URL", postgres_url)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(shared, "_INSTALLED", str(tmp_path / "none"))
    filled(postgres_url)
    assert "pg_dump is not installed" in refused(store_command("backup", "kept"))


def test_a_password_stands_in_no_command_and_no_text(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to pg_dump in its environment; what fails does not repeat it."""
    seen: list[str] = []
    run = subprocess.run

    def noted(command: list[str], **options: object) -> object:
        seen.append(str(command))
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", noted)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{postgres.bin}:{os.environ['PATH']}")
    filled(postgres_url)
    monkeypatch.setenv("STATE_URL", postgres_url.replace("postgres@", f"postgres:{PASSWORD}@"))
    done = store_command("backup", "kept")
    assert done.exit_code == 0, done.output
    monkeypatch.setenv("STATE_URL", postgres_url.replace("postgres@", f"nobody:{PASSWORD}@"))
    failed = store_command("check")
    assert failed.exit_code == 1
    assert seen
    for shown in (*seen, done.output, failed.output):
        assert PASSWORD not in shown


def test_what_else_is_in_the_database_is_left_alone(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of somebody else is neither backed up nor replaced."""
    name = postgres_url.rpartition("/")[2]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_URL", postgres_url)
    monkeypatch.setenv("PATH", f"{postgres.bin}:{os.environ['PATH']}")
    filled(postgres_url).store.close()
    postgres.execute("CREATE TABLE accounts (id int)", name)
    assert store_command("backup", "kept").exit_code == 0
    postgres.execute("INSERT INTO accounts VALUES (1)", name)
    assert store_command("restore", "kept").exit_code == 0
    assert postgres.execute("SELECT id FROM accounts", name) == [(1,)]
