"""A file that is kept for later requests, as a plugin hands it to the core."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptFile:
    """An answer to `rom_file`: the file as it was uploaded; `media_type` is "" where the client said none."""

    name: str
    media_type: str
    data: bytes
