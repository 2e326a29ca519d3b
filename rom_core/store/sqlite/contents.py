"""What has to be in the SQLite database for it to be a whole one of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from rom_core.store import rows
from rom_core.store.migrate import due, migrate
from rom_core.store.overrides import Version
from rom_core.store.owners import Owner, prefixes
from rom_core.store.rows import Damaged
from rom_core.store.sqlite.copies import MARK, mark
from rom_core.store.tables import SEALS

# A larger database is checked table by table: a start must not read gigabytes.
_CHECKED_WHOLE = 64 << 20


class Foreign(Damaged):
    """A whole database in which nothing is ours."""


def check(connection: Connection, path: Path, owners: Sequence[Owner], *, whole: bool = False) -> list[Version]:
    """All versions, oldest first; `whole`: every page is looked at, however many there are.

    Raises Damaged unless this is a whole database of ours, and Foreign if nothing in it is.
    """
    names = [row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master")]
    if connection.exec_driver_sql("PRAGMA application_id").scalar() != MARK:
        if names and not any(str(name).startswith(owners[0].prefix) for name in names):
            raise Foreign("it is a database of something else")
        raise Damaged("it is not marked as ours")
    small = whole or path.stat().st_size <= _CHECKED_WHOLE
    copied = {owner.prefix for owner in owners if owner.tables.copied}
    tables = [name for name, prefix in prefixes(map(str, names)).items() if prefix in copied]
    for what in ("1",) if small else [f"'{name}'" for name in tables]:
        verdict = connection.exec_driver_sql(f"PRAGMA integrity_check({what})").scalar()
        if verdict != "ok":
            raise Damaged(str(verdict))
    return read(connection, owners)


def read(connection: Connection, owners: Sequence[Owner]) -> list[Version]:
    """All versions, oldest first, each as it was written, in tables as they were made. Raises Damaged."""
    seals = dict(connection.execute(select(SEALS.c.owner, SEALS.c.seal)).all())
    found = _seals(connection)
    for owner in owners:
        if owner.tables.copied and owner.prefix in seals and seals[owner.prefix] != found.get(owner.prefix):
            raise Damaged(f"the tables {owner.prefix}… are not as they were made")
    if owners[0].prefix not in seals:
        raise Damaged("its tables are not ours")
    versions = rows.read(connection)
    if not versions:
        raise Damaged("it has no versions")
    return versions


def make(connection: Connection, owners: Sequence[Owner], first: Callable[[], Sequence[Version]]) -> None:
    """Make the tables that are missing, with the versions of `first` if there are none. Raises StoreRefused."""
    migrated = due(connection, owners)
    for owner in migrated:
        migrate(connection, owner)
    found = _seals(connection) if migrated else {}
    for owner in migrated:
        if owner.tables.copied:
            connection.execute(delete(SEALS).where(SEALS.c.owner == owner.prefix))
            connection.execute(insert(SEALS).values((owner.prefix, found[owner.prefix])))
    if rows.newest(connection) is None:
        connection.exec_driver_sql(mark())
        rows.add(connection, first())


def _seals(connection: Connection) -> dict[str, str]:
    """For each owner's prefix a checksum of the statements that made its tables."""
    made = connection.exec_driver_sql("SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    owner = prefixes(str(name) for name, _ in made)
    statements: dict[str, list[str]] = {}
    for name, sql in made:
        statements.setdefault(owner[str(name)], []).append(str(sql))
    return {prefix: hashlib.sha256(ascii(sorted(each)).encode()).hexdigest() for prefix, each in statements.items()}
