"""The store of overrides for one machine: an SQLite database, and beside it a copy of its last good state.

One file in rollback-journal mode: a commit is whole or absent whenever the process is killed, and
`sqlite3 flags.db 'select * from overrides'` reads it. Every call opens its own connection, so threads share none.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import structlog

from rom_core.errors import StoreUnavailable
from rom_core.store import sqlite_rows as rows
from rom_core.store.overrides import FIRST_VERSION, Change, State, StoreConflict, Trouble, Version, replay
from rom_core.store.sqlite_file import (
    BUSY_SECONDS,
    DAMAGED_SUFFIX,
    connect,
    is_damage,
    make_file,
    make_private,
    publish,
    transaction,
)
from rom_core.store.sqlite_rows import Damaged

DATABASE = "flags.db"
COPY_SUFFIX, TEMPORARY_SUFFIX = ".copy", ".new-"
# BUSY_SECONDS once a call has failed, so that a store in trouble does not hold up one change after the other.
TROUBLED_SECONDS = 0.25
SYSTEM = "rom"
# Reading a damaged file may end in any of these: SQLite quotes bytes of it in its messages, and Python decodes them.
FAILURES = (Damaged, sqlite3.Error, sqlite3.Warning, OSError, ValueError, TypeError, OverflowError, MemoryError)
T = TypeVar("T")
logger = structlog.get_logger("rom.flags")


class SqliteStore:
    """An OverrideStore in `folder`, which is made if it is missing. Making one raises nothing: see `trouble`.

    A damaged database is moved aside and the copy takes its place, also while the store is used; where both are gone,
    what this process knows of them is written anew. One that cannot be opened for writing is read as far as possible,
    and opened again at the next call.
    """

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        """`now` gives seconds since the epoch, for the entries that the store itself makes."""
        self._path = folder / DATABASE
        self._copy = self._beside(COPY_SUFFIX)
        self._now = now
        self._found: Trouble | None = None
        self._failing: Trouble | None = None
        self._known: State | None = None
        self._ready = False
        try:
            self._open()
        except FAILURES as error:
            known = read_state(folder)
            self._known = known if known.version > FIRST_VERSION else None
            self._failed(error)

    @property
    def trouble(self) -> Trouble | None:
        """What fails now, else what was found at start."""
        return self._failing or self._found

    def load(self) -> State:
        """The newest state; of a store that has not opened yet, what could be read at start."""
        opened = self._ready
        try:
            self._known = self._do(lambda connection: replay(rows.read(connection)))
        except StoreUnavailable:
            if opened:
                raise
        return self._known or State()

    def state_at(self, version: int) -> State | None:
        """The state at `version`."""
        versions = self._do(rows.read)
        before = [each for each in versions if each.number <= version]
        return replay(before) if before and before[-1].number == version else None

    def append(self, after: int, versions: Sequence[Version]) -> None:
        """Commit, then renew the copy; a copy that fails is logged, the commit stands."""

        def commit(connection: sqlite3.Connection) -> State:
            with transaction(connection):
                state = replay(rows.read(connection))
                if state.version != after:
                    raise StoreConflict(f"the newest version is {state.version}, not {after}")
                rows.insert(connection, versions)
            return replay(versions, state)

        self._known = self._do(commit)
        self._failing = None
        try:
            self._renew_copy()
        except (sqlite3.Error, OSError) as error:
            logger.warning("flags.copy_failed", reason=_reason(error))

    def history(self, limit: int, before: int | None = None) -> list[Version]:
        """Newest first."""
        versions = [each for each in self._do(rows.read) if before is None or each.number < before]
        return versions[: -limit - 1 : -1] if limit > 0 else []

    # -- opening -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Make the database ready: from the copy, from what this process knows, or from nothing if it has to be."""
        make_private(self._path.parent, DATABASE)
        copied, found = self._copy.exists(), self._path.exists()
        empty = not found or self._path.stat().st_size == 0
        try:
            if empty and (copied or self._known is not None):
                raise Damaged("it is missing or empty")
            self._prepare(empty=empty)
            if empty and found:
                self._note(Trouble("lost", "it was empty, without a good copy: overrides are lost if there were any"))
        except FAILURES as error:
            if not is_damage(error):
                raise
            self._replace(_reason(error), copied)
        self._ready, self._failing = True, None
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
            except FAILURES as error:
                if not is_damage(error):
                    raise
                reason = f"{reason}; its copy: {_reason(error)}"
            else:
                return
        self._prepare(empty=True)
        if self._known is None:
            self._note(Trouble("lost", f"damaged, without a good copy, overrides are lost: {reason}"))
        else:
            self._note(Trouble("restored", f"gone with its copy, made again from what was in force: {reason}"))

    def _restore(self, reason: str) -> None:
        temporary = self._temporary()
        shutil.copyfile(self._copy, temporary)
        rows.check_header(temporary)
        with closing(self._connect(temporary)) as connection:
            state = replay(rows.check(connection))
        if self._known is not None and state.version < self._known.version:
            raise Damaged("it is older than what is in force")
        publish(temporary, self._path)
        self._prepare(empty=False)
        self._note(Trouble("restored", f"damaged, the last good copy took its place: {reason}"))

    def _note(self, trouble: Trouble) -> None:
        """Remember it, in the history too: there it is still known after the next restart."""
        self._found = trouble
        with closing(self._connect(self._path)) as connection, transaction(connection):
            newest = rows.read(connection)[-1].number
            rows.insert(connection, [Version(newest + 1, self._now(), SYSTEM, trouble.detail)])

    def _prepare(self, *, empty: bool) -> None:
        """Make the tables in an empty database, check any other. Raises Damaged or another of FAILURES."""
        if not empty:
            rows.check_header(self._path)
        with closing(self._connect(self._path, create=True)) as connection:
            if empty:
                rows.create(connection, _again(self._known, self._now()))
            rows.upgrade(connection)
            rows.check(connection)

    def _renew_copy(self) -> None:
        """Write the copy anew, nobody else doing so meanwhile; what an interruption has left of one is removed."""
        temporary = self._temporary()
        # SQLite reads a backup from no connection that writes, so another one holds the lock.
        with closing(self._connect(self._path)) as locking, transaction(locking):
            for leftover in self._path.parent.glob(f"{DATABASE}{TEMPORARY_SUFFIX}*"):
                leftover.unlink(missing_ok=True)
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
        if create:
            make_file(path)
        return connect(path, busy_seconds=seconds)

    # -- using and failing -------------------------------------------------------------------------------------------

    def _do(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do it on a connection; a store that turns out to be damaged or gone is mended first, and it is done again."""
        if self._ready:
            try:
                return self._once(action)
            except StoreUnavailable as error:
                if self._path.exists() and not is_damage(error.__cause__):
                    raise
            logger.error("flags.store_damaged", path=str(self._path))
            self._ready = False
        with self._failures():
            self._open()
        return self._once(action)

    def _once(self, action: Callable[[sqlite3.Connection], T]) -> T:
        # Never created here: a database that vanished must not look like one without overrides.
        with self._failures(), closing(self._connect(self._path)) as connection:
            return action(connection)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            self._failed(error)
            raise StoreUnavailable(f"the store of overrides is unavailable: {_reason(error)}") from error

    def _failed(self, error: BaseException) -> None:
        self._failing = Trouble("unwritable", f"it cannot be opened or written: {_reason(error)}")


def read_state(folder: Path) -> State:
    """The newest state of the store in `folder`, as far as it can be read; nothing is made or changed there."""
    for path in (folder / DATABASE, folder / f"{DATABASE}{COPY_SUFFIX}"):
        with suppress(*FAILURES):
            rows.check_header(path)
            with closing(connect(path, mode="ro", busy_seconds=BUSY_SECONDS)) as connection:
                return replay(rows.check(connection))
    return State()


def _again(known: State | None, now: float) -> list[Version]:
    """The versions with which a new database begins: the first start, or those whose overrides are `known`."""
    if known is None:
        return [Version(FIRST_VERSION, now, SYSTEM, "first start")]
    versions: dict[int, Version] = {}
    for name, override in sorted(known.overrides.items()):
        earlier = versions.get(override.version)
        changes = (*(earlier.changes if earlier else ()), Change(name, "set", None, override.value))
        versions[override.version] = Version(override.version, override.at, override.by, override.why, "", changes)
    versions.setdefault(known.version, Version(known.version, now, SYSTEM, "made again"))
    return [versions[number] for number in sorted(versions)]


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or ascii(str(error))[1:-1] or type(error).__name__
