"""What an operator does with the store: look whether it is whole, back it up, restore it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rom_core.errors import StoreRefused
from rom_core.store.address import Address, SqliteAddress
from rom_core.store.findings import Finding
from rom_core.store.owners import Owner

_KINDS = {b"SQLite format 3\0": "sqlite", b"PGDMP": "postgresql"}
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def check(address: Address, owners: Sequence[Owner]) -> list[Finding]:
    """What there is to say of it; nothing is made or changed."""
    if isinstance(address, SqliteAddress):
        from rom_core.store.sqlite import backups

        return backups.check(address.path, owners)
    from rom_core.store.postgres import backups as shared

    return shared.check(address.url, owners)


def backup(address: Address, owners: Sequence[Owner], file: Path) -> None:
    """Write it into `file` as it is at one moment, while servers use it. Raises StoreRefused."""
    if file.exists():
        raise StoreRefused(f"{file} exists already; name another file")
    if not file.absolute().parent.is_dir():
        raise StoreRefused(f"the folder of {file} does not exist")
    if isinstance(address, SqliteAddress):
        from rom_core.store.sqlite import backups

        backups.backup(address.path, owners, file)
        return
    from rom_core.store.postgres import backups as shared

    shared.backup(address.url, owners, file)


def restore(address: Address, owners: Sequence[Owner], file: Path, now: Callable[[], float]) -> Path | None:
    """Put the backup `file` in its place, while nobody uses it; where what was there is kept, None if nothing was.

    Raises StoreRefused for what does not fit: a file that is no backup, or of the other database, not whole, or of a
    newer release. Then nothing is changed.
    """
    kind = _kind(file)
    if kind is None:
        raise StoreRefused(f"{file} is no backup of a store; `rom store backup` makes one")
    if kind != address.kind:
        raise StoreRefused(f"{file} is a backup of {_NAMES[kind]}, and the store is in {_NAMES[address.kind]}")
    if isinstance(address, SqliteAddress):
        from rom_core.store.sqlite import backups

        return backups.restore(address.path, owners, file, now)
    from rom_core.store.postgres import backups as shared

    return shared.restore(address.url, owners, file, now)


def _kind(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise StoreRefused(f"{file} cannot be read: {error.strerror}") from None
    return next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), None)
