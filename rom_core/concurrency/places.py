"""The core's own places for turns: so many at once, whatever the limiter does, or without one."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Places:
    """At most `limit` are taken at the same time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return self._taken

    def take(self) -> Callable[[], None] | None:
        """Take one; the returned function gives it back, once, however often it is called. None if all are taken."""
        with self._lock:
            if self._taken >= self.limit:
                return None
            self._taken += 1
        return _Once(self._give_back)

    def _give_back(self) -> None:
        with self._lock:
            self._taken -= 1


class _Once:
    """Calls a function the first time it is called itself."""

    __slots__ = ("_function", "_lock")

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            function, self._function = self._function, None
        if function is not None:
            function()
