"""Migrations: which are due, and carrying them out. Alembic is loaded only if one is."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from rom_core.errors import StoreRefused
from rom_core.store.owners import Owner


def due(connection: Connection, owners: Sequence[Owner]) -> list[Owner]:
    """The owners whose tables have to be made or migrated.

    Raises StoreRefused if the database is too new for this code, or if tables of somebody else bear our names.
    """
    existing = {*inspect(connection).get_table_names(), *inspect(connection).get_view_names()}
    return [owner for owner in owners if _is_due(connection, owner, existing)]


def current_revision(connection: Connection, owner: Owner, existing: Container[str]) -> str | None:
    """The newest migration that was carried out for `owner`, None if none was; `existing` are the names of tables."""
    if owner.version_table not in existing:
        return None
    return connection.execute(text(f"SELECT version_num FROM {owner.version_table}")).scalar()  # noqa: S608


def _is_due(connection: Connection, owner: Owner, existing: set[str]) -> bool:
    current = current_revision(connection, owner, existing)
    if current is None:
        foreign = sorted(existing & set(owner.tables.metadata.tables))
        if foreign:
            raise StoreRefused(
                f"it holds a table {foreign[0]} that is not ours; give the store a database of its own in STATE_URL"
            )
        return True
    known = owner.revisions
    if current in known:
        return current != known[-1]
    if owner.migrations_table not in existing:
        whose = f"the tables of plugin {owner.plugin!r}" if owner.plugin else "it"
        raise StoreRefused(f"{whose} was made by something else; give the store a database of its own in STATE_URL")
    carried_out = connection.execute(
        text(f"SELECT revision, oldest_release FROM {owner.migrations_table} ORDER BY revision")  # noqa: S608
    )
    check_release(owner, known, [(row[0], row[1]) for row in carried_out])
    return False


def check_release(owner: Owner, known: Sequence[str], carried_out: Iterable[tuple[str, str]]) -> None:
    """Raise StoreRefused if a newer release has carried out a migration that this one does not work with.

    `carried_out` are all migrations as (revision, oldest release that works with it); `known` are this code's own.
    """
    whose = f"the tables of plugin {owner.plugin!r}" if owner.plugin else "it"
    for revision, oldest in carried_out:
        if revision not in known and owner.release and _number(owner.release) < _number(oldest):
            raise StoreRefused(
                f"{whose} was migrated by a newer release and needs {oldest} or newer, this is {owner.release}: "
                f"start {oldest} or newer, or restore a backup made before (`rom store restore`)"
            )


def migrate(connection: Connection, owner: Owner) -> None:
    """Bring an owner's tables up to the newest migration, in the transaction of `connection`."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    folder = str(owner.folder)
    scripts = ScriptDirectory(folder, version_locations=[folder])
    if scripts.get_heads() != [owner.revisions[-1]]:
        raise StoreRefused(f"the migrations in {owner.tables.migrations} are no single line that ends with the newest")
    connection.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {owner.migrations_table}"
            " (revision VARCHAR(32) NOT NULL PRIMARY KEY, oldest_release TEXT NOT NULL)"
        )
    )

    def steps(current: Any, _: Any) -> Any:
        return scripts._upgrade_revs("head", current)

    def applied(*, step: Any, **_: Any) -> None:
        module = step.up_revision.module
        connection.execute(
            text(f"INSERT INTO {owner.migrations_table} VALUES (:revision, :oldest)"),  # noqa: S608
            {"revision": step.up_revision_id, "oldest": module.oldest_release},
        )

    context = MigrationContext.configure(
        connection,
        opts={"version_table": owner.version_table, "fn": steps, "on_version_apply": (applied,)},
    )
    try:
        with Operations.context(context):
            context.run_migrations()
    except SQLAlchemyError:
        raise
    except Exception as error:
        whose = f"plugin {owner.plugin!r}" if owner.plugin else "the core"
        raise StoreRefused(f"a migration of {whose} failed: {type(error).__name__}: {error}") from error


def _number(release: str) -> tuple[int, ...]:
    parts = [int(part) for part in re.findall(r"[0-9]+", release)[:3]]
    return (*parts, *[0] * (3 - len(parts)))
