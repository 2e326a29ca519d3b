"""Where a login goes, and with what, is said by STATE_URL: libpq's own variables and files neither add nor redirect."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from store_support import address, filled, opened

from bench.postgres import PostgresServer
from rom_core.errors import StoreRefused
from rom_core.fleet.link import LinkLost, PostgresLink
from rom_core.store.address import PostgresAddress
from rom_core.store.postgres.backups import backup
from rom_core.store.postgres.libpq import closed_environment, closed_options
from rom_core.store.postgres.reading import read_shared_state

PASSWORD = "pass-w0rd-of-mine"


@pytest.fixture(scope="module")
def strict() -> Iterator[PostgresServer]:
    """A server that asks `ana` for a password."""
    with PostgresServer() as server:
        server.execute(f"CREATE ROLE ana LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        rules = server.folder / "data" / "pg_hba.conf"
        rules.write_text("host all ana all scram-sha-256\n" + rules.read_text())
        server.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def place(strict: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Host, port and an empty database, in an environment with a password for everybody and another place to go to."""
    found = f"127.0.0.1:{strict.port}/{strict.database()}"
    (tmp_path / ".pgpass").write_text(f"*:*:*:*:{PASSWORD}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    given = {
        "HOME": str(tmp_path),
        "PGPASSFILE": str(tmp_path / ".pgpass"),
        "PGPASSWORD": PASSWORD,
        "PGHOSTADDR": "127.0.0.9",
        "PGPORT": "9",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.mark.parametrize("variable", ["PGPASSWORD", "PGPASSFILE"])
def test_no_password_is_taken_from_elsewhere(place: str, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """By the pool, a look, or the fleet's connection."""
    for other in {"PGPASSWORD", "PGPASSFILE"} - {variable}:
        monkeypatch.delenv(other)
    url = f"postgresql://ana@{place}"
    for use in (opened, lambda where: read_shared_state(make_url(where).set(drivername="postgresql+psycopg"))):
        with pytest.raises(StoreRefused, match="refuses the user or the password"):
            use(url)
    with pytest.raises(LinkLost, match="password"):
        PostgresLink(url)


def test_nothing_is_redirected(
    strict: PostgresServer, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them reach the address that STATE_URL names, with the password that stands there."""
    monkeypatch.setenv("PATH", f"{strict.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("PGPASSWORD", "another")
    url = f"postgresql://ana:{PASSWORD}@{place}"
    store = filled(url)
    where = address(url)
    assert isinstance(where, PostgresAddress)
    assert read_shared_state(where.url).version == 3
    PostgresLink(url).close()
    backup(where.url, (), tmp_path / "backup")
    assert (tmp_path / "backup").read_bytes().startswith(b"PGDMP")
    store.store.close()


def test_what_the_url_says_itself_holds() -> None:
    """Options behind the question mark are STATE_URL's own; several hosts bring their ports."""
    closed = closed_options(make_url("postgresql://ana@db/rom"))
    assert (closed["password"], closed["hostaddr"], closed["port"]) == ("", "", 5432)
    assert not {"port", "password"} & closed_options(make_url("postgresql://ana:x@db:5433/rom")).keys()
    several = closed_options(make_url("postgresql://ana@/rom?host=a:1&host=b:2&hostaddr=10.0.0.1&passfile=/x"))
    assert set(several) == {"password"}
    for one in ("postgresql://ana@/rom?host=/run/postgresql", "postgresql://ana@/rom?host=a&host=b"):
        assert closed_options(make_url(one))["port"] == 5432
    environ = closed_environment(make_url("postgresql://ana@db/rom"), {"PGPASSWORD": "x", "PGSSLMODE": "verify-full"})
    assert "PGPASSWORD" not in environ
    assert (environ["PGSSLMODE"], environ["PGPORT"]) == ("verify-full", "5432")
