"""Checking, backing up and restoring the store in PostgreSQL, by pg_dump and pg_restore."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import URL, Connection, inspect, text

from rom_core.errors import StoreRefused
from rom_core.store import rows
from rom_core.store.address import shown
from rom_core.store.files import make_file, publish, replaced, temporary
from rom_core.store.findings import Finding, described, restored_from, whole
from rom_core.store.migrate import check_release
from rom_core.store.owners import Owner, prefixes
from rom_core.store.postgres.libpq import closed_environment
from rom_core.store.postgres.reading import connection_of
from rom_core.store.postgres.refusals import without_password
from rom_core.store.sharing import UNSEEN_SECONDS
from rom_core.store.tables import VERSIONS

_PROGRAM_SECONDS = 3600
_INSTALLED = "/usr/lib/postgresql/*/bin"


def check(url: URL, owners: Sequence[Owner]) -> list[Finding]:
    """What there is to say of the store behind `url`; nothing is made or changed."""
    where = shown(url)
    try:
        with connection_of(url) as connection:
            if not inspect(connection).has_table(VERSIONS.name):
                return [Finding(where, good=True, text="there is none; the next start makes it")]
            versions = rows.read(connection)
            findings = described(connection, owners)
    except (StoreRefused, rows.Damaged) as error:
        return [Finding(where, good=False, text=str(error))]
    number = versions[-1].number if versions else 0
    return [Finding(where, good=bool(versions), text=whole(number)), *findings]


def backup(url: URL, owners: Sequence[Owner], file: Path) -> None:  # noqa: ARG001 - of whatever owners there are
    """Write all tables of the store as they are at one moment into `file`. Raises StoreRefused."""
    with connection_of(url) as connection:
        tables = _tables(connection)
    if not tables:
        raise StoreRefused(f"there is no store at {shown(url)} to back up")
    new = temporary(file)
    try:
        make_file(new)
        names = [part for name in tables for part in ("--table", f'"{name}"')]
        _run(url, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", *names, "--file", str(new))
        publish(new, file)
    except OSError as error:
        raise StoreRefused(f"{file} cannot be written: {error.strerror}; name another file") from error
    finally:
        new.unlink(missing_ok=True)


def restore(url: URL, owners: Sequence[Owner], file: Path, now: Callable[[], float]) -> Path | None:
    """Put the backup `file` in the place of the store's tables, which no instance may use meanwhile.

    Answers where what was there is kept, None if there was nothing. Raises StoreRefused for what is no whole backup, or
    one of a newer release, and changes nothing then.
    """
    migrations = _migrations_in(url, file)
    for owner in owners:
        if owner.migrations_table in migrations:
            check_release(owner, owner.revisions, migrations[owner.migrations_table])
    with connection_of(url) as connection:
        tables = _tables(connection)
        if "rom_instances" in tables:
            seen = text("SELECT id FROM rom_instances WHERE seen > extract(epoch FROM now()) - :seconds ORDER BY id")
            running = connection.execute(seen, {"seconds": UNSEEN_SECONDS}).scalars().all()
            if running:
                raise StoreRefused(f"instances are using the store: {', '.join(running)}; stop them first")
    kept = None
    if tables:
        kept = replaced(file)
        backup(url, owners, kept)
    options = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    _run(url, "pg_restore", *options, str(file))
    with connection_of(url) as connection:
        rows.note(connection, now(), restored_from(file))
        connection.commit()
    return kept


def _migrations_in(url: URL, file: Path) -> dict[str, list[tuple[str, str]]]:
    """The rows (revision, oldest release) in a backup, by table. Raises StoreRefused if it is none of a store."""
    listed = _run(url, "pg_restore", "--list", str(file), connect=False)
    tables = re.findall(r" TABLE DATA \S+ (\S+_migrations) ", listed)
    if "rom_migrations" not in tables:
        raise StoreRefused(f"{file} is no backup of a store; `rom store backup` makes one")
    names = [part for name in tables for part in ("--table", name)]
    content = _run(url, "pg_restore", "--data-only", "--file=-", *names, str(file), connect=False)
    found: dict[str, list[tuple[str, str]]] = {}
    table = ""
    for line in content.splitlines():
        begun = re.match(r'COPY \S*?\.?"?([a-z0-9_]+)"? \(revision, oldest_release\) FROM stdin;', line)
        if begun:
            table = begun[1]
        elif line == r"\.":
            table = ""
        elif table:
            revision, _, oldest = line.partition("\t")
            found.setdefault(table, []).append((revision, oldest))
    return found


def _tables(connection: Connection) -> list[str]:
    """The tables and views of the core and of all plugins that ever kept some; not what else there may be."""
    inspector = inspect(connection)
    names = [*inspector.get_table_names(), *inspector.get_view_names()]
    return [name for name, prefix in prefixes(names).items() if prefix]


def _run(url: URL, program: str, *arguments: str, connect: bool = True) -> str:
    """What the program prints. The password is in its environment, where no list of processes shows it."""
    bare = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    where = ("--dbname", bare.render_as_string(hide_password=False)) if connect else ()
    environ = closed_environment(url, os.environ) | {"PGCONNECT_TIMEOUT": "10"}
    try:
        done = subprocess.run(  # noqa: S603 - the programs of PostgreSQL
            [_program(program), *where, *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=_PROGRAM_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StoreRefused(f"{program} has not ended after {_PROGRAM_SECONDS} s") from None
    if done.returncode != 0:
        said = without_password(" ".join(done.stderr.split()), url)[:500]
        raise StoreRefused(f"{program} failed: {said}")
    return done.stdout


def _program(name: str) -> str:
    """The newest there is: an old pg_dump refuses a newer server."""
    folder = Path(_INSTALLED)
    installed = sorted(Path("/").glob(str(folder.relative_to("/") / name)), key=_release)
    found = shutil.which(name) or (str(installed[-1]) if installed else None)
    if found is None:
        raise StoreRefused(f"{name} is not installed; it comes with the client programs of PostgreSQL")
    return found


def _release(path: Path) -> int:
    number = path.parents[1].name
    return int(number) if number.isdigit() else 0
