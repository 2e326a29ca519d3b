"""The events of a run as Server-Sent Events, from the beginning or from where a reader was, while it runs and after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import structlog

from plugins.runs.journal import unpacked
from rom_core.errors import StoreUnavailable
from rom_core.http.answer import disconnect_probe
from rom_core.http.environ import HANG_UP
from rom_core.http.sse import sse_event
from rom_core.http.stream import KEEP_ALIVE

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from plugins.runs.keeping import State
    from plugins.runs.work import Work
    from rom_core.runtime import Runtime

logger = structlog.get_logger("rom.runs")
POLL_SECONDS: Final = 0.25
"""Between two looks for what another instance has journalled."""
UNREAD_SECONDS: Final = 60.0
"""For how long a reader may take nothing of what it was sent."""
_BATCHES_AT_ONCE: Final = 100
_AWAY_SECONDS: Final = 30.0
_LAST: Final = ("done", "error")


class EventStream:
    """The body of an answer: an iterator of SSE bytes with a `close` that waitress always calls.

    What is sent was journalled before, so that nothing is lost or comes twice, wherever it is read on. It ends with
    `done` or `error`, when the run is erased, and when the process drains: the reader goes on elsewhere.
    """

    def __init__(
        self, runtime: Runtime, work: Work, run_id: str, after: int, req: Any, release: Callable[[], None]
    ) -> None:
        """`after` is the number of the last event that the reader has, 0 for none; `release` is called at the end."""
        self._runtime = runtime
        self._work = work
        self._run_id = run_id
        self._after = after
        self._outcome = req.context.outcome
        self._hang_up: Callable[[], None] = req.env.get(HANG_UP) or (lambda: None)
        self._disconnected = disconnect_probe(req)
        self._release = release
        self._closing = threading.Lock()
        self._closed = False
        self._sent_at: float | None = None
        self._outcome.streaming = True
        self._heartbeat = float(runtime.current.settings.SSE_HEARTBEAT_SECONDS)
        runtime.watchdog.add(self, self._look)

    def __iter__(self) -> Iterator[bytes]:
        clock = self._runtime.clock
        for piece in self._pieces():
            self._sent_at = clock.monotonic()
            yield piece
            self._sent_at = None

    def close(self) -> None:
        """The reader has all of it, or has gone."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._runtime.watchdog.remove(self)
        self._release()
        self._outcome.finish(200)

    def _look(self) -> None:
        """A reader that takes nothing holds a thread."""
        sent_at = self._sent_at
        if sent_at is not None and self._runtime.clock.monotonic() - sent_at > UNREAD_SECONDS:
            self._hang_up()

    def _pieces(self) -> Generator[bytes, None, None]:
        clock = self._runtime.clock
        said = seen = clock.monotonic()
        with self._work.changes.watching(self._run_id) as changed:
            while not (self._closed or self._disconnected()):
                changed.clear()
                draining = self._runtime.draining.is_set()
                try:
                    state, events = self._read()
                    seen = clock.monotonic()
                except StoreUnavailable as error:
                    if clock.monotonic() - seen > _AWAY_SECONDS:
                        logger.warning("run.not_read", run_id=self._run_id, error=error.detail)
                        return
                    state, events = "running", []
                if events:
                    said = clock.monotonic()
                    yield b"".join(sse_event(data, name, f"{self._run_id}:{number}") for number, name, data in events)
                    if events[-1][1] in _LAST:
                        return
                    continue
                if state not in ("queued", "running") or draining:
                    return
                if clock.monotonic() - said >= self._heartbeat:
                    said = clock.monotonic()
                    yield KEEP_ALIVE
                clock.wait(changed, min(POLL_SECONDS, self._heartbeat))

    def _read(self) -> tuple[State | None, list[tuple[int, str, dict[str, Any]]]]:
        from plugins.runs import owning

        def read(connection: Connection) -> tuple[State | None, list[tuple[int, bytes]]]:
            return owning.events(connection, self._run_id, self._after, _BATCHES_AT_ONCE)

        state, batches = self._work.store.read(read)
        events = []
        for last, body in batches:
            batch = unpacked(self._work.sealer.open(body))
            first = last - len(batch) + 1
            events += [(first + place, name, data) for place, (name, data) in enumerate(batch)]
        events = [event for event in events if event[0] > self._after]
        if events:
            self._after = events[-1][0]
        return state, events
