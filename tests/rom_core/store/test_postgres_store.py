"""The store in PostgreSQL: refused at start with a sentence, away and back while it is used, never waited for long."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import make_url, text
from store_support import address, filled, opened, put, version

from bench.postgres import PostgresServer
from bench.proxy import Proxy
from rom_core.errors import StoreRefused, StoreUnavailable
from rom_core.store.postgres import store as postgres_store
from rom_core.store.postgres.reading import read_shared_state
from rom_core.store.postgres.refusals import refusal_of, without_password

PASSWORD = "pass-w0rd%2F-of-mine"


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server that is stopped, and whose access rules ask for a password."""
    with PostgresServer() as server:
        server.execute("CREATE ROLE ana LOGIN PASSWORD 'another'")
        server.execute("CREATE ROLE reader LOGIN")
        rules = server.folder / "data" / "pg_hba.conf"
        rules.write_text("host all ana all scram-sha-256\nhost all bia all reject\n" + rules.read_text())
        server.execute("SELECT pg_reload_conf()")
        yield server


@contextmanager
def impatient() -> Iterator[None]:
    """What cannot be opened is not waited for as long as a person would."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(postgres_store, "START_SECONDS", 0.3)
        yield


def refused(url: str) -> str:
    """Why a start with this STATE_URL is refused."""
    with impatient(), pytest.raises(StoreRefused) as caught:
        opened(url)
    return caught.value.detail


# -- at start ----------------------------------------------------------------------------------------------------------


def test_each_thing_that_is_wrong_has_its_own_sentence(own: PostgresServer) -> None:
    """What, where, and what to do; and never the password."""
    name, port = own.database(), own.port
    said = {
        "password": refused(f"postgresql://ana:{PASSWORD}@127.0.0.1:{port}/{name}"),
        "no password": refused(f"postgresql://ana@127.0.0.1:{port}/{name}"),
        "user": refused(f"postgresql://nobody:{PASSWORD}@127.0.0.1:{port}/{name}"),
        "database": refused(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/elsewhere"),
        "rules": refused(f"postgresql://bia:{PASSWORD}@127.0.0.1:{port}/{name}"),
        "rights": refused(f"postgresql://reader:{PASSWORD}@127.0.0.1:{port}/{name}"),
        "tls": refused(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{name}?sslmode=require"),
        "port": refused(f"postgresql://postgres:{PASSWORD}@127.0.0.1:9/{name}"),
        "host": refused(f"postgresql://postgres:{PASSWORD}@nowhere.invalid/{name}"),
        "option": refused(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{name}?nonsense=1"),
    }
    meant = {
        "password": "refuses the user or the password",
        "no password": "refuses the user or the password",
        "user": "does not know the user",
        "database": "no database of that name",
        "rules": "access rules",
        "rights": "may not create tables",
        "tls": "no agreement about TLS",
        "port": "nobody listens there",
        "host": "name of the host leads nowhere",
        "option": "does not know an option",
    }
    for what, sentence in said.items():
        assert meant[what] in sentence, what
        assert "STATE_URL" in sentence, what
        for form in (PASSWORD, "pass-w0rd/-of-mine"):
            assert form not in sentence, what


def test_a_read_only_database_is_refused(own: PostgresServer) -> None:
    """A replica, say: the primary is asked for."""
    name = own.database()
    own.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "read-only; name the primary" in refused(own.url(name))


def test_a_read_only_database_that_has_the_tables_is_refused_too(own: PostgresServer) -> None:
    """Nothing has to be migrated there; changes would fail one by one instead."""
    name = own.database()
    filled(own.url(name)).store.close()
    own.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "read-only; name the primary" in refused(own.url(name))


def test_tables_of_something_else_are_left_alone(postgres: PostgresServer, postgres_url: str) -> None:
    """A table of our name that no migration of ours has made."""
    name = str(make_url(postgres_url).database)
    postgres.execute("CREATE TABLE rom_versions (note text)", name)
    assert "table rom_versions that is not ours" in refused(postgres_url)
    assert postgres.execute("SELECT count(*) FROM rom_versions", name) == [(0,)]


def test_a_server_that_starts_meanwhile_is_waited_for(own: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Database and application often start together."""
    monkeypatch.setattr(postgres_store, "START_SECONDS", 60)
    url = own.url(own.database())
    own.stop()
    later = threading.Thread(target=own.start)
    monkeypatch.setattr(postgres_store, "_AGAIN_SECONDS", 0.05)
    later.start()
    assert opened(url).load().version == 1
    later.join()


def test_a_missing_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'psycopg[binary]'" in refused("postgresql://host/rom")


STARTER = """
import sys, time
from pathlib import Path
from rom_core.store.address import address_of
from rom_core.store.opening import open_store
from rom_core.store.owners import owners_of

store = open_store(address_of(sys.argv[1], "", Path()), owners_of("0.1.0", ()), time.time)
store.close()
print("open")
"""


def test_of_those_who_start_at_once_one_migrates(postgres_url: str) -> None:
    """The others wait for it, and find everything made."""
    commands = [[sys.executable, "-c", STARTER, postgres_url] for _ in range(4)]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for command in commands
    ]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert all(each.rstrip().endswith("open") for each in said), said
    assert sum("store.migrated" in each for each in said) == 1
    assert [each.number for each in opened(postgres_url).history(9)] == [1]


def test_waiting_for_who_migrates_has_an_end(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is never given back refuses the start."""
    monkeypatch.setattr(postgres_store, "MIGRATION_SECONDS", 0.2)
    with psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (postgres_store._LOCK_KEY,))
        assert "another instance is migrating" in refused(postgres_url)


# -- in use ------------------------------------------------------------------------------------------------------------


def test_a_restart_of_the_server_costs_nobody_an_error(own: PostgresServer) -> None:
    """Connections of the pool that died meanwhile are replaced by the next call."""
    store = filled(own.url(own.database()))
    own.stop()
    own.start()
    assert store.load().values == {"MAX_TOKENS": 2}
    store.append(3, [version(4, put("MAX_TOKENS", 4))])
    own.kill()
    own.start()
    store.append(4, [version(5, put("MAX_TOKENS", 5))])
    assert store.load().values == {"MAX_TOKENS": 5}


def test_while_the_server_is_away_changes_are_refused(own: PostgresServer) -> None:
    """The trouble is told for as long as it lasts, and ends by itself."""
    url = own.url(own.database())
    store = filled(url)
    own.stop()
    for call in (store.load, lambda: store.append(3, [version(4)]), lambda: store.history(1)):
        with pytest.raises(StoreUnavailable):
            call()
    assert store.trouble is not None
    assert store.trouble.state == "unwritable"
    address_ = make_url(url).set(drivername="postgresql+psycopg")
    with impatient(), pytest.raises(StoreRefused, match="nobody listens there"):
        read_shared_state(address_)
    own.start()
    assert read_shared_state(address_).values == {"MAX_TOKENS": 2}
    assert store.load().values == {"MAX_TOKENS": 2}
    assert store.trouble is None


def test_a_server_that_hangs_is_not_waited_for(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still acknowledges what it is sent, and never answers: the connection is cut after a bounded time."""
    name = postgres.database()
    with Proxy(postgres.port) as proxy:
        store = filled(postgres.url(name, proxy.port))
        proxy.hang()
        began = time.monotonic()
        with monkeypatch.context() as patched:
            patched.setattr(postgres_store, "CALL_SECONDS", 0.5)
            with pytest.raises(StoreUnavailable):
                store.append(3, [version(4)])
        assert time.monotonic() - began < 30
        proxy.resume()
        assert store.load().values == {"MAX_TOKENS": 2}
        store.append(3, [version(4, put("MAX_TOKENS", 4))])
    assert opened(postgres.url(name)).load().version == 4
    postgres.drop(name)


def test_somebody_elses_lock_is_not_waited_for_without_end(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten transaction in psql makes changes fail, not hang; afterwards they work again."""
    monkeypatch.setattr(postgres_store, "LOCK_SECONDS", 0.1)
    store = filled(postgres_url)
    with psycopg.connect(postgres_url) as shell:
        shell.execute("LOCK TABLE rom_versions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            store.append(3, [version(4)])
    store.append(3, [version(4)])
    assert store.trouble is None


def test_what_was_not_written_by_us_is_told(postgres_url: str) -> None:
    """A row changed by hand does not count for what was acknowledged: changes and the next start are refused."""
    store = filled(postgres_url)
    with store.store.engine.begin() as connection:
        connection.execute(text("UPDATE rom_changes SET after = '3' WHERE version = 3"))
    with pytest.raises(StoreUnavailable, match="version 3 is not what was written"):
        store.load()
    assert "version 3 is not what was written" in refused(postgres_url)


WRITER = """
import sys, time
from pathlib import Path
from rom_core.store.address import address_of
from rom_core.store.history import StoredOverrides
from rom_core.store.opening import open_store
from rom_core.store.overrides import Change, Version
from rom_core.store.owners import owners_of

store = StoredOverrides(open_store(address_of(sys.argv[1], "", Path()), owners_of("0.1.0", ()), time.time))
number = store.load().version
while True:
    number += 1
    store.append(number - 1, [Version(number, time.time(), "loop", changes=(Change("N", "set", None, number),))])
    print(number, flush=True)
"""


def test_who_only_looks_makes_nothing(postgres: PostgresServer, postgres_url: str) -> None:
    """A database without a store has no overrides, and no tables afterwards."""
    url = make_url(postgres_url).set(drivername="postgresql+psycopg")
    assert read_shared_state(url).values == {}
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'rom_%'", str(url.database)) == [(0,)]


def test_kill_9_of_the_server_loses_nothing_that_was_acknowledged() -> None:
    """A server that writes through to its disk, killed in a write loop."""
    with PostgresServer(durable=True) as server:
        url = server.url(server.database())
        opened(url).store.close()
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as child:
            assert child.stdout is not None
            seen = [child.stdout.readline() for _ in range(20)]
            server.kill()
            seen += child.stdout.readlines()
        server.start()
        assert opened(url).load().values["N"] - int(seen[-1]) in (0, 1)


def test_an_address_of_what_is_open_says_no_password(postgres_url: str) -> None:
    """Not in its text either."""
    url = make_url(postgres_url).set(password=PASSWORD, drivername="postgresql+psycopg")
    assert PASSWORD not in str(address(url.render_as_string(hide_password=False)))
    assert PASSWORD not in without_password(f"connection to {PASSWORD} failed", url)
    assert refusal_of(OSError(f"odd {PASSWORD}"), url).sentence.startswith("it cannot be used")
