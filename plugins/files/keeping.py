"""Where files are kept: in the store, or in memory where there is none. Both hold at most so many bytes together."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from rom_core.errors import FilesFull
from rom_core.files import KeptFile
from rom_core.plugin.protocols import PluginStore
from rom_core.store.sealing import KeyMissing, Sealer

if TYPE_CHECKING:
    from sqlalchemy import Connection


logger = structlog.get_logger("rom.files")
MAX_MEMORY_BYTES: Final = 64 * 1024 * 1024
# Nobody can say when a file will be deleted.
_AGAIN_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Description:
    """A file without its content. `owner` names the key; `facts` are what an answer tells besides; `expires` is in
    seconds since the epoch."""

    id: str
    owner: str
    name: str
    media_type: str
    bytes: int
    facts: Mapping[str, Any]
    expires: float


class Keeper(Protocol):
    """Keeps files. Of a file that has expired, or is another owner's, it knows nothing. Raises StoreUnavailable."""

    def keep(self, file: Description, data: bytes, now: float, max_bytes: int) -> None:
        """Keep it. Raises FilesFull if all files together would have more than `max_bytes`."""

    def find(self, file_id: str, owner: str, now: float) -> Description | None:
        """What is known of it."""

    def read(self, file_id: str, owner: str, now: float) -> KeptFile | None:
        """The file itself."""

    def remove(self, file_id: str, owner: str, now: float) -> bool:
        """Erase it; whether it was there."""

    def erase_expired(self, now: float) -> int:
        """Erase what nobody may read any more; how many there were."""


class InMemory:
    """Files of this process, which end with it."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[Description, bytes]] = {}
        self._lock = threading.Lock()

    def keep(self, file: Description, data: bytes, now: float, max_bytes: int) -> None:
        """As Keeper says, and never more than MAX_MEMORY_BYTES."""
        self.erase_expired(now)
        with self._lock:
            taken = sum(one.bytes for one, _ in self._files.values())
            if taken + file.bytes > min(max_bytes, MAX_MEMORY_BYTES):
                raise full()
            self._files[file.id] = file, data

    def find(self, file_id: str, owner: str, now: float) -> Description | None:
        """As Keeper says."""
        found = self._found(file_id, owner, now)
        return None if found is None else found[0]

    def read(self, file_id: str, owner: str, now: float) -> KeptFile | None:
        """As Keeper says."""
        found = self._found(file_id, owner, now)
        return None if found is None else KeptFile(found[0].name, found[0].media_type, found[1])

    def remove(self, file_id: str, owner: str, now: float) -> bool:
        """As Keeper says."""
        if self._found(file_id, owner, now) is None:
            return False
        with self._lock:
            return self._files.pop(file_id, None) is not None

    def erase_expired(self, now: float) -> int:
        """As Keeper says."""
        with self._lock:
            expired = [file.id for file, _ in self._files.values() if file.expires <= now]
            for file_id in expired:
                del self._files[file_id]
        return len(expired)

    def _found(self, file_id: str, owner: str, now: float) -> tuple[Description, bytes] | None:
        found = self._files.get(file_id)
        return found if found is not None and found[0].owner == owner and found[0].expires > now else None


class InStore:
    """Files of all processes that use this store, sealed with the keys of CONTENT_KEY.

    One that no key opens any more is as good as expired: it is logged, and erased in its time.
    """

    def __init__(self, store: PluginStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    def keep(self, file: Description, data: bytes, now: float, max_bytes: int) -> None:
        """As Keeper says."""
        from sqlalchemy import delete, func, insert, select

        from plugins.files.tables import KEPT

        about = {"name": file.name, "media_type": file.media_type, "facts": dict(file.facts)}
        row = {
            "id": file.id,
            "owner": file.owner,
            "bytes": file.bytes,
            "about": self._sealer.seal(json.dumps(about).encode()),
            "expires": file.expires,
            "data": self._sealer.seal(data),
        }

        def write(connection: Connection) -> bool:
            connection.execute(delete(KEPT).where(KEPT.c.expires <= now))
            taken = connection.execute(select(func.coalesce(func.sum(KEPT.c.bytes), 0))).scalar_one()
            if taken + file.bytes > max_bytes:
                return False
            connection.execute(insert(KEPT).values(row))
            return True

        if not self._store.write(write):
            raise full()

    def find(self, file_id: str, owner: str, now: float) -> Description | None:
        """As Keeper says."""
        from plugins.files.tables import KEPT

        row = self._row([KEPT.c.bytes, KEPT.c.about, KEPT.c.expires], file_id, owner, now)
        about = None if row is None else self._opened(file_id, row.about)
        if about is None:
            return None
        known = json.loads(about)
        return Description(file_id, owner, known["name"], known["media_type"], row.bytes, known["facts"], row.expires)

    def read(self, file_id: str, owner: str, now: float) -> KeptFile | None:
        """As Keeper says."""
        from plugins.files.tables import KEPT

        row = self._row([KEPT.c.about, KEPT.c.data], file_id, owner, now)
        if row is None:
            return None
        about, data = self._opened(file_id, row.about), self._opened(file_id, row.data)
        if about is None or data is None:
            return None
        known = json.loads(about)
        return KeptFile(known["name"], known["media_type"], data)

    def remove(self, file_id: str, owner: str, now: float) -> bool:
        """As Keeper says."""
        from sqlalchemy import delete

        from plugins.files.tables import KEPT

        wanted = (KEPT.c.id == file_id) & (KEPT.c.owner == owner) & (KEPT.c.expires > now)
        return bool(self._store.write(lambda connection: connection.execute(delete(KEPT).where(wanted)).rowcount))

    def erase_expired(self, now: float) -> int:
        """As Keeper says."""
        from sqlalchemy import delete, func, select

        from plugins.files.tables import KEPT

        expired = KEPT.c.expires <= now
        count = select(func.count()).select_from(KEPT).where(expired)
        # Mostly there are none, and to write is dearer than to look.
        if not self._store.read(lambda connection: connection.execute(count).scalar_one()):
            return 0
        return self._store.write(lambda connection: connection.execute(delete(KEPT).where(expired)).rowcount)

    def _opened(self, file_id: str, sealed: bytes) -> bytes | None:
        try:
            return self._sealer.open(bytes(sealed))
        except KeyMissing as error:
            logger.error("files.key_missing", file_id=file_id, reason=error.detail)
            return None

    def _row(self, columns: list[Any], file_id: str, owner: str, now: float) -> Any:
        from sqlalchemy import select

        from plugins.files.tables import KEPT

        wanted = (KEPT.c.id == file_id) & (KEPT.c.owner == owner) & (KEPT.c.expires > now)
        return self._store.read(lambda connection: connection.execute(select(*columns).where(wanted)).first())


def full() -> FilesFull:
    """There is no room for one more."""
    return FilesFull("no room for more files; send it with the message, or delete some", retry_after=_AGAIN_SECONDS)
