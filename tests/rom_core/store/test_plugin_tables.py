"""Tables of plugins: made and migrated beside the core's, and left alone once the plugin is gone."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, insert, inspect, select, text
from store_support import OWNERS, filled, opened, put, version

from rom_core import hookspecs
from rom_core.errors import PluginError, StoreRefused
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.store.address import DATABASE
from rom_core.store.base import Store
from rom_core.store.owners import Owner, owners_of
from rom_core.store.setup import owners
from rom_core.tables import Tables

METADATA = MetaData()
LINES = Table("notes_lines", METADATA, Column("id", Integer, primary_key=True), Column("line", Text, nullable=False))
FIRST = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, oldest_release = "0001", None, "1.0"


def upgrade():
    op.create_table(
        "notes_lines", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("line", sa.Text(), nullable=False)
    )
"""
SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, oldest_release = "0002", "0001", {oldest!r}


def upgrade():
    op.add_column("notes_lines", sa.Column("by", sa.Text(), nullable=True))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The migrations of a plugin, a package on the path."""
    folder = tmp_path / "site" / "notes_migrations"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "r0001_lines.py").write_text(FIRST)
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    sys.modules.pop("notes_migrations", None)


def with_notes(release: str = "1.0", *, copied: bool = False) -> tuple[Owner, ...]:
    """The core, and the plugin `notes` of that release."""
    return owners_of("0.1.0", [("notes", release, Tables(METADATA, "notes_migrations", copied=copied))])


def note(store: Store, line: str, *, copied: bool = False) -> None:
    """Add a line."""

    def add(connection: Connection) -> None:
        connection.execute(insert(LINES).values(line=line))

    store.write(add, copied=copied)


def lines(store: Store) -> Sequence[str]:
    """All lines."""
    return store.read(lambda connection: connection.execute(select(LINES.c.line).order_by(LINES.c.id)).scalars().all())


def test_a_plugin_has_tables_and_versions_of_its_own(where: Path | str, package: Path) -> None:
    """What it writes is there for the next process; the core's versions are not touched."""
    store = opened(where, with_notes()).store
    note(store, "one")
    store.close()
    store = opened(where, with_notes()).store
    assert lines(store) == ["one"]
    names = store.read(lambda connection: set(inspect(connection).get_table_names()))
    assert {"notes_lines", "notes_alembic_version", "notes_migrations", "rom_alembic_version", "rom_versions"} <= names


def test_a_new_release_of_a_plugin_migrates_and_keeps_what_there_is(where: Path | str, package: Path) -> None:
    """Only what is missing is added."""
    note(opened(where, with_notes()).store, "one")
    (package / "r0002_by.py").write_text(SECOND.format(oldest="1.0"))
    store = opened(where, with_notes("1.1")).store
    assert lines(store) == ["one"]
    assert store.read(lambda connection: connection.execute(text("SELECT by FROM notes_lines")).scalar()) is None


@pytest.mark.parametrize(("oldest", "starts"), [("1.0", True), ("1.1", False)])
def test_an_older_release_starts_if_the_migration_says_that_it_works(
    where: Path | str, package: Path, oldest: str, starts: bool
) -> None:
    """A rollback by one release; what is older than what the database needs refuses the start and changes nothing."""
    (package / "r0002_by.py").write_text(SECOND.format(oldest=oldest))
    opened(where, with_notes("1.1")).store.close()
    (package / "r0002_by.py").unlink()
    if starts:
        note(opened(where, with_notes("1.0")).store, "one")
        return
    with pytest.raises(StoreRefused, match=r"plugin 'notes' was migrated by .* needs 1\.1 or newer, this is 1\.0"):
        opened(where, with_notes("1.0"))
    (package / "r0002_by.py").write_text(SECOND.format(oldest=oldest))
    note(opened(where, with_notes("1.1")).store, "one")


def test_the_core_of_an_older_release_is_refused_likewise(where: Path | str) -> None:
    """By what stands in the database: the code that could say so is not here any more."""
    store = opened(where).store
    store.write(_migrated_by_a_newer_release)
    store.close()
    for release, starts in (("0.1.0", False), ("0.2", True), ("0.10.0", True)):
        if starts:
            opened(where, owners_of(release, ())).store.close()
            continue
        with pytest.raises(StoreRefused, match=r"needs 0\.2\.0 or newer, this is 0\.1\.0: .*`rom store restore`"):
            opened(where, owners_of(release, ()))


def _migrated_by_a_newer_release(connection: Connection) -> None:
    connection.execute(text("INSERT INTO rom_migrations VALUES ('9999', '0.2.0')"))
    connection.execute(text("UPDATE rom_alembic_version SET version_num = '9999'"))


def test_an_uninstalled_plugin_leaves_its_tables_and_disturbs_nobody(where: Path | str, package: Path) -> None:
    """Installed again it finds them as they were."""
    note(opened(where, with_notes()).store, "one")
    filled(where).store.close()
    store = opened(where, with_notes())
    assert (lines(store.store), store.load().values) == (["one"], {"MAX_TOKENS": 2})


def test_plugins_whose_names_begin_alike_do_not_disturb_each_other(tmp_path: Path, package: Path) -> None:
    """`rom-notes` beside the core, `notes-more` beside `notes`: each knows its own tables."""
    both = [("notes", "1.0", Tables(METADATA, "notes_migrations", copied=True))]
    for name in ("notes-more", "rom-notes"):
        prefix = name.replace("-", "_")
        folder = package.parent / f"{prefix}_migrations"
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "r0001_lines.py").write_text(FIRST.replace("notes_lines", f"{prefix}_lines"))
        metadata = MetaData()
        LINES.to_metadata(metadata, name=f"{prefix}_lines")
        both.append((name, "1.0", Tables(metadata, f"{prefix}_migrations", copied=True)))
        store = opened(tmp_path, owners_of("0.1.0", both))
        assert (store.load().values, store.trouble) == ({}, None)
        store.append(store.load().version, [version(store.load().version + 1)])
    store = opened(tmp_path, OWNERS)
    assert (store.load().version, store.trouble) == (3, None)


@pytest.mark.parametrize("copied", [True, False])
def test_tables_that_are_copied_survive_damage(tmp_path: Path, package: Path, copied: bool) -> None:
    """Others are empty afterwards, and can be used."""
    store = opened(tmp_path, with_notes(copied=copied))
    note(store.store, "one", copied=copied)
    store.append(1, [version(2, put("MAX_TOKENS", 2))])
    (tmp_path / DATABASE).write_bytes(b"damaged" * 1000)
    assert lines(store.store) == (["one"] if copied else [])
    note(store.store, "two", copied=copied)
    assert store.load().values == {"MAX_TOKENS": 2}
    assert store.trouble is not None
    assert store.trouble.state == "restored"


def test_a_mistake_of_a_plugin_is_no_damage(tmp_path: Path, package: Path) -> None:
    """A statement that cannot be carried out fails alone; the database stays where it is."""
    store = opened(tmp_path, with_notes())
    note(store.store, "one")
    with pytest.raises(Exception, match="no such column"):
        store.store.write(lambda connection: connection.execute(text("SELECT nowhere FROM notes_lines")))
    assert lines(store.store) == ["one"]
    assert not (tmp_path / f"{DATABASE}.damaged").exists()
    store.append(1, [version(2)])
    assert store.trouble is None


# -- what plugins get wrong --------------------------------------------------------------------------------------------


class Notes:
    def __init__(self, tables: Any) -> None:
        self._tables = tables

    @hookimpl
    def rom_tables(self) -> Any:
        if isinstance(self._tables, Exception):
            raise self._tables
        return self._tables


def test_the_tables_of_a_catalogue_are_those_of_its_plugins(package: Path) -> None:
    """None is none."""
    catalogue = Catalogue.of(hookspecs, notes=Notes(Tables(METADATA, "notes_migrations")), silent=Notes(None))
    assert [owner.plugin for owner in owners(catalogue)] == ["", "notes"]


@pytest.mark.parametrize(
    ("name", "tables", "says"),
    [
        ("other", Tables(METADATA, "notes_migrations"), "its table notes_lines does not begin with other_"),
        ("rom", Tables(METADATA, "notes_migrations"), "tables that begin with rom_ are somebody else's"),
        ("notes", Tables(METADATA, "nowhere_migrations"), "its migrations nowhere_migrations cannot be read"),
        ("notes", Tables(METADATA, "email"), "there is no migration r0001_"),
        ("notes", METADATA, "rom_tables may return Tables only"),
        ("notes", RuntimeError("no idea"), "rom_tables failed: RuntimeError: no idea"),
    ],
)
def test_what_does_not_fit_stops_the_start(package: Path, name: str, tables: Any, says: str) -> None:
    """With the plugin's name."""
    with pytest.raises(PluginError, match=says) as caught:
        owners(Catalogue.of(hookspecs, **{name: Notes(tables)}))
    assert caught.value.plugin == name


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (SECOND.format(oldest="1.0").replace('"0002", "0001"', '"0002", None'), "no single line"),
        (SECOND.format(oldest="1.0").replace("notes_lines", "nowhere"), "nowhere"),
        (SECOND.format(oldest="1.0").replace("op.add", "nobody.add"), "NameError"),
    ],
)
def test_migrations_that_cannot_be_carried_out_refuse_the_start(
    where: Path | str, package: Path, broken: str, says: str
) -> None:
    """The database stays as it is, and where it is: without the plugin, or with a better one, all is there."""
    note(opened(where, with_notes()).store, "one")
    (package / "r0002_by.py").write_text(broken)
    with pytest.raises(StoreRefused, match=says):
        opened(where, with_notes("1.1"))
    (package / "r0002_by.py").write_text(SECOND.format(oldest="1.0"))
    assert lines(opened(where, with_notes("1.1")).store) == ["one"]
