"""The listening socket and its connections: waitress, with our answers for what it refuses and an end to every wait.

waitress lets a thread wait as long as the client likes once more than `outbuf_high_watermark` bytes are unread, and
answers what it cannot parse, or finds too large, by itself and in plain text.
"""

from __future__ import annotations

import errno
import heapq
import json
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from rom_core.errors import HttpError, InternalError, MalformedRequest, PayloadTooLarge, RomError
from rom_core.http.headers import common_headers
from rom_core.http.problems import CONTENT_TYPE, headers_of, problem
from rom_core.http.server.sockets import Sockets
from rom_core.settings import Settings
from rom_core.telemetry.ids import new_id

# In a request's WSGI environment: a function that closes its connection, to be called from any thread.
HANG_UP = "rom.hang_up"
# Likewise: a function to be called once the request has its place, so that the next one may ask for one.
LET_IN = "rom.let_in"
# A connection that has not taken a byte of what is ready for it for so long is closed.
STALLED_SECONDS = 30.0
_ACCEPT_AT_ONCE = 64
# Without a descriptor left nobody can be let in: the next try is made so much later.
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ACCEPT_AGAIN_SECONDS = 0.5
# This share of the connections is closed when the limit is reached, if so many rest.
_ROOM = 0.05

logger = structlog.get_logger("rom.server")


class ProblemTask(ErrorTask):
    """Answers as every other error is answered what waitress refuses, or what broke after the app."""

    def execute(self) -> None:
        """Write the problem; the connection is closed after it."""
        request: Any = self.request
        error = _ours(request.error)
        trace_id, request_id = new_id(), f"req-{new_id()}"
        logger.info("http.refused", status=error.status, detail=error.detail, trace_id=trace_id, request_id=request_id)
        channel: Any = self.channel
        found = problem(error, trace_id, request_id, channel.server.settings())
        body = json.dumps(found, ensure_ascii=False).encode()
        self.status = f"{error.status} {HTTPStatus(error.status).phrase}"
        self.response_headers = [
            ("Content-Type", CONTENT_TYPE),
            *common_headers().items(),
            ("X-Trace-Id", trace_id),
            ("X-Request-Id", request_id),
            ("request-id", request_id),
            *headers_of(error).items(),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class AppTask(WSGITask):
    """Runs the app, which finds HANG_UP and LET_IN in its environment."""

    def get_environment(self) -> Any:
        """As WSGI says, and our own."""
        environ = super().get_environment()
        channel: Any = self.channel
        environ[HANG_UP] = channel.hang_up
        environ[LET_IN] = channel.let_in
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


class Parser(HTTPRequestParser):
    """Refuses a request whose end another server on its way may see elsewhere, and what follows as another request.

    RFC 9112, 6.1 and 6.3: both a transfer coding and a length, or a transfer coding in HTTP/1.0, which has none.
    """

    def parse_header(self, header_plus: Any) -> None:
        """The first line and the headers. Raises ParsingError."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            self.expect_continue = False
            raise ParsingError("send either Transfer-Encoding or Content-Length")
        # waitress takes the header away where it heeds it.
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("HTTP/1.0 has no Transfer-Encoding")


class Channel(HTTPChannel):
    """One connection."""

    parser_class = Parser
    task_class = AppTask
    error_task_class = ProblemTask
    # The next piece to be written is the head of an answer whose body is about to follow.
    head_waits = False
    _head = b""

    def write_soon(self, data: Any) -> int:
        """Send it, or have the loop send what the client does not take yet; how much it was, in bytes."""
        if self.head_waits:
            self.head_waits, self._head = False, data
            return len(data)
        if self._head:
            data, self._head = self._head + data, b""
        return int(super().write_soon(data))

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

    def add_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's name
        """Called by the loop when the connection has been accepted."""
        super().add_channel(map)
        server: Any = self.server
        server.sockets.changed(self)

    def service(self) -> None:
        """Answer the next request, in a thread of the dispatcher."""
        sockets: Sockets = self.server.sockets  # type: ignore[attr-defined]
        sockets.busy(self)
        try:
            super().service()
        finally:
            sockets.idle(self)

    @property
    def rests(self) -> bool:
        """Whether nobody here works for it: no request is complete, and no answer is on its way."""
        return not (self.requests or self.total_outbufs_len)

    def hang_up(self) -> None:
        """Close the connection, whatever is unsent; a thread that waits for the client goes on at once."""
        server: Any = self.server
        server.trigger.pull_trigger(self.close_now)

    def let_in(self) -> None:
        """The request that is being answered has its place."""
        server: Any = self.server
        server.task_dispatcher.let_in(self)

    def close_now(self) -> None:
        """The same, for the thread of the server's loop."""
        # Closed before: the number of its descriptor may be another connection's by now.
        if getattr(self, "_fileno", None) is not None:
            self.handle_close()


class Listener(TcpWSGIServer):
    """One listening socket and its connections, in the loop of `sockets`.

    At the limit of connections those that have rested longest are closed, so that there is always room for a probe.
    """

    channel_class = Channel
    sockets: Sockets
    settings: Callable[[], Settings]
    """Gives the newest settings."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        waitress: Any = self
        self.sockets = Sockets(waitress._map)
        self._accept_again = 0.0

    def run(self) -> None:
        """Serve until every socket is closed."""
        if self.sockets.available:
            self.sockets.run((self, self.trigger))
        else:
            super().run()

    def handle_accept(self) -> None:
        """Take the connections that have come; one a round, as waitress does, and a probe stands behind a flood."""
        channels: Any = self.active_channels
        for _ in range(_ACCEPT_AT_ONCE):
            before = len(channels)
            if before >= self.adj.connection_limit:
                return
            super().handle_accept()
            if len(channels) == before:
                return

    def accept(self) -> Any:
        """The next connection, or None. Where there is no descriptor for it the loop would try again without pause."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                self._accept_again = time.monotonic() + _ACCEPT_AGAIN_SECONDS
                self._make_room()
            raise

    def readable(self) -> bool:
        """Whether to take more connections; at the limit as soon as some of them rest."""
        if super().readable():
            return time.monotonic() >= self._accept_again
        if self.in_connection_overflow:
            self._make_room()
        return bool(super().readable())

    def _make_room(self) -> None:
        """Close those that have rested longest, as every keep-alive client must expect."""
        channels: Any = self.active_channels
        resting = [channel for channel in list(channels.values()) if channel.rests]
        room = max(1, int(self.adj.connection_limit * _ROOM))
        closing = heapq.nsmallest(room, resting, key=lambda channel: channel.last_activity)
        for channel in closing:
            channel.close_now()
        if closing:
            logger.warning("http.connections_full", open=len(channels), closed=len(closing))

    def maintenance(self, now: float) -> None:
        """Also close connections whose client has stopped reading. Called every few seconds; `now` as `time.time()`."""
        super().maintenance(now)  # type: ignore[arg-type]
        channels: Any = self.active_channels
        for channel in list(channels.values()):
            # waitress marks an idle connection to be closed once it is writable, which this one never is.
            if channel.total_outbufs_len and channel.last_activity < now - STALLED_SECONDS:
                channel.close_now()


def listen(
    app: Any, dispatcher: Any, settings: Callable[[], Settings], *, host: str, port: int, **options: Any
) -> Listener:
    """Bind to `host` and `port` (0 = any free one), with waitress's `options`; `settings` gives the newest.

    A name with several addresses gives one socket, on the first IPv4 address if there is any. Raises OSError with a
    readable `strerror` if that is not possible.
    """
    try:
        found = socket.getaddrinfo(
            None if host == "*" else host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except UnicodeError:
        raise OSError(errno.EINVAL, "that is not a host name") from None
    addresses = [address[4][0] for address in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]
    adjustments = Adjustments(host=addresses[0], port=port, **options)
    sockets: Any = {}
    try:
        listener = Listener(app, map=sockets, dispatcher=dispatcher, adj=adjustments)
    except OSError:
        wasyncore.close_all(sockets, ignore_all=True)
        raise
    listener.settings = settings
    return listener


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
