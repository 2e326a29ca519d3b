"""Checking, backing up and restoring the SQLite store, by SQLite's own online backup."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from rom_core.errors import StoreRefused
from rom_core.store import rows
from rom_core.store.files import beside, make_file, publish, replaced, temporary
from rom_core.store.findings import Finding, described, restored_from, whole
from rom_core.store.migrate import due
from rom_core.store.overrides import Version, replay
from rom_core.store.owners import Owner
from rom_core.store.sqlite import contents, copies
from rom_core.store.sqlite.connections import (
    BUSY_SECONDS,
    FAILURES,
    WRITES,
    connect,
    engine_of,
    is_busy,
    locked,
    reason_of,
)
from rom_core.store.sqlite.files import COPY_SUFFIX, check_header, make_private
from rom_core.store.sqlite.in_use import exclusive

BACKUP_SECONDS = 60.0
"""For how long a backup waits for those who write."""


def check(path: Path, owners: Sequence[Owner]) -> list[Finding]:
    """What there is to say of the store in `path` and of its copy; nothing is made or changed."""
    if not path.exists():
        lost = beside(path, COPY_SUFFIX).exists()
        text = "it is missing; the next start takes its copy" if lost else "there is none; the next start makes it"
        return [Finding(str(path), good=not lost, text=text)]
    findings = []
    try:
        versions = _checked(path, owners)
        with engine_of(path, mode="ro").connect() as connection:
            findings += described(connection, owners)
    except (*FAILURES, StoreRefused) as error:
        text = error.detail if isinstance(error, StoreRefused) else f"damaged: {reason_of(error)}"
        return [Finding(str(path), good=False, text=text)]
    findings.insert(0, Finding(str(path), good=True, text=whole(versions[-1].number)))
    copy = beside(path, COPY_SUFFIX)
    try:
        newest = replay(_checked(copy, owners)).version
    except FAILURES as error:
        findings.append(Finding(str(copy), good=False, text=f"not good: {reason_of(error)}; the next change renews it"))
        return findings
    return [*findings, Finding(str(copy), good=newest >= versions[-1].number, text=whole(newest))]


def backup(path: Path, owners: Sequence[Owner], file: Path) -> None:
    """Write the store as it is at one moment into `file`, checked, while others use it. Raises StoreRefused."""
    if not path.exists():
        raise StoreRefused(f"there is no store {path} to back up")
    new = temporary(file)
    give_up = time.monotonic() + BACKUP_SECONDS

    def bounded(*_: int) -> None:
        if time.monotonic() > give_up:
            raise StoreRefused(locked(path))

    try:
        make_file(new)
        with closing(connect(path)) as source, closing(connect(new)) as target:
            # In one go: page by page a writer would make it begin again and again.
            source.backup(target, pages=-1, progress=bounded)
        _checked(new, owners)
        publish(new, file)
    except FAILURES as error:
        if is_busy(error):
            raise StoreRefused(locked(path)) from None
        raise StoreRefused(f"the store {path} cannot be backed up into {file}: {reason_of(error)}") from error
    finally:
        new.unlink(missing_ok=True)


def restore(path: Path, owners: Sequence[Owner], file: Path, now: Callable[[], float]) -> Path | None:
    """Put the backup `file` in the place of the store, which no server may use meanwhile.

    Answers where what was there is kept, None if there was nothing. Raises StoreRefused for what is no whole backup, or
    one of a newer release, and changes nothing then.
    """
    new = temporary(path)
    try:
        make_private(path.parent, path.name)
        shutil.copyfile(file, new)
        new.chmod(0o600)
        _checked(new, owners)
        with engine_of(new).connect() as connection:
            due(connection, owners)
            connection.rollback()
            connection.execution_options(**WRITES)
            with connection.begin():
                rows.note(connection, now(), restored_from(file))
        with exclusive(path.parent):
            kept = _put_away(path)
            publish(new, path)
            copies.renew(path, lambda: BUSY_SECONDS)
    except FAILURES as error:
        raise StoreRefused(f"{file} cannot be restored into {path}: {reason_of(error)}") from error
    finally:
        new.unlink(missing_ok=True)
    return kept


def _put_away(path: Path) -> Path | None:
    kept = replaced(path)
    for suffix in ("-journal", ""):
        if beside(path, suffix).exists():
            os.replace(beside(path, suffix), beside(kept, suffix))
    return kept if kept.exists() else None


def _checked(path: Path, owners: Sequence[Owner]) -> list[Version]:
    """All versions in the file. Raises one of FAILURES."""
    check_header(path)
    with engine_of(path, mode="ro").connect() as connection:
        return contents.check(connection, path, owners, whole=True)
