"""The one connection through which an instance hears of the others: heartbeat, lease and LISTEN on PostgreSQL.

It belongs to one thread. A network that goes silent without breaking is noticed by neither keepalives nor a timeout of
TCP when the other side still acknowledges, so whatever is asked is bounded by shutting the socket down.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from rom_core.fleet.instances import Instance
from rom_core.store.sharing import CHANNEL, LEADER, UNSEEN_SECONDS

CONFIRMED = "confirmed"
LEASE_SECONDS = 9.0
_ASK_SECONDS = 5.0
_CONNECTING: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 5000,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "application_name": "rom fleet",
}
_BEAT = """
INSERT INTO rom_instances (id, release, version, since, seen, draining)
SELECT %(id)s, %(release)s, %(version)s, coalesce(%(since)s, now), now, %(draining)s
FROM date_part('epoch', clock_timestamp()) AS now
ON CONFLICT (id) DO UPDATE SET version = excluded.version, seen = excluded.seen, draining = excluded.draining
"""
_LEASE = """
INSERT INTO rom_leases AS held (name, holder, term, expires)
SELECT %(name)s, %(id)s, 1, now + %(seconds)s FROM date_part('epoch', clock_timestamp()) AS now
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    term = CASE WHEN held.holder = excluded.holder AND held.expires > excluded.expires - %(seconds)s
        THEN held.term ELSE held.term + 1 END,
    expires = excluded.expires
WHERE held.holder = excluded.holder OR held.expires <= excluded.expires - %(seconds)s
RETURNING term
"""
_GIVE_UP = "UPDATE rom_leases SET expires = 0 WHERE name = %(name)s AND holder = %(id)s"
_SWEEP = "DELETE FROM rom_instances WHERE seen < date_part('epoch', clock_timestamp()) - %(seconds)s"
_LIST = "SELECT id, release, version, since, seen, draining FROM rom_instances ORDER BY since, id"
_LEAVE = "DELETE FROM rom_instances WHERE id = %(id)s"
_NEWEST = "SELECT coalesce(max(version), 1) FROM rom_versions"


class LinkLost(Exception):
    """The connection cannot be made, or has broken, or has gone silent."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat came to: everybody who is there, the newest version in the store, and the term of the lease.

    `term` is None if the lease is another's, or was not wanted.
    """

    instances: tuple[Instance, ...]
    newest: int
    term: int | None


class Link(Protocol):
    """The connection. Everything raises LinkLost; nothing takes longer than 5 seconds, but `wait` as long as asked."""

    def beat(self, me: Instance, *, lead: bool, confirm: bool) -> Beat:
        """Tell that `me` is here (`since` 0: it has just come), and hear who else is; `lead`: take or keep the lease.

        `confirm` tells the others at once which version is in force here.
        """

    def wait(self, seconds: float) -> Sequence[str]:
        """What was told meanwhile, as soon as something is: a topic, perhaps with more words behind it."""

    def leave(self, id_: str) -> None:
        """Take `id_` off the list, and give the lease up."""

    def close(self) -> None:
        """Let the connection go."""


class PostgresLink:
    """A Link to a PostgreSQL database."""

    def __init__(self, url: str) -> None:
        """Connect. Raises LinkLost."""
        import psycopg
        from sqlalchemy import make_url

        from rom_core.store.postgres.libpq import closed_options

        self._failures = (psycopg.Error, OSError)
        with self._failing():
            options = _CONNECTING | closed_options(make_url(url))
            self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=None, **options)
        try:
            with self._asking():
                self._connection.execute(f"LISTEN {CHANNEL}")
        except LinkLost:
            self.close()
            raise

    def beat(self, me: Instance, *, lead: bool, confirm: bool) -> Beat:
        """As Link."""
        with self._asking():
            row = {"id": me.id, "release": me.release, "version": me.version, "draining": me.draining}
            self._connection.execute(_BEAT, row | {"since": me.since or None})
            if lead:
                won = self._connection.execute(
                    _LEASE, {"name": LEADER, "id": me.id, "seconds": LEASE_SECONDS}
                ).fetchone()
            else:
                self._connection.execute(_GIVE_UP, {"name": LEADER, "id": me.id})
                won = None
            if confirm:
                self._connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, f"{CONFIRMED} {me.id} {me.version}"))
            self._connection.execute(_SWEEP, {"seconds": UNSEEN_SECONDS})
            rows = self._connection.execute(_LIST).fetchall()
            newest = self._connection.execute(_NEWEST).fetchone()
        return Beat(tuple(Instance(*row) for row in rows), newest[0] if newest else 1, won[0] if won else None)

    def wait(self, seconds: float) -> Sequence[str]:
        """As Link."""
        with self._failing():
            return [note.payload for note in self._connection.notifies(timeout=seconds, stop_after=1)]

    def leave(self, id_: str) -> None:
        """As Link."""
        with self._asking():
            self._connection.execute(_LEAVE, {"id": id_})
            self._connection.execute(_GIVE_UP, {"name": LEADER, "id": id_})

    def close(self) -> None:
        """As Link."""
        with suppress(*self._failures):
            self._connection.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """At most `_ASK_SECONDS`, then the socket is shut down under the question."""
        expired = threading.Event()

        def expire() -> None:
            # Before the socket is shut: whoever asks may hear of that at once.
            expired.set()
            self._shut_down()

        late = threading.Timer(_ASK_SECONDS, expire)
        late.daemon = True
        late.start()
        try:
            with self._failing():
                yield
        except LinkLost as error:
            if expired.is_set():
                raise LinkLost(f"no answer within {_ASK_SECONDS:g} s") from error
            raise
        finally:
            late.cancel()

    def _shut_down(self) -> None:
        with suppress(*self._failures), socket.socket(fileno=self._connection.fileno()) as borrowed:
            try:
                borrowed.shutdown(socket.SHUT_RDWR)
            finally:
                # It is the connection's to close.
                borrowed.detach()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            raise LinkLost(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """In one line; PostgreSQL says it in several. It never holds the password."""
    return " ".join(str(error).split()) or type(error).__name__
