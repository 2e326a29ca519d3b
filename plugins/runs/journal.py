"""The events of runs on their way into the store: gathered for a moment, kept in one transaction, then readable.

A `Recorder` gathers the events of one run, in order; the `Journal` has one thread that keeps what all of them have
gathered, and wakes those who read. What is not kept yet is not readable, so that no reader has seen what an instance
took with it when it died.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from rom_core.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from plugins.runs.keeping import Hold, Progress, State
    from rom_core.concurrency.clock import Clock
    from rom_core.plugin.protocols import PluginStore
    from rom_core.store.sealing import Sealer

logger = structlog.get_logger("rom.runs")
BATCH_SECONDS: Final = 0.05
"""How long events are gathered: with the transaction they are readable within 100 ms."""
AGAIN_SECONDS: Final = 0.5
"""Until the next try when the store was away."""
MAX_UNKEPT_CHARS: Final = 4 * 1024 * 1024
"""What a run may be ahead of the store before it waits for it."""
_EVENT_COSTS: Final = 400
_STOP_SECONDS: Final = 5.0
Event = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be kept at once: `last` is the number of its last event, `end` what becomes of the run with it."""

    events: tuple[Event, ...]
    last: int
    end: End | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How a run ends: `body` is its answer or its error, as JSON has it."""

    state: State
    body: dict[str, Any]


class Recorder:
    """The events of one run, from whoever says something in it; pieces of text that nobody has kept yet are joined."""

    def __init__(self, hold: Hold, last: int, progress: Callable[[], Progress], wake: Callable[[], None]) -> None:
        """`last` is the number of the newest event in the store; `wake` tells that there is something to be kept."""
        self.hold = hold
        self.progress = progress
        self.lost = False
        self.settled = threading.Event()
        """Set once the end is kept, or nothing more is to be."""
        self._wake = wake
        self._lock = threading.Lock()
        self._last = last
        self._events: list[Event] = []
        self._size = 0
        self._end: End | None = None
        self._taken: Batch | None = None
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether there is so much to be kept that whoever says more has to wait."""
        return self._size > MAX_UNKEPT_CHARS

    def add(self, name: str, data: dict[str, Any]) -> None:
        """One more event; none any more once the run has ended here."""
        with self._lock:
            if self._closed:
                return
            before = self._events[-1] if self._events else None
            if name == "delta" and before is not None and before[0] == "delta":
                self._events[-1] = ("delta", {"text": before[1]["text"] + data["text"]})
            else:
                self._events.append((name, data))
                self._size += _EVENT_COSTS
            self._size += len(data.get("text", ""))
        self._wake()

    def end(self, name: str, data: dict[str, Any], end: End) -> None:
        """The last event, and what becomes of the run with it."""
        with self._lock:
            if self._closed:
                return
            self._events.append((name, data))
            self._end, self._closed = end, True
        self._wake()

    def close(self) -> None:
        """Keep nothing more: the run goes on elsewhere."""
        with self._lock:
            self._closed = True
            self._events.clear()
            self._taken = None
        self.settled.set()

    def take(self) -> Batch | None:
        """What is to be kept now, the same again until `kept` was called; None if there is nothing."""
        with self._lock:
            if self._taken is None and self._events:
                self._taken = Batch(tuple(self._events), self._last + len(self._events), self._end)
                self._events, self._size = [], 0
            return self._taken

    def kept(self, *, held: bool) -> None:
        """What was taken is in the store; `held`: else it is not, since the run is another's by now."""
        with self._lock:
            taken, self._taken = self._taken, None
            self._last = self._last if taken is None else taken.last
            left = bool(self._events)
        if left:
            # What was said while the batch before could not be kept.
            self._wake()
        if not held:
            self.lost = True
            self.close()
        elif taken is not None and taken.end is not None:
            self.settled.set()


class Changes:
    """Wakes those who wait for more events of a run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, list[threading.Event]] = defaultdict(list)

    @contextmanager
    def watching(self, run_id: str) -> Iterator[threading.Event]:
        """Within the block the event is set whenever there may be more."""
        event = threading.Event()
        with self._lock:
            self._waiting[run_id].append(event)
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[run_id].remove(event)
                if not self._waiting[run_id]:
                    del self._waiting[run_id]

    def tell(self, run_id: str) -> None:
        """There may be more."""
        with self._lock:
            events = list(self._waiting.get(run_id, ()))
        for event in events:
            event.set()


class Journal:
    """Keeps what the recorders of this process have gathered."""

    def __init__(self, store: Callable[[], PluginStore], sealer: Sealer, clock: Clock, changes: Changes) -> None:
        """`store` raises StoreUnavailable where there is none."""
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._changes = changes
        self._lock = threading.Lock()
        self._recorders: list[Recorder] = []
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="rom-runs-journal", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Keep what there is, and end the thread."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(_STOP_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether anything is kept any more."""
        return self._thread.is_alive()

    def open(self, hold: Hold, last: int, progress: Callable[[], Progress]) -> Recorder:
        """A recorder for a run that begins; `close` it when it has ended."""
        recorder = Recorder(hold, last, progress, self._wake.set)
        with self._lock:
            self._recorders.append(recorder)
        return recorder

    def close(self, recorder: Recorder) -> None:
        """Keep nothing more of it."""
        recorder.close()
        with self._lock:
            self._recorders.remove(recorder)

    @property
    def due(self) -> bool:
        """Whether there is something to be kept."""
        return self._wake.is_set()

    def round(self) -> bool:
        """Keep what has been gathered; False if it is to be tried again after a while. `due` says what is left."""
        self._wake.clear()
        try:
            done = self.flush()
        except Exception:
            logger.exception("runs.journal_failed")
            done = False
        if not done:
            self._wake.set()
        return done

    def flush(self) -> bool:
        """Keep what has been gathered, in one transaction; False if the store was away, and it is to be tried again."""
        from plugins.runs import keeping
        from plugins.runs.keeping import Ending

        with self._lock:
            recorders = list(self._recorders)
        taken = [(recorder, batch) for recorder in recorders if (batch := recorder.take()) is not None]
        if not taken:
            return True
        seal, now = self._sealer.seal, self._clock.time()
        sealed = [(recorder.hold, batch, seal(packed(batch.events)), recorder.progress()) for recorder, batch in taken]
        bodies = [None if batch.end is None else seal(encoded(batch.end.body)) for _, batch in taken]

        def write(connection: Connection) -> list[bool]:
            held = []
            for (hold, batch, events, progress), body in zip(sealed, bodies, strict=True):
                if batch.end is None or body is None:
                    held.append(keeping.journal(connection, hold, batch.last, events, progress))
                else:
                    ending = Ending(batch.end.state, events, body)
                    held.append(keeping.finish(connection, hold, batch.last, progress, ending, now))
            return held

        try:
            kept = self._store().write(write)
        except StoreUnavailable as error:
            if not self._failing:
                logger.warning("runs.not_journalled", runs=len(taken), error=error.detail)
            self._failing = True
            return False
        self._failing = False
        for (recorder, _), held in zip(taken, kept, strict=True):
            recorder.kept(held=held)
            self._changes.tell(recorder.hold.run_id)
        return True

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait()
            self._stopped.wait(BATCH_SECONDS)
            if not self.round():
                self._stopped.wait(AGAIN_SECONDS)


def encoded(body: Any) -> bytes:
    """JSON as it is sealed."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "surrogatepass")


def decoded(body: bytes) -> Any:
    """The same back."""
    return json.loads(body.decode("utf-8", "surrogatepass"))


def packed(events: Sequence[Event]) -> bytes:
    """A batch as it is sealed."""
    return encoded([[name, data] for name, data in events])


def unpacked(body: bytes) -> list[Event]:
    """The events of a batch."""
    return [(name, data) for name, data in decoded(body)]
