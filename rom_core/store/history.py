"""The store of overrides: their history, kept in a Store."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from rom_core.store import rows
from rom_core.store.base import Store
from rom_core.store.overrides import State, StoreConflict, Trouble, Version, replay
from rom_core.store.sharing import VERSIONS_TOPIC, notify
from rom_core.store.sqlite.store import SqliteStore


class StoredOverrides:
    """An OverrideStore."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the store."""
        return self._store.trouble

    def load(self) -> State:
        """The newest state."""
        state = self._store.read(lambda connection: replay(self._versions(connection)))
        self._store.known = state
        return state

    def state_at(self, version: int) -> State | None:
        """The state at `version`."""
        versions = self._store.read(self._versions)
        before = [each for each in versions if each.number <= version]
        return replay(before) if before and before[-1].number == version else None

    def append(self, after: int, versions: Sequence[Version]) -> None:
        """Commit, or raise StoreConflict."""

        def commit(connection: Connection) -> State:
            state = replay(self._versions(connection))
            if state.version != after:
                raise StoreConflict(f"the newest version is {state.version}, not {after}")
            try:
                rows.add(connection, versions)
            except IntegrityError as error:
                # In SQLite nobody else writes meanwhile.
                if self._store.kind == "sqlite":
                    raise
                raise StoreConflict("another instance has appended a version at the same moment") from error
            notify(connection, VERSIONS_TOPIC, versions[-1].number)
            return replay(versions, state)

        self._store.known = self._store.write(commit, copied=True)

    def history(self, limit: int, before: int | None = None) -> list[Version]:
        """Newest first."""
        found = self._store.read(self._versions)
        versions = [each for each in found if before is None or each.number < before]
        return versions[: -limit - 1 : -1] if limit > 0 else []

    def _versions(self, connection: Connection) -> list[Version]:
        if isinstance(self._store, SqliteStore):
            return self._store.check_settings(connection)
        return rows.read(connection)
