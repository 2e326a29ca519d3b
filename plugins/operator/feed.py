"""One thread that measures once a second, and those who read along: figures are made once, whoever reads."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from rom_core.concurrency.places import Places
from rom_core.http.sse import sse_event

MAX_READERS = 8
PERIOD_SECONDS = 1.0
# What changes at the same moment is one event.
SETTLE_SECONDS = 0.05
HEARTBEAT = b": still here\n\n"
HEARTBEAT_SECONDS = 5.0
_STOP_SECONDS = 2.0
# Nobody tells the readers that the server ends: so often they look.
_ENDED_SECONDS = 0.1
logger = structlog.get_logger("rom.operator")


class Feed:
    """Measures once a second, and at once when told to; at most MAX_READERS read along.

    `sample` is called at every look, `figures` only while somebody reads.
    """

    def __init__(self, sample: Callable[[], None], figures: Callable[[], dict[str, Any]]) -> None:
        self._sample = sample
        self._figures = figures
        self._places = Places(MAX_READERS)
        self._news = threading.Condition()
        self._newest: tuple[int, bytes] = (0, b"")
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def readers(self) -> int:
        """How many read along."""
        return self._places.taken

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="rom-operator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop it, and let the readers go."""
        self._stopped.set()
        self._wake.set()
        with self._news:
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=_STOP_SECONDS)

    def look_now(self) -> None:
        """Something has changed that nobody should wait a second for. Never blocks."""
        self._wake.set()

    def look(self) -> None:
        """Measure, and tell the readers."""
        self._sample()
        if not self._places.taken:
            return
        event = sse_event(self._figures(), "figures")
        with self._news:
            self._newest = (self._newest[0] + 1, event)
            self._news.notify_all()

    def take(self) -> Callable[[], None] | None:
        """A place for a reader, given back by the returned function; None if all are taken."""
        place = self._places.take()
        if place is not None:
            self.look_now()
        return place

    def after(self, seen: int, seconds: float, ended: Callable[[], object]) -> tuple[int, bytes]:
        """The newest event and its number, as soon as it is newer than `seen`, or soon after `ended` has become true.

        As it is after `seconds` at most.
        """
        with self._news:
            for _ in range(math.ceil(seconds / _ENDED_SECONDS)):
                if self._news.wait_for(
                    lambda: self._newest[0] > seen or self._stopped.is_set() or ended(), _ENDED_SECONDS
                ):
                    break
            return self._newest

    @property
    def seen(self) -> int:
        """The number of the newest event."""
        return self._newest[0]

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._wake.wait(PERIOD_SECONDS):
                self._stopped.wait(SETTLE_SECONDS)
                self._wake.clear()
            try:
                self.look()
            except Exception:
                logger.exception("operator.look_failed")


class Reading:
    """The body of one answer: an iterator of Server-Sent Events with a `close` that the server always calls.

    `hour` gives the points so far, `points` those that began after a time, `ended` why the answer is to end, "" while
    it goes on. A reader that is slow misses figures and no point.
    """

    def __init__(
        self,
        feed: Feed,
        release: Callable[[], None],
        hour: Callable[[], Any],
        points: Callable[[int], list[dict[str, Any]]],
        ended: Callable[[], str],
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._feed = feed
        self._release = release
        self._hour = hour
        self._points = points
        self._ended = ended
        self._heartbeat = heartbeat

    def __iter__(self) -> Iterator[bytes]:
        hour = self._hour()
        last = hour["at"][-1] if hour["at"] else 0
        seen = self._feed.seen
        yield sse_event(hour, "hour")
        while True:
            before, (seen, event) = seen, self._feed.after(seen, self._heartbeat, self._ended)
            if reason := self._ended():
                yield sse_event({"reason": reason}, "end")
                return
            if seen == before:
                yield HEARTBEAT
                continue
            points = self._points(last)
            last = points[-1]["at"] if points else last
            yield b"".join(sse_event(point, "point") for point in points) + event

    def close(self) -> None:
        """The answer is over, or its reader has gone."""
        self._release()
