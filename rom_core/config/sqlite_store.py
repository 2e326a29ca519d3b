"""The store of overrides for one machine: an SQLite database, and beside it a copy of its last good state.

One file in rollback-journal mode: a commit is whole or absent whenever the process is killed, and
`sqlite3 flags.db 'select * from overrides'` reads it. Every call opens its own connection, so threads share none.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import quote

import structlog

from rom_core.config.store import FIRST_VERSION, Change, Override, State, StoreConflict, Trouble, Version
from rom_core.errors import StoreUnavailable

DATABASE = "flags.db"
COPY_SUFFIX, DAMAGED_SUFFIX, TEMPORARY_SUFFIX = ".copy", ".damaged", ".new-"
# How long another connection, such as somebody's sqlite3 shell, may hold the database before a call gives up.
BUSY_SECONDS = 2.0
# The same once a call has failed, so that a store in trouble does not hold up one change after the other.
TROUBLED_SECONDS = 0.25
SYSTEM = "rom"
_MARK: Final = 0x524F4D46  # "ROMF", PRAGMA application_id
_SCHEMA = """
CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    trace_id TEXT NOT NULL
);
CREATE TABLE changes (
    version INTEGER NOT NULL REFERENCES versions (version),
    name TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('set', 'clear', 'reload')),
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    PRIMARY KEY (version, name)
) WITHOUT ROWID;
CREATE VIEW overrides AS
    SELECT c.name, c.after AS value, c.version, v.at, v.by, v.why
    FROM changes AS c JOIN versions AS v USING (version)
    WHERE c.action = 'set'
        AND c.version = (SELECT max(version) FROM changes WHERE name = c.name AND action <> 'reload')
    ORDER BY c.version, c.name;
PRAGMA user_version = 1;
"""
_STATE_AT = """
    SELECT c.name, c.after, c.version, v.at, v.by, v.why
    FROM changes AS c JOIN versions AS v USING (version)
    WHERE c.action = 'set' AND c.version = (
        SELECT max(version) FROM changes WHERE name = c.name AND action <> 'reload' AND version <= :version
    )
    ORDER BY c.version, c.name
"""
# Primary result codes (https://www.sqlite.org/rescode.html): SQLITE_ERROR, as of a missing table, CORRUPT and NOTADB
# mean that the file is bad; the others, that it cannot be used now.
_DAMAGE = (1, 11, 26)
# Deeper values than anybody sets; who compares, copies or shows them does so by recursion.
_MAX_DEPTH = 32
logger = structlog.get_logger("rom.flags")


class _Damaged(Exception):
    """The file is there and is not a whole database of ours."""


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
        except (_Damaged, sqlite3.Error, OSError) as error:
            self._last_resort = self._read_only()
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
            return _state(connection, _newest(connection))

    def state_at(self, version: int) -> State | None:
        """The state at `version`."""
        with self._connection() as connection:
            known = connection.execute("SELECT 1 FROM versions WHERE version = ?", (version,)).fetchone()
            return _state(connection, version) if known else None

    def append(self, after: int, versions: Sequence[Version]) -> None:
        """Commit, then renew the copy; a copy that fails is logged, the commit stands."""
        if self._last_resort is not None:
            self._reopen()
        with self._connection() as connection, transaction(connection):
            newest = _newest(connection)
            if newest != after:
                raise StoreConflict(f"the newest version is {newest}, not {after}")
            _insert(connection, versions)
        self._failing = None
        try:
            self._renew_copy()
        except (sqlite3.Error, OSError) as error:
            logger.warning("flags.copy_failed", reason=_reason(error))

    def history(self, limit: int, before: int | None = None) -> list[Version]:
        """Newest first."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT version, at, by, why, trace_id FROM versions WHERE ? IS NULL OR version < ?"
                " ORDER BY version DESC LIMIT ?",
                (before, before, limit),
            ).fetchall()
            changes: dict[int, list[Change]] = {row[0]: [] for row in rows}
            found = connection.execute(
                "SELECT version, name, action, before, after FROM changes WHERE version BETWEEN ? AND ? ORDER BY name",
                (min(changes, default=0), max(changes, default=-1)),
            )
            for version, name, action, old, new in found:
                if version in changes:
                    changes[version].append(Change(_plain(name), action, _json(old), _json(new)))
        return [
            Version(number, _seconds(at), _plain(by), _plain(why), _plain(trace_id), tuple(changes[number]))
            for number, at, by, why, trace_id in rows
        ]

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
                raise _Damaged("it is missing or empty")
            if self._prepare() and found:
                self._note(Trouble("lost", "it was empty, without a good copy: overrides are lost if there were any"))
        except (_Damaged, sqlite3.Error) as error:
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
            except (_Damaged, sqlite3.Error) as error:
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
            _check(connection)
        _publish(temporary, self._path)
        self._note(Trouble("restored", f"damaged, the last good copy took its place: {reason}"))

    def _note(self, trouble: Trouble) -> None:
        """Remember it, in the history too: there it is still known after the next restart."""
        self._found = trouble
        with closing(self._connect(self._path)) as connection, transaction(connection):
            _insert(connection, [Version(_newest(connection) + 1, self._now(), SYSTEM, trouble.detail)])

    def _prepare(self) -> bool:
        """Make the schema in an empty database, check any other; whether it was empty.

        Raises _Damaged or sqlite3.Error.
        """
        with closing(self._connect(self._path, create=True)) as connection:
            with transaction(connection):
                empty: bool = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
                if empty:
                    for statement in (*_SCHEMA.split(";\n"), f"PRAGMA application_id = {_MARK}"):
                        connection.execute(statement)
                    _insert(connection, [Version(FIRST_VERSION, self._now(), SYSTEM, "first start")])
            _check(connection)
        return empty

    def _read_only(self) -> State:
        for path in (self._path, self._copy):
            try:
                with closing(self._connect(path, mode="ro")) as connection:
                    _check(connection)
                    return _state(connection, _newest(connection))
            except (_Damaged, sqlite3.Error):
                continue
        return State()

    def _renew_copy(self) -> None:
        temporary = self._temporary()
        temporary.unlink(missing_ok=True)
        with closing(self._connect(self._path)) as source, closing(self._connect(temporary, create=True)) as target:
            # Written in one go and renamed when complete: it needs no journal of its own.
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target)
        _publish(temporary, self._copy)

    def _temporary(self) -> Path:
        return self._beside(f"{TEMPORARY_SUFFIX}{os.getpid()}")

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _connect(self, path: Path, *, create: bool = False, mode: Literal["ro", "rw"] = "rw") -> sqlite3.Connection:
        seconds = BUSY_SECONDS if self._failing is None else min(TROUBLED_SECONDS, BUSY_SECONDS)
        return connect(path, create=create, mode=mode, busy_seconds=seconds)

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
        except (_Damaged, sqlite3.Error, OSError) as error:
            self._failed(error)
            raise StoreUnavailable(f"the store of overrides is unavailable: {_reason(error)}") from error

    def _failed(self, error: Exception) -> None:
        self._failing = Trouble("unwritable", f"it cannot be opened or written: {_reason(error)}")


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, _Damaged) or (code is not None and code & 0xFF in _DAMAGE)


def connect(
    path: Path, *, create: bool = False, mode: Literal["ro", "rw"] = "rw", busy_seconds: float | None = None
) -> sqlite3.Connection:
    """A connection in autocommit mode; nothing is created unless `create`.

    It waits `busy_seconds` for others, BUSY_SECONDS if None.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode={'rwc' if create else mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS if busy_seconds is None else busy_seconds, isolation_level=None
    )
    # Also the removal of the journal, which is the commit, has to be on the disk.
    connection.execute("PRAGMA synchronous = EXTRA")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != _MARK:
        raise _Damaged("it is a database of something else")
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise _Damaged(str(verdict))
    _state(connection, _newest(connection))


def _newest(connection: sqlite3.Connection) -> int:
    newest = connection.execute("SELECT max(version) FROM versions").fetchone()[0]
    if newest is None:
        raise _Damaged("it has no versions")
    return int(newest)


def _state(connection: sqlite3.Connection, version: int) -> State:
    rows = connection.execute(_STATE_AT, {"version": version}).fetchall()
    return State(
        version,
        MappingProxyType(
            {
                _plain(name): Override(_plain(name), _json(value), since, _seconds(at), _plain(by), _plain(why))
                for name, value, since, at, by, why in rows
            }
        ),
    )


def _insert(connection: sqlite3.Connection, versions: Iterable[Version]) -> None:
    for version in versions:
        connection.execute(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?)",
            (version.number, iso(version.at), version.by, version.why, version.trace_id),
        )
        connection.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?)",
            [
                (version.number, change.name, change.action, _text(change.before), _text(change.after))
                for change in version.changes
            ],
        )


def _publish(temporary: Path, path: Path) -> None:
    """Give a finished file its name, so that no crash leaves half of it there."""
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _seconds(text: Any) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, TypeError, OverflowError):  # written by hand
        return 0.0


def _plain(text: Any) -> str:
    """The text of a column, also if a BLOB was written there by hand."""
    return text if isinstance(text, str) else bytes(text).decode(errors="replace")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json(column: Any) -> Any:
    """The value; text that is not JSON, as somebody may write by hand, stands for itself and is checked like any."""
    text = _plain(column)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if _too_deep(value) else value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
