"""Keys in settings: how API_KEYS and ADMIN_TOKEN hold one key or several by name, and CONTENT_KEY those of Fernet."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from types import MappingProxyType

OWN_NAMES = frozenset(("rom", "gate"))
"""Who decides by itself, in the history of the settings and the trail of a rollout: no person is called so."""
# As long as 128 random bits in hexadecimal, of which fewer than 8 different digits come once in ten million times.
MIN_KEY_CHARS = 32
_MIN_DISTINCT_CHARS = 8
_CONTENT_KEY_BYTES = 32
NO_PART_OF_IT = "which would be part of the secret: write the secret alone"
_QUOTES = "\"'`"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
# 256 random bits in base64, as platforms generate secrets; the `=` is padding and no name stands before it.
_GENERATED = re.compile(r"[A-Za-z0-9+/_-]{43}=")


class InvalidKeys(ValueError):
    """The text holds no usable keys; the message says which entry, never what is in it."""


def content_keys(setting: str) -> list[str]:
    """The keys of CONTENT_KEY, such as Fernet takes. Raises InvalidKeys, which says nothing of the keys themselves."""
    keys = [key.strip() for key in setting.split(",") if key.strip()]
    for number, key in enumerate(keys, start=1):
        try:
            good = len(base64.urlsafe_b64decode(key)) == _CONTENT_KEY_BYTES
        except ValueError:
            good = False
        if not good:
            raise InvalidKeys(
                f"key {number} is not {_CONTENT_KEY_BYTES} bytes in URL-safe base64: `rom conversations new-key` "
                "makes one"
            )
    return keys


def wrapping_of(text: str) -> str | None:
    """What a secret was taken with that is not part of it, as "quotes": by docker --env-file, say. None for nothing."""
    if text and text != text.strip():
        return "white space at an end"
    if len(text) > 1 and text[0] in _QUOTES and text[-1] == text[0]:
        return "quotes"
    return "`Bearer ` before it" if text[:7].lower() == "bearer " else None


def weakness_of(key: str) -> str | None:
    """Why `key` could be guessed: too short, or made of too little; None for one that was drawn at random."""
    if len(key) < MIN_KEY_CHARS:
        return f"is shorter than {MIN_KEY_CHARS} characters"
    if len(set(key)) < _MIN_DISTINCT_CHARS or (key + key).find(key, 1) < len(key):
        return "repeats itself: draw one at random, as with `openssl rand -hex 16`"
    return None


def parse_api_keys(text: str, *, strong: bool = False) -> Mapping[str, str]:
    """Keys by name, from one key, several separated by commas, or `name=key` pairs; empty text has none.

    A key without a name is called `default` when it is the only entry, else `key-` and its place. With
    `strong` a key that could be guessed is refused. Raises InvalidKeys on that, an empty entry, a name twice, a
    key twice, a key in quotes, one that cannot stand in an HTTP header, and a nameless key that holds `=` (as base64
    may): written as `name=key` it is clear where the key begins. Only 32 bytes in base64 need no name.
    """
    if not text.strip():
        return MappingProxyType({})
    entries = [entry.strip() for entry in text.split(",")]
    keys: dict[str, str] = {}
    for number, entry in enumerate(entries, start=1):
        name, equals, key = entry.partition("=")
        if not equals or _GENERATED.fullmatch(entry):
            equals = ""
            name, key = "default" if len(entries) == 1 else f"key-{number}", entry
        where = f"entry {number}"
        if equals and not key.strip("="):
            raise InvalidKeys(f"{where} ends with '=': write it as name=key")
        if not key:
            raise InvalidKeys(f"{where} is empty")
        if not _NAME.fullmatch(name):
            raise InvalidKeys(f"{where}: a name is letters, digits, '-', '_' and '.', beginning with a letter")
        # Names stand for persons: `ana` is not the second one who approves what `Ana` wants.
        if name.lower() in map(str.lower, keys):
            raise InvalidKeys(f"{where}: the name is taken by an earlier entry")
        if key in keys.values():
            raise InvalidKeys(f"{where}: the same key has an earlier entry")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidKeys(f"{where}: a key is printable ASCII without spaces")
        if (wrapping := wrapping_of(key)) is not None:
            raise InvalidKeys(f"{where}: the key has {wrapping}, which would be part of it")
        if strong and (weakness := weakness_of(key)) is not None:
            raise InvalidKeys(f"{where}: the key {weakness}")
        keys[name] = key
    return MappingProxyType(keys)
