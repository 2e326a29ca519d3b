"""The listening socket and its connections: waitress, with our answers for what it refuses and an end to every wait.

waitress lets a thread wait as long as the client likes once more than `outbuf_high_watermark` bytes are unread, and
answers what it cannot parse, or finds too large, by itself and in plain text.
"""

from __future__ import annotations

import errno
import json
import socket
from http import HTTPStatus
from typing import Any

import structlog
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from rom_core.errors import HttpError, InternalError, MalformedRequest, PayloadTooLarge, RomError
from rom_core.http.problems import CONTENT_TYPE, headers_of, problem
from rom_core.ids import new_id

# In a request's WSGI environment: a function that closes its connection, to be called from any thread.
HANG_UP = "rom.hang_up"
# A connection that has not taken a byte of what is ready for it for so long is closed.
STALLED_SECONDS = 30.0

logger = structlog.get_logger("rom.server")


class ProblemTask(ErrorTask):
    """Answers as every other error is answered what waitress refuses, or what broke after the app."""

    def execute(self) -> None:
        """Write the problem; the connection is closed after it."""
        request: Any = self.request
        error = _ours(request.error)
        trace_id, request_id = new_id(), f"req-{new_id()}"
        logger.info("http.refused", status=error.status, detail=error.detail, trace_id=trace_id, request_id=request_id)
        body = json.dumps(problem(error, trace_id, request_id), ensure_ascii=False).encode()
        self.status = f"{error.status} {HTTPStatus(error.status).phrase}"
        self.response_headers = [
            ("Content-Type", CONTENT_TYPE),
            ("X-Trace-Id", trace_id),
            ("X-Request-Id", request_id),
            ("request-id", request_id),
            *headers_of(error).items(),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class AppTask(WSGITask):
    """Runs the app, which finds HANG_UP in its environment."""

    def get_environment(self) -> Any:
        """As WSGI says, and HANG_UP."""
        environ = super().get_environment()
        channel: Any = self.channel
        environ[HANG_UP] = channel.hang_up
        return environ


class Channel(HTTPChannel):
    """One connection."""

    task_class = AppTask
    error_task_class = ProblemTask

    def hang_up(self) -> None:
        """Close the connection, whatever is unsent; a thread that waits for the client goes on at once."""
        server: Any = self.server
        server.trigger.pull_trigger(self.close_now)

    def close_now(self) -> None:
        """The same, for the thread of the server's loop."""
        # Closed before: the number of its descriptor may be another connection's by now.
        if getattr(self, "_fileno", None) is not None:
            self.handle_close()


class Listener(TcpWSGIServer):
    """One listening socket. `maintenance` also closes connections whose client has stopped reading."""

    channel_class = Channel

    def maintenance(self, now: float) -> None:
        """Called by the loop every few seconds; `now` is in seconds since the epoch."""
        super().maintenance(now)  # type: ignore[arg-type]
        channels: Any = self.active_channels
        for channel in list(channels.values()):
            # waitress marks an idle connection to be closed once it is writable, which this one never is.
            if channel.total_outbufs_len and channel.last_activity < now - STALLED_SECONDS:
                channel.close_now()


def listen(app: Any, dispatcher: Any, *, host: str, port: int, **options: Any) -> Listener:
    """Bind to `host` and `port` (0 = any free one), with waitress's `options`.

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
        return Listener(app, map=sockets, dispatcher=dispatcher, adj=adjustments)
    except OSError:
        wasyncore.close_all(sockets, ignore_all=True)
        raise


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
