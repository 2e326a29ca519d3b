"""The store in PostgreSQL. Every wait has an end, also for a server that no longer answers on an open connection."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal, TypeVar

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rom_core.concurrency.watchdog import Watchdog
from rom_core.errors import StoreRefused, StoreUnavailable
from rom_core.store import rows
from rom_core.store.address import shown
from rom_core.store.base import Watcher
from rom_core.store.causes import cause_of
from rom_core.store.migrate import due, migrate
from rom_core.store.overrides import FIRST_START, State, Trouble, Version
from rom_core.store.owners import Owner
from rom_core.store.postgres.libpq import closed_options
from rom_core.store.postgres.refusals import refusal_of, without_password
from rom_core.store.watching import watched

# Seconds: to reach the server, for a connection of the pool, for a lock, for a statement, and for a whole transaction,
# after which the connection is cut, since only that ends the wait for a server that is frozen.
CONNECT_SECONDS, POOL_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS, CALL_SECONDS = 3, 2.0, 3.0, 4.0, 5.0
START_SECONDS = 8.0
"""For how long a start tries to reach the server."""
MIGRATION_SECONDS = 60.0
"""For how long a start waits for another instance that migrates."""
_LOCK_KEY = 0x524F4D46  # "ROMF"
_LOCK_NOT_AVAILABLE = "55P03"
_AGAIN_SECONDS = 0.25
T = TypeVar("T")
logger = structlog.get_logger("rom.store")


class PostgresStore:
    """A Store behind `url`."""

    kind: Literal["sqlite", "postgresql"] = "postgresql"

    def __init__(
        self,
        url: URL,
        owners: Sequence[Owner],
        now: Callable[[], float],
    ) -> None:
        """Connects and migrates, one instance at a time. `now` is in seconds since the epoch. Raises StoreRefused."""
        self.url = url
        self._owners = owners
        self._now = now
        self._failing: Trouble | None = None
        self._watchdog = Watchdog()
        self.watcher: Watcher | None = None
        self.known: State | None = None
        self._engine = create_engine(
            url,
            pool_size=5,
            max_overflow=5,
            pool_timeout=POOL_SECONDS,
            connect_args={name: value for name, value in _connecting().items() if name not in url.query}
            | closed_options(url),
        )
        self._watchdog.start()
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @property
    def trouble(self) -> Trouble | None:
        """What fails now."""
        return self._failing

    @property
    def engine(self) -> Engine:
        """The pool of connections."""
        return self._engine

    def read(self, action: Callable[[Connection], T]) -> T:
        """In one transaction that sees one moment."""
        with watched(self, "read"):
            return self._do(action, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; ")

    def write(self, action: Callable[[Connection], T], *, copied: bool = False) -> T:  # noqa: ARG002 - no copy is kept
        """In one transaction; a copy is what the server's own backups are for."""
        with watched(self, "write"):
            return self._do(action, "SET LOCAL synchronous_commit = on; ")

    def versions(self, connection: Connection) -> list[Version]:
        """All versions."""
        return rows.read(connection)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._watchdog.stop()
        self._engine.dispose()

    # -- at start ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Reach the server, and migrate what has to be. Raises StoreRefused."""
        give_up = time.monotonic() + START_SECONDS
        where = f"the store at {shown(self.url)} (STATE_URL)"
        while True:
            try:
                if self._transaction(self._due, ""):
                    self._migrate()
                return
            except StoreRefused as error:
                raise StoreRefused(f"{where}: {error.detail}") from None
            except (SQLAlchemyError, OSError) as error:
                sentence, lasting = refusal_of(_cause_of(error), self.url)
                if lasting or time.monotonic() > give_up:
                    raise StoreRefused(f"{where}: {sentence}") from None
            time.sleep(_AGAIN_SECONDS)

    def _due(self, connection: Connection) -> Sequence[Owner]:
        if connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on":
            raise StoreRefused("the database is read-only; name the primary, or end its read-only mode")
        return due(connection, self._owners)

    def _migrate(self) -> None:
        """One instance does it, on a connection of its own, while it holds the lock on another."""
        with self._engine.connect() as guard, guard.begin():
            guard.exec_driver_sql(f"SET LOCAL lock_timeout = {int(MIGRATION_SECONDS * 1000)}")
            try:
                guard.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                    raise
                raise StoreRefused(
                    f"another instance is migrating the database and has not ended after {MIGRATION_SECONDS:g} s; look "
                    "at its log, end it, and start again"
                ) from None
            with self._engine.connect() as connection, connection.begin():
                for owner in due(connection, self._owners):
                    migrate(connection, owner)
                    logger.warning("store.migrated", plugin=owner.plugin or "core", to=owner.revisions[-1])
                if rows.newest(connection) is None:
                    rows.note(connection, self._now(), FIRST_START)

    # -- using and failing -------------------------------------------------------------------------------------------

    def _do(self, action: Callable[[Connection], T], mode: str) -> T:
        try:
            done = self._again(action, mode)
        except (SQLAlchemyError, OSError, MemoryError, UnicodeError, rows.Damaged) as error:
            cause = _cause_of(error)
            reason = without_password(" ".join(str(cause).split())[:300], self.url) or type(cause).__name__
            if not isinstance(error, IntegrityError):
                self._failing = Trouble("unwritable", f"it cannot be reached or written: {reason}")
            raise StoreUnavailable(f"the store is unavailable: {reason}") from cause
        self._failing = None
        return done

    def _again(self, action: Callable[[Connection], T], mode: str) -> T:
        """Once more if the connection had died while nobody used it; never what may have been committed."""
        try:
            return self._transaction(action, mode)
        except _LostBeforeCommit as error:
            with suppress(_LostBeforeCommit):
                return self._transaction(action, mode)
            raise error.cause from None

    def _transaction(self, action: Callable[[Connection], T], mode: str) -> T:
        with self._engine.connect() as connection, self._bounded(connection):
            try:
                connection.exec_driver_sql(
                    f"{mode}SET LOCAL statement_timeout = {int(STATEMENT_SECONDS * 1000)};"
                    f" SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}"
                )
                done = action(connection)
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise _LostBeforeCommit(error) from error
                raise
            connection.commit()
        return done

    @contextmanager
    def _bounded(self, connection: Connection) -> Iterator[None]:
        """Cut the connection when the block takes too long: a frozen server would be waited for without end."""
        give_up = time.monotonic() + CALL_SECONDS
        descriptor: int = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]

        # A descriptor of our own: that of the driver may be somebody else's once the driver has closed it.
        with socket.socket(fileno=os.dup(descriptor)) as watched:

            def check() -> None:
                if time.monotonic() > give_up:
                    with suppress(OSError):
                        watched.shutdown(socket.SHUT_RDWR)

            with self._watchdog.watching(check):
                yield


class _LostBeforeCommit(Exception):
    def __init__(self, cause: DBAPIError) -> None:
        super().__init__()
        self.cause = cause


def _connecting() -> dict[str, Any]:
    """Options of the driver, unless STATE_URL names others."""
    return {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": int(CALL_SECONDS * 1000),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "application_name": "rom",
        # Connections may lead through a pooler that gives each transaction another server.
        "prepare_threshold": None,
    }


def _cause_of(error: BaseException) -> BaseException:
    if isinstance(error, PoolTimeout):
        return TimeoutError("no connection of the pool came free: timeout")
    return cause_of(error)
