"""Whether a server uses the store in a folder: each holds a shared lock on the folder while it runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rom_core.errors import StoreRefused


def share(folder: Path) -> int | None:
    """Say that this process uses it, until the descriptor is closed; None where the file system has no locks."""
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Nobody else uses it in the block, nor begins to. Raises StoreRefused if somebody does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreRefused(f"a server is using the store in {folder}; stop it first") from None
        yield
    finally:
        os.close(descriptor)
