"""A streamed turn: the turn runs in a thread of its own and feeds the HTTP thread, which writes Server-Sent Events."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Generator, Iterator
from typing import Any

from rom_core.errors import Overloaded, RomError, TurnCancelled
from rom_core.http.problems import problem
from rom_core.http.requests import Outcome
from rom_core.runtime import Runtime
from rom_core.turn import Turn
from rom_core.workers import PoolSaturated

KEEP_ALIVE = b": keep-alive\n\n"
# Pieces a slow reader may be behind before the turn waits for it.
_MAX_PIECES = 1024
_BACKPRESSURE_SECONDS = 0.02

Item = tuple[str, dict[str, Any]]


class TurnStream:
    """The body of a streamed answer: an iterator of SSE bytes with a `close` that waitress always calls.

    `start` waits for the first event, so that a failure before it can still be a proper HTTP error. Exactly one of
    `done` and `error` ends the stream. Comments keep it alive while nothing else is to be said.
    """

    def __init__(
        self,
        runtime: Runtime,
        turn: Turn,
        disconnected: Callable[[], bool],
        release: Callable[[], None],
        outcome: Outcome,
        encode: Callable[[Turn, str, dict[str, Any]], bytes] | None = None,
    ) -> None:
        """`release` gives the place back; `outcome` is finished with the stream; `encode` turns an event into bytes.

        By default events are written in our own dialect.
        """
        self._runtime = runtime
        self._turn = turn
        self._disconnected = disconnected
        self._release = release
        self._outcome = outcome
        self._encode = encode or encode_event
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._first: Item | None = None
        self._ended = False
        self._heartbeat = float(turn.settings.SSE_HEARTBEAT_SECONDS)
        turn.sink = self._put

    def start(self) -> None:
        """Start the turn and wait for its first event. Raises the turn's error if that comes first."""
        try:
            self._runtime.turn_pool.submit(self._run)
        except PoolSaturated:
            raise Overloaded("every place is taken", retry_after=2) from None
        first = self._items.get()
        if first[0] == "error":
            raise first[1]["raised"]
        self._first = first
        self._outcome.streaming = True

    def __iter__(self) -> Iterator[bytes]:
        return self._events()

    def close(self) -> None:
        """The answer is over, or the client has gone: end the turn if it still runs, and give the place back."""
        if self._turn.cancel.cancel("client_gone") and not self._ended:
            self._outcome.error = TurnCancelled()
        self._release()
        self._outcome.finish(200)

    def _run(self) -> None:
        try:
            result = self._runtime.run(self._turn, self._disconnected)
        except RomError as error:
            self._items.put(("error", {"raised": error}))
        else:
            self._items.put(("done", result.as_dict()))

    def _put(self, name: str, data: dict[str, Any]) -> None:
        while self._items.qsize() >= _MAX_PIECES:
            self._turn.check()
            self._turn.cancel.event.wait(_BACKPRESSURE_SECONDS)
        self._items.put((name, data))

    def _events(self) -> Generator[bytes, None, None]:
        turn = self._turn
        item = self._first
        if item is None:
            return
        pieces = [self._encode(turn, "start", {})]
        while True:
            name, data = item
            if name == "error":
                self._outcome.error = data["raised"]
                data = problem(data["raised"], turn.trace_id, turn.request_id)
            pieces.append(self._encode(turn, name, data))
            if name in ("done", "error"):
                self._ended = True
                yield b"".join(pieces)
                return
            # What has piled up meanwhile goes out in one write.
            if self._items.empty():
                yield b"".join(pieces)
                pieces = []
            item = yield from self._next()

    def _next(self) -> Generator[bytes, None, Item]:
        while True:
            try:
                return self._items.get(timeout=self._heartbeat)
            except queue.Empty:
                yield KEEP_ALIVE


def encode_event(turn: Turn, name: str, data: dict[str, Any]) -> bytes:
    """One event of /api/chat in the format of https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    if name == "start":
        data = {
            "id": turn.id,
            "conversation_id": turn.request.conversation_id,
            "model": turn.model,
            "trace_id": turn.trace_id,
            "request_id": turn.request_id,
        }
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
