"""Reading overrides from PostgreSQL without making or changing anything there."""

from __future__ import annotations

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from rom_core.store import rows
from rom_core.store.overrides import State, replay

_SECONDS = 3


def read_shared_state(url: URL) -> State:
    """The newest state, an empty one if it cannot be read."""
    options = {"connect_timeout": _SECONDS, "options": f"-c statement_timeout={_SECONDS * 1000}", **url.query}
    engine = create_engine(url, poolclass=NullPool, connect_args=options)
    try:
        with engine.connect() as connection:
            return replay(rows.read(connection))
    except (SQLAlchemyError, rows.Damaged, ImportError):
        return State()
