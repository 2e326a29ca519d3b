"""Text that can be written and shown: what models, tools and people send may hold half a character, or control ones."""

from __future__ import annotations

import re

# What a terminal, or whoever reads lines, obeys: C0 but tab and newline, DEL and C1; what turns the order of letters;
# Unicode's line ends; halves of a character.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)


def clean(text: str) -> str:
    """`text` without what a terminal obeys; tabs and line ends stay."""
    return _OBEYED.sub("", text)


def escaped(text: str) -> str:
    """`text` with what `clean` takes away as \\uXXXX, an escape of JSON too; tabs and line ends stay."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_encodable(text: str) -> bool:
    """Whether `text` can be written as UTF-8: it holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encodable(text: str) -> str:
    """`text` that UTF-8 can carry: surrogate pairs become the character they stand for, lone ones U+FFFD."""
    return text if is_encodable(text) else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
