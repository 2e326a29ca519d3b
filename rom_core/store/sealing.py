"""Content encrypted at rest: titles, messages and files, with the keys of CONTENT_KEY.

What is kept begins with a byte that says how: 0 for content as it is, 1 for a Fernet token behind eight bytes that name
its key, so that keys can come and go (`rom conversations rekey`) and what no key opens is found without opening it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from rom_core.errors import InternalError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

OPEN: Final = b"\x00"
"""The first byte of content that is kept as it is."""
_SEALED: Final = b"\x01"
_KEY_ID_BYTES: Final = 8
MARK_BYTES: Final = 1 + _KEY_ID_BYTES
"""How much of what is kept says how it is kept."""


class KeyMissing(InternalError):
    """Content was encrypted with a key that CONTENT_KEY no longer names."""


class Sealer:
    """Seals with the first key, opens with the one that sealed; without keys content is kept as it is."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """`keys` are those of `settings.keys.content_keys`."""
        self._keys = tuple(keys)

    def seal(self, content: bytes) -> bytes:
        """What is kept in its place."""
        if not self._keys:
            return OPEN + content
        mark, fernet = next(iter(self._fernets.items()))
        return mark + fernet.encrypt(content)

    def open(self, kept: bytes) -> bytes:
        """The content. Raises KeyMissing, also for what was changed."""
        if kept[:1] == OPEN:
            return kept[1:]
        from cryptography.fernet import InvalidToken

        fernet = self._fernets.get(kept[:MARK_BYTES])
        try:
            if fernet is not None:
                return fernet.decrypt(kept[MARK_BYTES:])
        except InvalidToken:
            pass
        raise KeyMissing("content was encrypted with a key that CONTENT_KEY does not hold, or was changed")

    def anew(self, kept: bytes) -> bytes:
        """What was sealed before, as it is sealed today. Raises KeyMissing."""
        return self.seal(self.open(kept))

    def opens(self, mark: bytes) -> bool:
        """Whether what begins with these MARK_BYTES bytes can be opened."""
        return mark[:1] == OPEN or mark[:MARK_BYTES] in self._fernets

    def is_current(self, mark: bytes) -> bool:
        """Whether what begins with these bytes would be sealed the same way today."""
        return mark[:1] == OPEN if not self._keys else mark[:MARK_BYTES] == next(iter(self._fernets))

    @cached_property
    def _fernets(self) -> dict[bytes, Fernet]:
        return {_SEALED + hashlib.sha256(key.encode()).digest()[:_KEY_ID_BYTES]: _fernet(key) for key in self._keys}


def _fernet(key: str) -> Fernet:
    from cryptography.fernet import Fernet

    return Fernet(key)
