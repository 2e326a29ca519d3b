"""A look into PostgreSQL that makes and changes nothing there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from rom_core.errors import StoreRefused
from rom_core.store import rows
from rom_core.store.address import shown
from rom_core.store.causes import cause_of
from rom_core.store.overrides import State, replay
from rom_core.store.postgres.libpq import closed_options
from rom_core.store.postgres.refusals import refusal_of
from rom_core.store.tables import VERSIONS

_CONNECT_SECONDS = 3


@contextmanager
def connection_of(url: URL) -> Iterator[Connection]:
    """A connection of its own. Raises StoreRefused, also for what goes wrong in the block."""
    options = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_SECONDS}
    try:
        engine = create_engine(url, poolclass=NullPool, connect_args=options | closed_options(url))
        with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, ImportError) as error:
        sentence = refusal_of(cause_of(error), url).sentence
        raise StoreRefused(f"the store at {shown(url)} (STATE_URL): {sentence}") from None


def read_shared_state(url: URL) -> State:
    """The newest state of the overrides, an empty one where there is no store yet. Raises StoreRefused."""
    with connection_of(url) as connection:
        if not inspect(connection).has_table(VERSIONS.name):
            return State()
        try:
            return replay(rows.read(connection))
        except rows.Damaged as error:
            raise StoreRefused(f"the store at {shown(url)} (STATE_URL): {error}") from None
