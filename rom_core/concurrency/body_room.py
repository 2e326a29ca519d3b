"""Room for the bodies of requests: what is here of all of them together is bounded, whoever sends it."""

from __future__ import annotations

import threading
from typing import Final

LIMIT_BYTES: Final = 256 * 1024 * 1024
# So much is kept for bodies that are as small as a message, so that files do not keep people from asking.
RESERVED_BYTES: Final = 32 * 1024 * 1024
SMALL_BYTES: Final = 64 * 1024


class BodyRoom:
    """Counts bytes; for all threads."""

    def __init__(self, limit: int = LIMIT_BYTES, reserved: int = RESERVED_BYTES) -> None:
        self._limit = limit
        self._reserved = reserved
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """How many are held now."""
        return self._bytes

    def share(self) -> Share:
        """The part of one request; nothing yet."""
        return Share(self)

    def has_room(self, size: int) -> bool:
        """Whether a body of that size would find room now."""
        return self._bytes + size <= self._limit_of(size)

    def _change(self, before: int, after: int) -> bool:
        with self._lock:
            if after > before and self._bytes - before + after > self._limit_of(after):
                return False
            self._bytes += after - before
        return True

    def _limit_of(self, size: int) -> int:
        return self._limit if size <= SMALL_BYTES else self._limit - self._reserved


class Share:
    """What one request holds of the room, until it gives it back."""

    __slots__ = ("_bytes", "_room")

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._bytes = 0

    def grow_to(self, size: int) -> bool:
        """Hold so many bytes from now on; False, and nothing changes, if there is no room for them."""
        if size > self._bytes:
            if not self._room._change(self._bytes, size):
                return False
            self._bytes = size
        return True

    def give_back(self) -> None:
        """Hold nothing; as often as one likes."""
        self._room._change(self._bytes, 0)
        self._bytes = 0
