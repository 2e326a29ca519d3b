"""The store of overrides: their history, kept in a Store."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from rom_core.errors import StoreRefused, StoreUnavailable
from rom_core.store import rows
from rom_core.store.base import Store
from rom_core.store.overrides import State, StoreConflict, Trouble, Version, replay
from rom_core.store.sharing import VERSIONS_TOPIC, lock, notify
from rom_core.store.tables import VERSIONS


class StoredOverrides:
    """An OverrideStore in `store`, which has just been opened. Raises StoreRefused if they cannot be read."""

    def __init__(self, store: Store) -> None:
        self.store = store
        try:
            self._at_start: State | None = self._read()
        except StoreUnavailable as error:
            store.close()
            raise StoreRefused(f"the overrides cannot be read at start: {error.detail}") from None

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the store."""
        return self.store.trouble

    def load(self) -> State:
        """The newest state; the first time the one that was read when the store was opened."""
        # Lost at that moment the store must not look like one without overrides.
        state, self._at_start = self._at_start, None
        return state or self._read()

    def state_at(self, version: int) -> State | None:
        """The state at `version`."""
        versions = self.store.read(self.store.versions)
        before = [each for each in versions if each.number <= version]
        return replay(before) if before and before[-1].number == version else None

    def append(self, after: int, versions: Sequence[Version]) -> None:
        """Commit, or raise StoreConflict."""

        def commit(connection: Connection) -> State:
            lock(connection, VERSIONS)
            state = replay(self.store.versions(connection))
            if state.version != after:
                raise StoreConflict(f"the newest version is {state.version}, not {after}")
            rows.add(connection, versions)
            notify(connection, VERSIONS_TOPIC, versions[-1].number)
            return replay(versions, state)

        self._at_start = None
        try:
            self.store.known = self.store.write(commit, copied=True)
        except StoreUnavailable as error:
            if _is_taken(error.__cause__) and len({each.number for each in versions}) == len(versions):
                raise StoreConflict(f"another instance has made version {after + 1}") from None
            raise

    def history(self, limit: int, before: int | None = None) -> list[Version]:
        """Newest first."""
        found = self.store.read(self.store.versions)
        versions = [each for each in found if before is None or each.number < before]
        return versions[: -limit - 1 : -1] if limit > 0 else []

    def _read(self) -> State:
        state = self.store.read(lambda connection: replay(self.store.versions(connection)))
        self.store.known = state
        return state


def _is_taken(error: BaseException | None) -> bool:
    """Whether PostgreSQL says that there is a version of that number."""
    unique = getattr(error, "sqlstate", None) == "23505"
    return unique and getattr(getattr(error, "diag", None), "table_name", None) == VERSIONS.name
