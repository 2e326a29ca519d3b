"""Text that can be written: what models, tools and people send may hold half a character."""

from __future__ import annotations


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
