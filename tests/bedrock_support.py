"""What tests of the wire share: an attempt of a real turn, and a peer that answers with the bytes it is told."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from support import make_runtime, make_settings, make_turn
from waiting import until as until

from local_bedrock.frames import event_frame
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.cancel import Deadline
from rom_core.concurrency.clock import SystemClock
from rom_core.concurrency.workers import Job, WorkerPool
from rom_core.errors import DeadlineExceeded, Draining, RomError, TurnCancelled
from rom_core.turn import Attempt, ModelCall
from rom_core.turn_speech import Sink

MODEL_ID = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nx-amzn-RequestId: stream-id\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END_OF_BODY = b"0\r\n\r\n"
Connect = Callable[..., Wire]
LONG_SECONDS = 600.0
"""A wait that a test must not sit out; what does not wait for it takes less than SOON_SECONDS on any machine."""
SOON_SECONDS = 60.0
ENDED: dict[str, type[RomError]] = {"client_gone": TurnCancelled, "deadline": DeadlineExceeded, "draining": Draining}


def make_wire(url: str, **settings: Any) -> Wire:
    """A wire to `url` that gives nothing up by itself within a test, if not told to; the caller closes it."""
    reading = settings.get("BEDROCK_READ_TIMEOUT_SECONDS", LONG_SECONDS)
    values = {"BEDROCK_CONNECT_TIMEOUT_SECONDS": min(30, reading), "BEDROCK_READ_TIMEOUT_SECONDS": reading} | settings
    return Wire(make_settings(**values), SystemClock(), endpoint_url=url)


def make_attempt(*, seconds: float = LONG_SECONDS, sink: Sink | None = None) -> Attempt:
    """The first attempt of a turn that has `seconds` left; with a `sink` it is a streamed one."""
    clock = SystemClock()
    runtime, _ = make_runtime(clock=clock)
    turn = make_turn(runtime, stream=sink is not None, sink=sink)
    turn.deadline = Deadline(clock, seconds)
    call = ModelCall(turn, 1, turn.cancel, turn.deadline)
    attempt = Attempt(call, 1, turn.settings.models[turn.model])
    call.attempts.append(attempt)
    return attempt


def asking(message: str = "question", **more: Any) -> dict[str, Any]:
    """The arguments of `converse_stream` for one message, which may hold directives."""
    return {"modelId": MODEL_ID, "messages": [{"role": "user", "content": [{"text": message}]}]} | more


@contextmanager
def ends_soon() -> Iterator[None]:
    """The block does not sit a long wait out."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_SECONDS


def given_up(pool: WorkerPool) -> list[bool]:
    """One entry for each job that is given up in `pool` from now on, whether or not it has ended since."""
    noted: list[bool] = []
    abandon = pool.abandon

    def noting(job: Job[Any]) -> None:
        abandon(job)
        noted.append(job.abandoned)

    pool.abandon = noting  # type: ignore[method-assign]
    return noted


@contextmanager
def cancelling(attempt: Attempt, reason: str, ready: Callable[[], bool]) -> Iterator[None]:
    """Cancels the turn from another thread once `ready()`."""

    def cancel() -> None:
        if until(ready):
            attempt.turn.cancel.cancel(reason)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def event(name: str, **payload: Any) -> bytes:
    """A frame of the stream with this payload."""
    return event_frame(name, json.dumps(payload).encode())


def chunks(*frames: bytes) -> bytes:
    """The frames as chunks of an HTTP body, without its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames)


def http_error(status: int, *headers: str, body: bytes = b"") -> bytes:
    """An HTTP answer with these header lines."""
    lines = [f"HTTP/1.1 {status} Reason", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Peer:
    """A server that answers every request with `answer`, then ends the connection; an `eager` one does not read first.

    `ending` is "fin", "rst" or "wait" (for the client to leave, which `left` counts); it and `answer` may be set anew
    for the next request. With `tls` it speaks https. A context manager.
    """

    def __init__(
        self, answer: bytes = b"", *, ending: str = "fin", eager: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.ending = ending
        self.answered = 0
        self.left = 0
        self._eager = eager
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="peer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(60)
            with connection, suppress(OSError):
                if self._tls is None:
                    self._answer(connection)
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as secure:
                        self._answer(secure)

    def _answer(self, connection: socket.socket) -> None:
        if self._eager:
            connection.sendall(self.answer)
        _read_request(connection)
        if not self._eager:
            connection.sendall(self.answer)
        self.answered += 1
        if self.ending == "rst":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self.ending == "wait":
            try:
                gone = not connection.recv(1)
            except TimeoutError:
                gone = False
            except OSError:
                gone = True
            self.left += gone


def _read_request(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (more := connection.recv(65536)):
        body += more
