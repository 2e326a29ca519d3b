"""Files: one that is kept for later requests, as a plugin hands it to the core; and what a log may say of any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_MEDIA = ("document", "image", "video", "audio")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """An answer to `rom_file`: the file as it was uploaded; `media_type` is "" where the client said none."""

    name: str
    media_type: str
    data: bytes


def without_files(content: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Content blocks of Converse for a log: of a file its format and size, neither its name nor what is in it.

    >>> without_files([{"text": "a"}, {"image": {"format": "png", "source": {"bytes": b"123"}}}])
    [{'text': 'a'}, {'image': {'format': 'png', 'bytes': 3}}]
    """
    return [{kind: _without_file(kind, value) for kind, value in block.items()} for block in content]


def _without_file(kind: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if kind in _MEDIA:
        source = value.get("source")
        data = source.get("bytes") if isinstance(source, Mapping) else None
        return {"format": str(value.get("format", "")), "bytes": len(data) if isinstance(data, bytes) else 0}
    if kind == "toolResult":
        return {**value, "content": without_files(value.get("content", ()))}
    return value
