"""Writing files that nobody ever sees half-written: private, durable, and given their names when complete."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

TEMPORARY_SUFFIX = ".new-"


def beside(path: Path, suffix: str) -> Path:
    """The file of that suffix."""
    return path.with_name(path.name + suffix)


def temporary(path: Path) -> Path:
    """Where this process writes what will take the place of `path`."""
    return beside(path, f"{TEMPORARY_SUFFIX}{os.getpid()}")


def replaced(path: Path) -> Path:
    """Where what a restore replaces now is kept, beside `path`."""
    return beside(path, f".replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")


def make_file(path: Path) -> None:
    """Make an empty file if there is none, for this user alone; SQLite's journals take its rights. Raises OSError."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def publish(temporary: Path, path: Path) -> None:
    """Give a finished file its name, so that no crash leaves half of it there."""
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
