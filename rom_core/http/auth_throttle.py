"""How often somebody may be wrong about a key or token before nothing of theirs is compared any more."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rom_core.concurrency.clock import Clock
from rom_core.http.addresses import network

WINDOW_SECONDS = 60.0
MAX_WRONG = 10
MAX_WRONG_IN_ALL = 300
_MAX_RIGHT = 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Throttled:
    """Not compared. `retry_after` is in seconds; `first` is true once for each address and window, for the log."""

    retry_after: float
    first: bool


class AuthThrottle:
    """Wrong guesses of the last minute: 10 of one address, 300 of all together, then comparing pauses.

    IPv6 addresses count by /64. While there are too many in all, an address from which something right has come before
    is still heard, so that a flood of guesses from everywhere does not lock those out who work here. What is remembered
    is bounded by these figures: nothing is kept of what was not compared.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._all: deque[tuple[float, str]] = deque()
        self._wrong: dict[str, deque[float]] = {}
        self._right: OrderedDict[str, None] = OrderedDict()
        # When a network, or "" for all together, was last reported as throttled.
        self._reported: dict[str, float] = {}

    def compare(self, address: str, find: Callable[[], T | None]) -> T | Throttled | None:
        """What `find` finds, None counting as a wrong guess; or Throttled, without calling it.

        `find` runs under a lock, so that no two guesses slip through at once; it must not wait for anything.
        """
        who = network(address)
        with self._lock:
            now = self._clock.monotonic()
            self._forget(now)
            throttled = self._throttled(who, now)
            if throttled is not None:
                return throttled
            found = find()
            if found is None:
                self._all.append((now, who))
                self._wrong.setdefault(who, deque()).append(now)
            else:
                self._right[who] = None
                self._right.move_to_end(who)
                if len(self._right) > _MAX_RIGHT:
                    self._right.popitem(last=False)
            return found

    def _forget(self, now: float) -> None:
        while self._all and self._all[0][0] <= now - WINDOW_SECONDS:
            _, who = self._all.popleft()
            times = self._wrong[who]
            times.popleft()
            if not times:
                del self._wrong[who]
                self._reported.pop(who, None)

    def _throttled(self, who: str, now: float) -> Throttled | None:
        times = self._wrong.get(who)
        if times is not None and len(times) >= MAX_WRONG:
            return self._report(who, times[0], now)
        if len(self._all) >= MAX_WRONG_IN_ALL and who not in self._right:
            return self._report("", self._all[-MAX_WRONG_IN_ALL][0], now)
        return None

    def _report(self, scope: str, oldest: float, now: float) -> Throttled:
        last = self._reported.get(scope)
        first = last is None or last <= now - WINDOW_SECONDS
        if first:
            self._reported[scope] = now
        return Throttled(oldest + WINDOW_SECONDS - now, first)
