"""The store for one machine: an SQLite database, and beside it a copy of its last good settings.

One file in rollback-journal mode: a commit is whole or absent whenever the process is killed, and
`sqlite3 rom.db 'select * from rom_overrides'` reads it. Every transaction opens its own connection.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rom_core.errors import StoreRefused, StoreUnavailable
from rom_core.store import rows
from rom_core.store.base import SYSTEM, Watcher
from rom_core.store.causes import cause_of
from rom_core.store.files import beside, make_file, publish, temporary
from rom_core.store.overrides import Change, State, Trouble, Version, replay
from rom_core.store.owners import Owner
from rom_core.store.rows import Damaged
from rom_core.store.sqlite import connections, contents, copies
from rom_core.store.sqlite.connections import (
    FAILURES,
    WRITES,
    engine_of,
    is_bad_file,
    is_damage,
    reason_of,
)
from rom_core.store.sqlite.files import COPY_SUFFIX, check_header, make_private, put_aside
from rom_core.store.sqlite.in_use import share
from rom_core.store.watching import watched

# BUSY_SECONDS once a call has failed, so that a store in trouble does not hold up one change after the other.
TROUBLED_SECONDS = 0.25
T = TypeVar("T")
logger = structlog.get_logger("rom.store")


class SqliteStore:
    """A Store in the file `path`, whose folder is made if it is missing.

    A damaged database is moved aside and the copy takes its place, also while the store is used; where both are gone,
    what this process knows of the overrides is written anew.
    """

    kind: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(
        self,
        path: Path,
        owners: Sequence[Owner],
        now: Callable[[], float],
        first: Callable[[], Sequence[Version]],
    ) -> None:
        """`now` gives seconds since the epoch, for the entries that the store itself makes.

        `first` gives the versions with which a new database begins. Raises StoreRefused for a database of something
        else or of a newer release, and one of FAILURES if it cannot be opened for writing.
        """
        self._path = path
        self._copy = beside(path, COPY_SUFFIX)
        self._owners = owners
        self._now = now
        self._first = first
        self._found: Trouble | None = None
        self._failing: Trouble | None = None
        self._opening = threading.RLock()
        self._ready = False
        self.known: State | None = None
        self._engine = engine_of(path, busy_seconds=self._busy_seconds)
        self._use: int | None = None
        self.watcher: Watcher | None = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def trouble(self) -> Trouble | None:
        """What fails now, else what was found at start."""
        return self._failing or self._found

    @property
    def engine(self) -> Engine:
        """Connections to the file, one for each transaction."""
        return self._engine

    def read(self, action: Callable[[Connection], T]) -> T:
        """In one transaction; whoever writes waits for its end."""
        with watched(self, "read"):
            return self._do(action, writes=False)

    def write(self, action: Callable[[Connection], T], *, copied: bool = False) -> T:
        """Commit, then renew the copy; a copy that fails is logged, the commit stands."""
        with watched(self, "write"):
            done = self._do(action, writes=True)
        self._failing = None
        if copied:
            try:
                self._renew_copy()
            except (sqlite3.Error, OSError) as error:
                logger.warning("store.copy_failed", reason=reason_of(error))
        return done

    def versions(self, connection: Connection) -> list[Version]:
        """All versions; also the tables have to be as they were made."""
        return contents.read(connection, self._owners)

    def close(self) -> None:
        """Nothing is kept open between two transactions but what says that the folder is in use."""
        self._engine.dispose()
        self._share(None)

    # -- opening -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Make the database ready: from the copy, from what this process knows, or from nothing if it has to be."""
        make_private(self._path.parent, self._path.name)
        # Anew each time: the folder may be another one than before.
        self._share(share(self._path.parent))
        copied, found = self._copy.exists(), self._path.exists()
        empty = not found or self._path.stat().st_size == 0
        try:
            if empty and (copied or self.known is not None):
                raise Damaged("it is missing or empty")
            self._prepare(empty=empty)
            if empty and found:
                self._note(Trouble("lost", "it was empty, without a good copy: overrides are lost if there were any"))
        except FAILURES as error:
            if not is_damage(error):
                raise
            if isinstance(error, contents.Foreign) and not copied and self.known is None:
                raise StoreRefused(
                    f"{self._path} is a database of something else; name another file, or none, in STATE_URL"
                ) from None
            self._replace(reason_of(error), copied)
        self._ready, self._failing = True, None
        self._renew_copy()

    def _replace(self, reason: str, copied: bool) -> None:
        """Put the damaged database aside, and make another one."""
        put_aside(self._path)
        if copied:
            try:
                self._restore(reason)
            except FAILURES as error:
                if not is_damage(error):
                    raise
                reason = f"{reason}; its copy: {reason_of(error)}"
            else:
                return
        self._prepare(empty=True)
        if self.known is None:
            self._note(Trouble("lost", f"damaged, without a good copy, overrides are lost: {reason}"))
        else:
            self._note(Trouble("restored", f"gone with its copy, made again from what was in force: {reason}"))

    def _restore(self, reason: str) -> None:
        new = temporary(self._path)
        shutil.copyfile(self._copy, new)
        check_header(new)
        with engine_of(new, busy_seconds=self._busy_seconds).connect() as connection:
            state = replay(contents.check(connection, new, self._owners))
        if self.known is not None and state.version < self.known.version:
            raise Damaged("it is older than what is in force")
        publish(new, self._path)
        self._prepare(empty=False)
        self._note(Trouble("restored", f"damaged, the last good copy took its place: {reason}"))

    def _note(self, trouble: Trouble) -> None:
        """Remember it, in the history too: there it is still known after the next restart."""
        self._found = trouble

        def note(connection: Connection) -> None:
            rows.note(connection, self._now(), trouble.detail)

        self._transaction(note, writes=True)

    def _prepare(self, *, empty: bool) -> None:
        """Make the tables that are missing, check those that there were. Raises one of FAILURES or StoreRefused."""
        if empty:
            make_file(self._path)
        else:
            check_header(self._path)
            self._transaction(lambda connection: contents.check(connection, self._path, self._owners), writes=False)
        try:
            self._transaction(lambda connection: contents.make(connection, self._owners, self._versions), writes=True)
        except StoreRefused as error:
            raise StoreRefused(f"the store {self._path}: {error.detail}") from error
        except SQLAlchemyError as error:
            if is_bad_file(error) or not is_damage(error):
                raise
            raise StoreRefused(f"the store {self._path}: a migration failed: {reason_of(error)}") from error
        self._transaction(lambda connection: contents.check(connection, self._path, self._owners), writes=False)

    def _share(self, descriptor: int | None) -> None:
        """From now on it is this descriptor that says that the folder is in use."""
        before, self._use = self._use, descriptor
        if before is not None:
            os.close(before)

    def _versions(self) -> Sequence[Version]:
        """With which a new database begins."""
        return self._first() if self.known is None else _again(self.known, self._now())

    def _renew_copy(self) -> None:
        copies.renew(self._path, self._busy_seconds)

    def _busy_seconds(self) -> float:
        seconds = connections.BUSY_SECONDS
        return seconds if self._failing is None else min(TROUBLED_SECONDS, seconds)

    # -- using and failing -------------------------------------------------------------------------------------------

    def _do(self, action: Callable[[Connection], T], *, writes: bool) -> T:
        """Do it; a store that turns out to be damaged or gone is mended first, and it is done again."""
        if self._ready:
            try:
                return self._once(action, writes=writes)
            except StoreUnavailable as error:
                if self._path.exists() and not self._damaged(error.__cause__ or error):
                    raise
        with self._opening, self._failures():
            if self._ready and not self._sound(whole=True):
                logger.error("store.damaged", path=str(self._path))
                self._ready = False
            if not self._ready:
                self._open()
        return self._once(action, writes=writes)

    def _damaged(self, error: BaseException) -> bool:
        """Whether a failure means that the file is bad; an action of somebody else's may fail by its own fault."""
        if isinstance(error, Damaged) or is_bad_file(error):
            return True
        if not is_damage(error):
            return False
        if self._sound():
            self._failing = None
            return False
        return True

    def _sound(self, *, whole: bool = False) -> bool:
        """Whether the file is whole, as far as it can be looked at; `whole`: all of it, however large it is."""
        if not self._path.exists():
            return False
        try:
            check_header(self._path)
            self._transaction(
                lambda connection: contents.check(connection, self._path, self._owners, whole=whole), writes=False
            )
        except FAILURES as error:
            return not is_damage(error)
        return True

    def _once(self, action: Callable[[Connection], T], *, writes: bool) -> T:
        with self._failures():
            return self._transaction(action, writes=writes)

    def _transaction(self, action: Callable[[Connection], T], *, writes: bool) -> T:
        # Never created here: a database that vanished must not look like one without overrides.
        with self._engine.connect() as connection:
            if writes:
                connection.execution_options(**WRITES)
            with connection.begin() as transaction:
                done = action(connection)
                if not writes:
                    transaction.rollback()
        return done

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (Damaged, SQLAlchemyError, sqlite3.Error, sqlite3.Warning, OSError, MemoryError, UnicodeError) as error:
            self._failing = Trouble("unwritable", f"it cannot be opened or written: {reason_of(error)}")
            raise StoreUnavailable(f"the store is unavailable: {reason_of(error)}") from cause_of(error)
        except StoreRefused as error:
            self._failing = Trouble("unwritable", error.detail)
            raise StoreUnavailable(f"the store is unavailable: {error.detail}") from error


def _again(known: State, now: float) -> list[Version]:
    """The versions with which a new database begins whose overrides are `known`."""
    versions: dict[int, Version] = {}
    for name, override in sorted(known.overrides.items()):
        earlier = versions.get(override.version)
        changes = (*(earlier.changes if earlier else ()), Change(name, "set", None, override.value))
        versions[override.version] = Version(override.version, override.at, override.by, override.why, "", changes)
    versions.setdefault(known.version, Version(known.version, now, SYSTEM, "made again"))
    return [versions[number] for number in sorted(versions)]


def read_state(path: Path, owners: Sequence[Owner]) -> State:
    """The newest state of the store in `path`, as far as it can be read; nothing is made or changed there."""
    for file in (path, beside(path, COPY_SUFFIX)):
        with suppress(*FAILURES):
            check_header(file)
            with engine_of(file, mode="ro").connect() as connection:
                return replay(contents.check(connection, file, owners))
    return State()
