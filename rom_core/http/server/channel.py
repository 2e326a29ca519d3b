"""One connection: requests in, answers out, and an end to every wait for its client.

waitress lets a thread wait as long as the client likes once more than `outbuf_high_watermark` bytes are unread, answers
what it cannot parse by itself and in plain text, and closes the connection under what is still being sent, so that the
client sees a reset where the answer would have been.
"""

from __future__ import annotations

import socket
import time
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from rom_core.errors import HttpError, InternalError, MalformedRequest, PayloadTooLarge, RomError
from rom_core.http.addresses import scheme
from rom_core.http.environ import ADMITTED, HANG_UP, REFUSAL, STAYS
from rom_core.http.error_styles import style_of
from rom_core.http.headers import common_headers
from rom_core.http.problems import encoded, headers_of, problem
from rom_core.http.server.parser import ADMIN, Parser
from rom_core.http.server.sockets import Sockets
from rom_core.telemetry.ids import new_id

# What a client sends after it has been refused is thrown away for so long, so that the answer reaches it.
DISCARD_SECONDS = 5.0
_DISCARD_AT_ONCE = 64 * 1024
# Heads of requests that wait for their turn on one connection: so much is read ahead.
_READ_AHEAD_BYTES = 64 * 1024
READS = ("GET", "HEAD", "OPTIONS")

logger = structlog.get_logger("rom.server")


class ProblemTask(ErrorTask):
    """Answers as every other error is answered what cannot be read, or what broke after the app."""

    def __init__(self, channel: Any, request: Any) -> None:
        super().__init__(channel, request)
        # Here, and not when it is written: the line comes whether or not the client is still there.
        self._error = _ours(request.error)
        self._trace_id, self._request_id = new_id(), f"req-{new_id()}"
        logger.info(
            "http.refused",
            status=self._error.status,
            detail=self._error.detail,
            address=channel.address,
            trace_id=self._trace_id,
            request_id=self._request_id,
        )

    def execute(self) -> None:
        """Write the problem; the connection is closed after it."""
        channel: Any = self.channel
        request: Any = self.request
        style = style_of(str(getattr(request, "path", "")))
        found = problem(self._error, self._trace_id, self._request_id, channel.server.settings(), style)
        kind, body = encoded(found, style)
        self.status = f"{style.status(self._error)} {HTTPStatus(style.status(self._error)).phrase}"
        self.response_headers = [
            ("Content-Type", kind),
            *common_headers(self._scheme()).items(),
            ("X-Trace-Id", self._trace_id),
            ("X-Request-Id", self._request_id),
            ("request-id", self._request_id),
            *headers_of(self._error, style).items(),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)

    def _scheme(self) -> str:
        """How the client came here, as far as proxies are trusted and the headers could be read."""
        request: Any = self.request
        channel: Any = self.channel
        return scheme("http", request.headers.get("X_FORWARDED_PROTO", "") if channel.server.proxies else "")


class AppTask(WSGITask):
    """Runs the app, which finds ADMITTED, HANG_UP, STAYS and perhaps REFUSAL in its environment."""

    def get_environment(self) -> Any:
        """As WSGI says, and our own."""
        environ = super().get_environment()
        channel: Any = self.channel
        request: Any = self.request
        environ[HANG_UP] = channel.hang_up
        environ[ADMITTED] = channel.mark_admitted
        environ[STAYS] = channel.mark_staying
        if request.refusal is not None:
            environ[REFUSAL] = request.refusal
        return environ

    def write(self, data: bytes) -> None:
        """As WSGI says; the head goes out with the first piece of the body, in one packet."""
        channel: Any = self.channel
        first = bool(data) and not self.wrote_header
        channel.head_waits = first
        super().write(data)
        if first:
            # In case there was no body after all: the status forbids it, or its length is 0.
            channel.write_soon(b"")


class Channel(HTTPChannel):
    """One connection. The loop's thread reads; a thread of the dispatcher serves one request after the other."""

    task_class = AppTask
    error_task_class = ProblemTask
    # The next piece to be written is the head of an answer whose body is about to follow.
    head_waits = False
    _head = b""
    # No request comes after the one that was refused; until this moment (monotonic) what comes is thrown away.
    _discard_until: float | None = None
    # Since when the client is about to send a head, or the body after it (as time.time()); None if it is not.
    head_since: float | None = None
    body_since: float | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        waitress: Any = self
        waitress.parser_class = self._parser

    # -- in, called by the loop --------------------------------------------------------------------------------------

    def add_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's name
        """The connection has been accepted."""
        super().add_channel(map)
        server: Any = self.server
        server.sockets.changed(self)

    def readable(self) -> bool:
        """Whether to read: not beyond what may be read ahead, nor for ever from a client that has been refused."""
        if self._discard_until is not None and time.monotonic() >= self._discard_until:
            # With its answer still on the way to it, waitress closes once that is written.
            self.will_close = self.will_close or self.rests
            return False
        if len(self.requests) > 1:
            ahead = sum(request.header_bytes_received for request in list(self.requests))
            return ahead <= _READ_AHEAD_BYTES and super().readable()
        return super().readable()

    def handle_read(self) -> None:
        """Take in what came. A client that was refused may say that it sends no more, and is still answered."""
        if self._discard_until is None or len(self.requests) > 1:
            super().handle_read()
            return
        connection: Any = self.socket
        try:
            if not connection.recv(_DISCARD_AT_ONCE):
                self._discard_until = 0.0
        except BlockingIOError:
            pass
        except OSError:
            self.handle_close()

    def received(self, data: bytes) -> bool:
        """Take in what came."""
        if self._discard_until is not None:
            return True
        taken = bool(super().received(data))
        request = self.request
        in_body = request is not None and request.headers_finished
        self.body_since = (self.body_since or time.time()) if in_body else None
        self.head_since = None if request is None or in_body else self.head_since or time.time()
        return taken

    def too_slow(self, now: float, head_seconds: float, body_seconds: float) -> bool:
        """Whether the client takes longer than that for a request, at `now` (as time.time()); called by the loop.

        Not while it is being answered: it may have sent an empty line after its request, and nothing is read meanwhile.
        """
        if self.requests:
            self.head_since, self.body_since = self.head_since and now, self.body_since and now
        heads = self.head_since is not None and self.head_since < now - head_seconds
        return heads or (self.body_since is not None and self.body_since < now - body_seconds)

    def handle_write(self) -> None:
        """Send what is ready, and close if that was the last; first let a client that was refused take its answer."""
        lingers = self._discard_until is not None and time.monotonic() < self._discard_until
        if not lingers or self.requests or not self.close_when_flushed:
            super().handle_write()
            return
        waitress: Any = self
        waitress._flush_exception(waitress._flush_some)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            self.close_when_flushed = False
            self._end_output()

    def handle_close(self) -> None:
        """The connection is over, and so is the file that a large body was being read into."""
        if self.request is not None:
            self.request.close()
        super().handle_close()

    def _end_output(self) -> None:
        end: Any = self.socket
        # Writing to a client that is gone has closed it.
        if end is None:
            return
        try:
            end.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()

    def _parser(self, adj: Any) -> Parser:
        server: Any = self.server
        return Parser(adj, partial(server.decide, self.addr[0]), self._end_input, server.room)

    def _end_input(self) -> None:
        self._discard_until = time.monotonic() + DISCARD_SECONDS

    # -- out, called by the thread that serves -----------------------------------------------------------------------

    def service(self) -> None:
        """Answer the next request."""
        # What is logged here is nobody's yet; threads are used again.
        structlog.contextvars.clear_contextvars()
        sockets: Sockets = self.server.sockets  # type: ignore[attr-defined]
        sockets.busy(self)
        try:
            super().service()
        finally:
            sockets.idle(self)

    def write_soon(self, data: Any) -> int:
        """Send it, or have the loop send what the client does not take yet; how much it was, in bytes."""
        if self.head_waits:
            self.head_waits, self._head = False, data
            return len(data)
        if self._head:
            data, self._head = self._head + data, b""
        return int(super().write_soon(data))

    # -- for both ----------------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Of the client whose request is next, as far as proxies are trusted."""
        server: Any = self.server
        return str(server.address_of(self.addr[0], self.requests[0]))

    @property
    def has_priority(self) -> bool:
        """Whether the next request is a read or an admin call."""
        request: Any = self.requests[0]
        return request.command in READS or request.path.startswith(ADMIN)

    @property
    def needs_admission(self) -> bool:
        """Whether the next request is for a turn."""
        server: Any = self.server
        request: Any = self.requests[0]
        return request.path in server.turns

    def mark_admitted(self) -> None:
        """The request that is being answered has its place."""
        server: Any = self.server
        server.task_dispatcher.mark_admitted(self)

    def mark_staying(self) -> None:
        """The request that is being answered keeps its thread for long."""
        server: Any = self.server
        server.task_dispatcher.mark_staying(self)

    @property
    def rests(self) -> bool:
        """Whether nobody here works for it: no request is complete, and no answer is on its way."""
        return not (self.requests or self.total_outbufs_len)

    def writable(self) -> bool:
        """Whether the loop shall write. Not while the answering thread does so: the loop would spin before its lock."""
        if not super().writable():
            return False
        sockets: Sockets = self.server.sockets  # type: ignore[attr-defined]
        if self.requests and not self.will_close and sockets.available:
            if not self.outbuf_lock.acquire(blocking=False):
                sockets.look_soon(self)
                return False
            self.outbuf_lock.release()
        return True

    def hang_up(self) -> None:
        """Close the connection, whatever is unsent; a thread that waits for the client goes on at once."""
        server: Any = self.server
        server.trigger.pull_trigger(self.close_now)

    def close_now(self) -> None:
        """The same, for the thread of the server's loop."""
        # Closed before: the number of its descriptor may be another connection's by now.
        if getattr(self, "_fileno", None) is not None:
            self.handle_close()


def _ours(refusal: Any) -> RomError:
    """The error that stands for one of waitress's."""
    if refusal.code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return InternalError("an unforeseen error")
    if refusal.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # waitress would name its own cap, which stands above ours.
        return PayloadTooLarge("the body is larger than MAX_BODY_BYTES allows")
    if refusal.code == HTTPStatus.BAD_REQUEST:
        return MalformedRequest(str(refusal.body))
    return HttpError(str(refusal.body), refusal.code)
