"""The migrations that we ship: they make what the code says, only add, and name who works with them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from store_support import opened

from rom_core import __version__, hookspecs
from rom_core.plugin.catalogue import Catalogue
from rom_core.store.migrate import check_release
from rom_core.store.owners import Owner
from rom_core.store.setup import owners

SHIPPED = owners(Catalogue.installed(hookspecs))
FILES = [path for owner in SHIPPED for path in sorted(owner.folder.glob("r[0-9]*.py"))]
TAKES_AWAY = ("DROP ", "DELETE ", "RENAME ", "TRUNCATE ", "ALTER ")


@pytest.mark.parametrize("owner", SHIPPED, ids=lambda owner: owner.plugin or "core")
def test_migrations_make_the_tables_that_the_code_uses(where: Path | str, owner: Owner) -> None:
    """In both databases: no column, key or type is in the one and not in the other."""
    store = opened(where, (SHIPPED[0], *([owner] if owner.plugin else []))).store

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "table" or name in owner.tables.metadata.tables,
            },
        )
        return list(compare_metadata(context, owner.tables.metadata))

    assert store.read(differences) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_migrations_only_add(path: Path) -> None:
    """So the release before goes on working, and a rollback needs no migration back."""
    tree = ast.parse(path.read_text())
    operations = [
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "op"
    ]
    assert operations
    assert set(operations) <= {"create_table", "add_column", "create_index", "execute"}
    statements = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [each for each in statements if each.upper().lstrip().startswith(TAKES_AWAY)]
    assert "def downgrade" not in path.read_text()


@pytest.mark.parametrize("owner", SHIPPED, ids=lambda owner: owner.plugin or "core")
def test_this_release_works_with_what_it_makes(where: Path | str, owner: Owner) -> None:
    """Each migration names an oldest release, and none that is newer than this one."""
    store = opened(where, (SHIPPED[0], *([owner] if owner.plugin else []))).store
    rows = store.read(
        lambda connection: connection.execute(
            text(f"SELECT revision, oldest_release FROM {owner.migrations_table}")
        ).all()
    )
    assert sorted(row[0] for row in rows) == list(owner.revisions)
    check_release(Owner(owner.prefix, owner.tables, __version__, owner.plugin), (), [(row[0], row[1]) for row in rows])
