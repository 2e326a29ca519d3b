"""The store of overrides for one machine: an SQLite database, and beside it a copy of its last good state.

One file in rollback-journal mode: a commit is whole or absent whenever the process is killed, and
`sqlite3 flags.db 'select * from overrides'` reads it. Every call opens its own connection, so threads share none.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import structlog

from rom_core.errors import StoreUnavailable
from rom_core.store import sqlite_rows as rows
from rom_core.store.overrides import FIRST_VERSION, State, StoreConflict, Trouble, Version
from rom_core.store.sqlite_file import BUSY_SECONDS, DAMAGED_SUFFIX, connect, publish, transaction
from rom_core.store.sqlite_rows import Damaged

DATABASE = "flags.db"
COPY_SUFFIX, TEMPORARY_SUFFIX = ".copy", ".new-"
# BUSY_SECONDS once a call has failed, so that a store in trouble does not hold up one change after the other.
TROUBLED_SECONDS = 0.25
SYSTEM = "rom"
# Primary result codes (https://www.sqlite.org/rescode.html): SQLITE_ERROR, as of a missing table, CORRUPT and NOTADB
# mean that the file is bad; the others, that it cannot be used now.
_DAMAGE = (1, 11, 26)
logger = structlog.get_logger("rom.flags")


class SqliteStore:
    """An OverrideStore in `folder`, which is made if it is missing. Making one raises nothing: see `trouble`.

    A damaged database is moved aside and the copy takes its place; one that cannot be opened for writing is read
    as far as possible, and opened again at the next append.
    """

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        """`now` gives seconds since the epoch, for the entries that the store itself makes."""
        self._path = folder / DATABASE
        self._copy = self._beside(COPY_SUFFIX)
        self._now = now
        self._found: Trouble | None = None
        self._failing: Trouble | None = None
        self._last_resort: State | None = None
        try:
            self._open()
        except (Damaged, sqlite3.Error, OSError) as error:
            self._last_resort = read_state(folder)
            self._failed(error)

    @property
    def trouble(self) -> Trouble | None:
        """What fails now, else what was found at start."""
        return self._failing or self._found

    def load(self) -> State:
        """The newest state; of a store that still does not open, what could be read at start."""
        if self._last_resort is not None:
            try:
                self._reopen()
            except StoreUnavailable:
                return self._last_resort
        with self._connection() as connection:
            return rows.newest_state(connection)

    def state_at(self, version: int) -> State | None:
        """The state at `version`."""
        with self._connection() as connection:
            return rows.state_at(connection, version)

    def append(self, after: int, versions: Sequence[Version]) -> None:
        """Commit, then renew the copy; a copy that fails is logged, the commit stands."""
        if self._last_resort is not None:
            self._reopen()
        with self._connection() as connection, transaction(connection):
            newest = rows.newest(connection)
            if newest != after:
                raise StoreConflict(f"the newest version is {newest}, not {after}")
            rows.insert(connection, versions)
        self._failing = None
        try:
            self._renew_copy()
        except (sqlite3.Error, OSError) as error:
            logger.warning("flags.copy_failed", reason=_reason(error))

    def history(self, limit: int, before: int | None = None) -> list[Version]:
        """Newest first."""
        with self._connection() as connection:
            return rows.history(connection, limit, before)

    # -- opening -----------------------------------------------------------------------------------------------------

    def _reopen(self) -> None:
        with self._failures():
            self._open()
        self._last_resort = self._failing = None

    def _open(self) -> None:
        """Make the database ready, from the copy or from nothing if it has to be."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in self._path.parent.glob(f"{DATABASE}{TEMPORARY_SUFFIX}*"):
            leftover.unlink(missing_ok=True)
        copied, found = self._copy.exists(), self._path.exists()
        empty = not found or self._path.stat().st_size == 0
        try:
            if empty and copied:
                raise Damaged("it is missing or empty")
            if self._prepare() and found:
                self._note(Trouble("lost", "it was empty, without a good copy: overrides are lost if there were any"))
        except (Damaged, sqlite3.Error) as error:
            if not _is_damage(error):
                raise
            self._replace(_reason(error), copied)
        self._renew_copy()

    def _replace(self, reason: str, copied: bool) -> None:
        """Put the damaged database aside, its journal too, which would be played into the new one."""
        for suffix in ("", "-journal"):
            damaged = self._beside(suffix)
            if damaged.exists():
                os.replace(damaged, self._beside(DAMAGED_SUFFIX + suffix))
        if copied:
            try:
                self._restore(reason)
            except (Damaged, sqlite3.Error) as error:
                if not _is_damage(error):
                    raise
                reason = f"{reason}; its copy: {_reason(error)}"
            else:
                return
        self._prepare()
        self._note(Trouble("lost", f"damaged, without a good copy, overrides are lost: {reason}"))

    def _restore(self, reason: str) -> None:
        temporary = self._temporary()
        shutil.copyfile(self._copy, temporary)
        with closing(self._connect(temporary)) as connection:
            rows.check(connection)
        publish(temporary, self._path)
        self._note(Trouble("restored", f"damaged, the last good copy took its place: {reason}"))

    def _note(self, trouble: Trouble) -> None:
        """Remember it, in the history too: there it is still known after the next restart."""
        self._found = trouble
        with closing(self._connect(self._path)) as connection, transaction(connection):
            rows.insert(connection, [Version(rows.newest(connection) + 1, self._now(), SYSTEM, trouble.detail)])

    def _prepare(self) -> bool:
        """Make the schema in an empty database, check any other; whether it was empty.

        Raises Damaged or sqlite3.Error.
        """
        with closing(self._connect(self._path, create=True)) as connection:
            empty = rows.prepare(connection, Version(FIRST_VERSION, self._now(), SYSTEM, "first start"))
            rows.check(connection)
        return empty

    def _renew_copy(self) -> None:
        temporary = self._temporary()
        temporary.unlink(missing_ok=True)
        with closing(self._connect(self._path)) as source, closing(self._connect(temporary, create=True)) as target:
            # Written in one go and renamed when complete: it needs no journal of its own.
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target)
        publish(temporary, self._copy)

    def _temporary(self) -> Path:
        return self._beside(f"{TEMPORARY_SUFFIX}{os.getpid()}")

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _connect(self, path: Path, *, create: bool = False) -> sqlite3.Connection:
        seconds = BUSY_SECONDS if self._failing is None else min(TROUBLED_SECONDS, BUSY_SECONDS)
        return connect(path, create=create, busy_seconds=seconds)

    # -- failing -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # Never created here: a database that vanished must not look like one without overrides.
        with self._failures(), closing(self._connect(self._path)) as connection:
            yield connection

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (Damaged, sqlite3.Error, OSError) as error:
            self._failed(error)
            raise StoreUnavailable(f"the store of overrides is unavailable: {_reason(error)}") from error

    def _failed(self, error: Exception) -> None:
        self._failing = Trouble("unwritable", f"it cannot be opened or written: {_reason(error)}")


def read_state(folder: Path) -> State:
    """The newest state of the store in `folder`, as far as it can be read; nothing is made or changed there."""
    for path in (folder / DATABASE, folder / f"{DATABASE}{COPY_SUFFIX}"):
        try:
            with closing(connect(path, mode="ro", busy_seconds=BUSY_SECONDS)) as connection:
                rows.check(connection)
                return rows.newest_state(connection)
        except (Damaged, sqlite3.Error):
            continue
    return State()


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, Damaged) or (code is not None and code & 0xFF in _DAMAGE)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
