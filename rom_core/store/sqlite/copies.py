"""The good copy: what stands in for a damaged database, a database itself, with the tables that are copied."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rom_core.store.files import TEMPORARY_SUFFIX, beside, make_file, publish, temporary
from rom_core.store.owners import prefixes
from rom_core.store.sqlite.connections import connect
from rom_core.store.sqlite.files import COPY_SUFFIX

MARK = 0x524F4D46  # "ROMF", PRAGMA application_id


def mark() -> str:
    """The statement by which a database becomes ours."""
    return f"PRAGMA application_id = {MARK}"


def renew(path: Path, busy_seconds: Callable[[], float]) -> None:
    """Write the copy of the database `path` anew, nobody else doing so meanwhile.

    It holds the tables of the owners that have a seal, installed or not.

    What an interruption has left of one is removed. Raises sqlite3.Error or OSError.
    """
    new = temporary(path)
    with closing(connect(path, busy_seconds=busy_seconds())) as locking:
        locking.execute("BEGIN IMMEDIATE")
        for leftover in path.parent.glob(f"{path.name}{TEMPORARY_SUFFIX}*"):
            leftover.unlink(missing_ok=True)
        made = locking.execute("SELECT name, type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        rows = made.fetchall()
        copied = {prefix for (prefix,) in locking.execute("SELECT owner FROM rom_seals")}
        owner = prefixes(row[2] for row in rows)
        ours = [row for row in rows if owner[row[2]] in copied]
        make_file(new)
        with closing(connect(new)) as target:
            # Written in one go and renamed when complete: it needs no journal of its own.
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            target.execute("ATTACH ? AS source", (f"file:{path.absolute()}?mode=ro",))
            target.execute("BEGIN")
            for name, kind, _, sql in ours:
                target.execute(sql)
                if kind == "table":
                    target.execute(f'INSERT INTO main."{name}" SELECT * FROM source."{name}"')  # noqa: S608
            target.execute("COMMIT")
            target.execute("DETACH source")
            target.execute(mark())
        publish(new, beside(path, COPY_SUFFIX))
        locking.execute("ROLLBACK")
