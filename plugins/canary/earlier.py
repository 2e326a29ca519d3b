"""A rollout of a release that kept it in canary.db: read in once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import structlog

from plugins.canary.kept import KeptRollout

DATABASE = "canary.db"
_NAMES = ("at", "by", "action", "why", "details")
logger = structlog.get_logger("rom.canary")


def take_over(folder: Path, kept: KeptRollout) -> None:
    """Read canary.db of `folder` into the store, trail and all, and give the file another name.

    Raises StoreUnavailable, and ValueError if the file is damaged: it has the other name then as well.
    """
    path = folder / DATABASE
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT value FROM state").fetchone()
            found = connection.execute(f"SELECT {', '.join(_NAMES)} FROM entries ORDER BY number")  # noqa: S608
            entries = [dict(zip(_NAMES, each, strict=True)) for each in found]
        state = None if row is None else json.loads(row[0])
    except (sqlite3.DatabaseError, TypeError, ValueError, RecursionError) as error:
        path.rename(path.with_name(f"{DATABASE}.damaged"))
        raise ValueError(f"{DATABASE} was damaged: {error}") from error
    if state is not None:
        kept.write(state, entries)
    path.rename(path.with_name(f"{DATABASE}.imported"))
    logger.warning("canary.imported", path=str(path))
