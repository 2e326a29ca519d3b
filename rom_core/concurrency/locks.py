"""A lock that nobody waits for without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rom_core.errors import Overloaded


@contextmanager
def timed_lock(lock: threading.Lock, seconds: float, what: str) -> Iterator[None]:
    """Hold `lock` while the block runs. Raises Overloaded, naming `what` others do, after so many `seconds` of wait."""
    if not lock.acquire(timeout=seconds):
        raise Overloaded(f"another {what} is still under way", retry_after=seconds)
    try:
        yield
    finally:
        lock.release()
