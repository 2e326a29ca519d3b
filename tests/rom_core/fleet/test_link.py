"""The connection to a real PostgreSQL: heartbeats by its clock, one lease, messages with a commit, silence noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import make_url
from store_support import NOW, OWNERS

from bench.postgres import PostgresServer
from bench.proxy import Proxy
from rom_core.fleet import Instance
from rom_core.fleet import link as module
from rom_core.fleet.link import LinkLost, PostgresLink
from rom_core.store.address import PostgresAddress
from rom_core.store.base import Store
from rom_core.store.opening import open_store
from rom_core.store.sharing import UNSEEN_SECONDS, NotLeader, as_leader, notify


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """An empty database of ours."""
    url = make_url(postgres_url).set(drivername="postgresql+psycopg")
    opened = open_store(PostgresAddress(url), OWNERS, lambda: NOW)
    yield opened
    opened.close()


@pytest.fixture
def connect(postgres_url: str, store: Store) -> Iterator[Callable[[], PostgresLink]]:
    """Connections to it."""
    del store
    made: list[PostgresLink] = []

    def connect() -> PostgresLink:
        made.append(PostgresLink(postgres_url))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def instance(id_: str, version: int = 1, since: float = 0.0) -> Instance:
    """An instance as it tells of itself."""
    return Instance(id_, "1.0", version, since, 0.0)


def beat(link: PostgresLink, id_: str, *, lead: bool = False, version: int = 1) -> tuple[list[str], int | None]:
    """Who is there, and the term."""
    found = link.beat(instance(id_, version), lead=lead, confirm=False)
    return [each.id for each in found.instances], found.term


def test_heartbeats_make_the_list(
    connect: Callable[[], PostgresLink], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the database's clock, whatever this machine's says; who leaves or is not seen for 15 s is not on it."""
    assert UNSEEN_SECONDS == 15
    # In hours, so that what the test itself takes does not count.
    monkeypatch.setattr(module, "UNSEEN_SECONDS", 3600.0)
    a, b = connect(), connect()
    assert beat(a, "a") == (["a"], None)
    assert beat(b, "b")[0] == ["a", "b"]
    first = a.beat(instance("a"), lead=False, confirm=False).instances[0]
    again = a.beat(instance("a", version=4), lead=False, confirm=False).instances[0]
    assert (again.version, again.since) == (4, first.since)
    assert again.seen > first.seen > first.since
    store.write(lambda c: c.exec_driver_sql("UPDATE rom_instances SET seen = seen - 3000 WHERE id = 'a'"))
    assert beat(b, "b")[0] == ["a", "b"]
    store.write(lambda c: c.exec_driver_sql("UPDATE rom_instances SET seen = seen - 700 WHERE id = 'a'"))
    assert beat(b, "b")[0] == ["b"]
    assert a.beat(instance("a", since=first.since), lead=False, confirm=False).instances[0].since == first.since
    a.leave("a")
    assert beat(b, "b")[0] == ["b"]


def test_one_leads_at_a_time(connect: Callable[[], PostgresLink], store: Store) -> None:
    """Who holds the lease keeps it and its term; who takes it over has a term of its own, and so has who comes back."""
    a, b = connect(), connect()
    assert [beat(a, "a", lead=True)[1], beat(b, "b", lead=True)[1], beat(a, "a", lead=True)[1]] == [1, None, 1]
    store.write(lambda c: c.exec_driver_sql("UPDATE rom_leases SET expires = expires - 9"))
    assert [beat(b, "b", lead=True)[1], beat(a, "a", lead=True)[1]] == [2, None]
    b.leave("b")
    assert beat(b, "b", lead=True)[1] == 3
    assert beat(b, "b", lead=False)[1] is None
    assert beat(a, "a", lead=True)[1] == 4


def test_what_a_leader_writes_carries_its_term(connect: Callable[[], PostgresLink], store: Store) -> None:
    """A former leader writes nothing, however long it takes to notice."""
    a = connect()
    beat(a, "a", lead=True)
    store.write(lambda connection: as_leader(connection, "a", 1))
    for holder, term in (("a", 2), ("b", 1), ("a", None)):
        with pytest.raises(NotLeader):
            store.write(lambda connection, h=holder, t=term: as_leader(connection, h, t))  # type: ignore[misc]


def test_messages_come_with_the_commit(connect: Callable[[], PostgresLink], store: Store) -> None:
    """And not at all if there is none; those that come while something is asked are not lost."""
    a, b = connect(), connect()

    def undone(connection: object) -> None:
        notify(connection, "lost")  # type: ignore[arg-type]
        raise NotLeader

    with pytest.raises(NotLeader):
        store.write(undone)
    store.write(lambda connection: notify(connection, "versions", 2))
    a.beat(instance("a", version=2), lead=False, confirm=True)
    beat(b, "b")
    heard: list[str] = []
    while len(heard) < 2:
        heard += b.wait(60)
    assert heard == ["versions 2", "confirmed a 2"]


def test_silence_is_noticed(
    connect: Callable[[], PostgresLink], postgres: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that swallows everything and breaks nothing: what is asked ends, and so does connecting."""
    connect()
    with Proxy(postgres.port) as proxy:
        url = postgres_url.replace(str(postgres.port), str(proxy.port))
        link = PostgresLink(url)
        assert beat(link, "a")[0] == ["a"]
        # What is answered may take longer.
        monkeypatch.setattr(module, "_ASK_SECONDS", 0.3)
        monkeypatch.setitem(module._CONNECTING, "connect_timeout", 2)
        proxy.hang()
        with pytest.raises(LinkLost, match=r"no answer within 0\.3 s"):
            beat(link, "a")
        link.close()
        with pytest.raises(LinkLost):
            PostgresLink(url)


def test_a_connection_that_breaks(
    postgres: PostgresServer, postgres_url: str, connect: Callable[[], PostgresLink]
) -> None:
    """Nobody there, or gone meanwhile: one kind of error, with the reason in one line."""
    connect()
    with Proxy(postgres.port) as proxy:
        link = PostgresLink(postgres_url.replace(str(postgres.port), str(proxy.port)))
        proxy.cut()
        with pytest.raises(LinkLost) as caught:
            link.wait(60)
        assert "\n" not in str(caught.value)
        link.close()
        link.close()
