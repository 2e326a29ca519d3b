"""Overrides of a release that kept them in flags.db: read in once, when the store is made."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import structlog

from rom_core.store.base import SYSTEM
from rom_core.store.files import beside
from rom_core.store.overrides import FIRST_START, FIRST_VERSION, Version
from rom_core.store.rows import Damaged, chain
from rom_core.store.sqlite.connections import FAILURES, connect
from rom_core.store.sqlite.files import COPY_SUFFIX

DATABASE = "flags.db"
_DONE = ".imported"
logger = structlog.get_logger("rom.store")


def first_versions(folder: Path, now: Callable[[], float]) -> Sequence[Version]:
    """The history in flags.db of `folder` or in its copy, or else the one version of a first start."""
    path = folder / DATABASE
    for file in (path, beside(path, COPY_SUFFIX)):
        if file.exists():
            try:
                return _read(file)
            except FAILURES as error:
                logger.error("store.import_failed", path=str(file), reason=type(error).__name__)
    lost = path.exists() or beside(path, COPY_SUFFIX).exists()
    why = "flags.db was damaged: its overrides are lost" if lost else FIRST_START
    return [Version(FIRST_VERSION, now(), SYSTEM, why)]


def put_away(folder: Path) -> None:
    """What has been read in gets another name, so that nobody takes it for what counts."""
    path = folder / DATABASE
    for file in (path, beside(path, COPY_SUFFIX)):
        if file.exists():
            with suppress(OSError):
                os.replace(file, beside(file, _DONE))
                logger.warning("store.imported", path=str(file))


def _read(path: Path) -> list[Version]:
    with closing(connect(path, mode="ro")) as connection:
        connection.execute("BEGIN")
        if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise Damaged("it is not whole")
        found = connection.execute("SELECT version, at, by, why, trace_id FROM versions ORDER BY version").fetchall()
        checksums = None
        with suppress(sqlite3.OperationalError):  # A table that the first releases did not have.
            checksums = dict(connection.execute("SELECT version, checksum FROM checksums").fetchall())
        changes = "SELECT name, action, before, after FROM changes WHERE version = ? ORDER BY name"
        history = [(row, connection.execute(changes, row[:1]).fetchall()) for row in found]
    if not history:
        raise Damaged("it has no versions")
    return chain((row, each, None if checksums is None else str(checksums.get(row[0]))) for row, each in history)
