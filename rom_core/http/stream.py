"""A streamed turn: the turn runs in a thread of its own and feeds the HTTP thread, which writes Server-Sent Events."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import structlog

from rom_core.concurrency.clock import Signal
from rom_core.concurrency.workers import PoolSaturated
from rom_core.errors import InternalError, Overloaded, RomError
from rom_core.http.error_styles import style_of
from rom_core.http.problems import problem
from rom_core.http.requests import Outcome
from rom_core.http.sse import sse_event
from rom_core.runtime import Runtime
from rom_core.turn import Turn

KEEP_ALIVE = b": keep-alive\n\n"
# Seconds after the deadline by which a turn has said how it ended, and by which the client has read it.
ENDING_SECONDS = 5.0
READING_SECONDS = 20.0
# What a slow reader may be behind, beside what the server buffers, before the turn waits for it: more than all but the
# longest answers have, so that a turn ends, and gives its slot back, when the model has done. In characters, and some
# more for each event.
MAX_UNREAD_BYTES = 4 * 1024 * 1024
_EVENT_COSTS = 400
_PIECES_AT_ONCE = 64
_BACKPRESSURE_SECONDS = 0.02
# So long the turn waits at most until the first of what it says is on its way to the client.
_FIRST_SECONDS = 0.02

Item = tuple[str, dict[str, Any]]
logger = structlog.get_logger("rom.http")


class TurnStream:
    """The body of a streamed answer: an iterator of SSE bytes with a `close` that waitress always calls.

    `start` waits for the first event, so that a failure before it can still be a proper HTTP error. Exactly one of
    `done` and `error` ends the stream. Comments keep it alive while nothing else is to be said. A turn that does not
    end with its deadline, or a client that does not read, holds no HTTP thread longer than the constants above.
    """

    def __init__(
        self,
        runtime: Runtime,
        turn: Turn,
        disconnected: Callable[[], bool],
        release: Callable[[], None],
        outcome: Outcome,
        encode: Callable[[Turn, str, dict[str, Any]], bytes] | None = None,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        """`release` gives the place back; `outcome` is finished with the stream; `encode` turns an event into bytes.

        By default events are written in our own dialect. `hang_up` closes the connection from any thread.
        """
        self._runtime = runtime
        self._turn = turn
        self._disconnected = disconnected
        self._release = release
        self._outcome = outcome
        self._encode = encode or encode_event
        self._hang_up = hang_up or (lambda: None)
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        # What the turn has said, tools in threads of their own, and what the reader has been given of it.
        self._said = self._given = 0
        self._counting = threading.Lock()
        self._begun, self._on_its_way = Signal(), Signal()
        self._first: Item | None = None
        self._ended = False
        self._closing = threading.Lock()
        self._closed = False
        self._watched = ExitStack()
        self._heartbeat = float(turn.settings.SSE_HEARTBEAT_SECONDS)
        turn.sink = self._put

    def start(self) -> None:
        """Start the turn and wait for its first event. Raises the turn's error if that comes first, or nothing."""
        try:
            self._runtime.turn_pool.submit(self._run)
        except PoolSaturated:
            raise Overloaded("every place is taken", retry_after=2) from None
        if not self._turn.clock.wait(self._begun, self._left()):
            raise self._given_up()
        first = self._items.get_nowait()
        if first[0] == "error":
            raise first[1]["raised"]
        self._first = first
        self._outcome.streaming = True
        self._watched.enter_context(self._runtime.watchdog.watching(self._cut_off))

    def __iter__(self) -> Iterator[bytes]:
        return self._events()

    def close(self) -> None:
        """The answer is over, or the client has gone: end the turn if it still runs, and give the place back."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._watched.close()
        self._turn.cancel.cancel("client_gone")
        if not self._ended and self._outcome.error is None:
            self._outcome.error = self._turn.cancel.error()
        self._release()
        self._outcome.finish(200)

    def _run(self) -> None:
        last: Item = "error", {"raised": InternalError("an unforeseen error; the log has it under this trace id")}
        try:
            last = "done", self._runtime.run(self._turn, self._disconnected).as_dict()
        except RomError as error:
            last = "error", {"raised": error}
        except BaseException:
            # SystemExit too: whatever ended the turn, the client is told.
            logger.exception("stream.failed", trace_id=self._turn.trace_id, request_id=self._turn.request_id)
        finally:
            # PERF: the turn and its stream would refer to each other until they are collected.
            self._turn.sink = _nobody
            self._offer(last)

    def _offer(self, item: Item) -> None:
        self._items.put(item)
        self._begun.set()

    def _left(self) -> float:
        """Seconds within which the turn must have ended."""
        return self._turn.deadline.remaining() + ENDING_SECONDS

    def _given_up(self) -> RomError:
        """The error of a turn that did not end with its deadline; its thread is left to itself."""
        self._turn.cancel.cancel("deadline")
        logger.error("stream.stuck", trace_id=self._turn.trace_id, request_id=self._turn.request_id)
        return self._turn.cancel.error()

    def _cut_off(self) -> None:
        """Looked at by the watchdog: an answer that is still not read, or was never handed to the server."""
        if self._turn.deadline.remaining() + READING_SECONDS < 0:
            self._ended = False
            self._hang_up()
            self.close()

    def _put(self, name: str, data: dict[str, Any]) -> None:
        while self._said - self._given > MAX_UNREAD_BYTES:
            self._turn.check()
            self._turn.cancel.event.wait(_BACKPRESSURE_SECONDS)
        with self._counting:
            first = not self._said
            self._said += _size(data)
        self._offer((name, data))
        if first:
            # PERF: of a model that never pauses this thread would otherwise read on while the client waits.
            self._on_its_way.wait(_FIRST_SECONDS)

    def _events(self) -> Generator[bytes, None, None]:
        turn = self._turn
        item = self._first
        if item is None:
            return
        pieces = [self._encode(turn, "start", {})]
        pieces += [self._encode(turn, "warning", dict(one)) for one in turn.request.warnings]
        while True:
            name, data = item
            if name == "error":
                self._outcome.error = data["raised"]
                settings = self._runtime.current.settings
                data = problem(data["raised"], turn.trace_id, turn.request_id, settings, style_of(turn.route))
            self._given += _size(data)
            pieces.append(KEEP_ALIVE if name == "held" else self._encode(turn, name, data))
            if name in ("done", "error"):
                # As with an answer in one piece: handed to the server whole, it is finished. Whether the last bytes are
                # read, nobody can know.
                self._ended = True
                yield b"".join(pieces)
                return
            # What has piled up meanwhile goes out in one write; a model that never pauses must not pile it up here.
            if self._items.empty() or len(pieces) >= _PIECES_AT_ONCE:
                yield b"".join(pieces)
                self._on_its_way.set()
                pieces = []
            item = yield from self._next()

    def _next(self) -> Generator[bytes, None, Item]:
        while True:
            left = self._left()
            try:
                return self._items.get(timeout=min(self._heartbeat, max(0.0, left)))
            except queue.Empty:
                if left <= 0:
                    return "error", {"raised": self._given_up()}
                yield KEEP_ALIVE


def _nobody(_name: str, _data: dict[str, Any]) -> None:
    """The sink of a turn that has ended."""


def _size(data: dict[str, Any]) -> int:
    """What an event counts for in MAX_UNREAD_BYTES."""
    return len(data.get("text", "")) + _EVENT_COSTS


def is_shown(name: str, data: Mapping[str, Any]) -> bool:
    """Whether a client of /api/chat sees this: of what is thought only the text, of blocks nothing."""
    return not (name == "block" or (name == "thinking" and data and "text" not in data))


def start_of(turn: Turn) -> dict[str, Any]:
    """What the event `start` of /api/chat says."""
    return {
        "id": turn.id,
        "conversation_id": turn.request.conversation_id,
        "model": turn.model,
        "trace_id": turn.trace_id,
        "request_id": turn.request_id,
    }


def encode_event(turn: Turn, name: str, data: dict[str, Any]) -> bytes:
    """One event of /api/chat."""
    return sse_event(start_of(turn) if name == "start" else data, name)
