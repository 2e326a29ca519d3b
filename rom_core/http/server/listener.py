"""The listening socket: who is let in, whose request is refused by its head, and which connections are closed."""

from __future__ import annotations

import errno
import heapq
import socket
import time
from collections.abc import Callable, Container, Mapping
from typing import Any, Protocol

import structlog
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from rom_core.concurrency.body_room import BodyRoom
from rom_core.errors import InternalError, RomError
from rom_core.http.addresses import client_address
from rom_core.http.canonical_path import raw_path
from rom_core.http.server.channel import Channel
from rom_core.http.server.parser import Parser
from rom_core.http.server.sockets import Sockets
from rom_core.settings import Settings

# The head of a request is complete within so many seconds, or the connection is closed.
HEAD_SECONDS = 30.0
# And its body within so many more: the largest that is allowed by default takes as long at 9 kB/s.
BODY_SECONDS = 120.0
# A connection that has not taken a byte of what is ready for it for so long is closed.
STALLED_SECONDS = 30.0
_ACCEPT_AT_ONCE = 64
# Without a descriptor left nobody can be let in: the next try is made so much later.
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ACCEPT_AGAIN_SECONDS = 0.5
# This share of the connections is closed when the limit is reached, if so many rest.
_ROOM = 0.05

logger = structlog.get_logger("rom.server")


class HeadAuthenticator(Protocol):
    """Decides on requests of which only the head is here; both take the method and the target as they came."""

    def check(self, method: str, path: str, headers: Mapping[str, str], address: str) -> RomError | None:
        """Why it is refused; `headers` go by names as WSGI has them without HTTP_."""

    def reads_body(self, method: str, path: str) -> bool:
        """Whether anybody would read its body."""


class Listener(TcpWSGIServer):
    """One listening socket and its connections, in the loop of `sockets`.

    At the limit of connections those that have rested longest are closed, so that there is always room for a probe.
    """

    channel_class = Channel
    sockets: Sockets
    settings: Callable[[], Settings]
    """Gives the newest settings."""
    authenticator: HeadAuthenticator | None
    """Decides on a request with a body by its head; without one all may come in."""
    turns: Container[str]
    """The paths of the routes that ask for a place."""
    uploads: Container[str]
    """The paths of further routes that files are sent to."""
    proxies: int
    """How many of our own stand before us."""
    room: BodyRoom
    """For the bodies of all connections."""
    now: Callable[[], float] = staticmethod(time.monotonic)

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

    def decide(self, peer: str, request: Parser) -> RomError | int | None:
        """What becomes of a request with a body, of which only the head is here, as `parser.Decide`."""
        method, target = str(request.command), request.request_uri
        if self.authenticator is not None:
            try:
                refusal = self.authenticator.check(method, target, request.headers, self.address_of(peer, request))
                if refusal is not None or not self.authenticator.reads_body(method, target):
                    return refusal
            except Exception:
                logger.exception("http.check_failed")
                return InternalError("an unforeseen error")
        settings = self.settings()
        limit = int(settings.MAX_BODY_BYTES)
        path = raw_path(target).removesuffix("/")
        with_files = path in self.turns or path in self.uploads
        return max(limit, int(settings.MAX_ATTACHMENT_BYTES)) if with_files else limit

    def address_of(self, peer: str, request: Parser) -> str:
        """The client's, of a request from `peer`."""
        return client_address(peer, request.headers.get("X_FORWARDED_FOR", ""), self.proxies)

    def handle_accept(self) -> None:
        """Take the connections that have come; one a round, as waitress does, and a probe stands behind a flood."""
        channels: Any = self.active_channels
        for _ in range(_ACCEPT_AT_ONCE):
            before = len(channels)
            if before >= self.adj.connection_limit:
                return
            super().handle_accept()
            if len(channels) <= before:
                return

    def accept(self) -> Any:
        """The next connection, or None. Where there is no descriptor for it the loop would try again without pause."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                self._accept_again = self.now() + _ACCEPT_AGAIN_SECONDS
                self._make_room()
            raise

    def readable(self) -> bool:
        """Whether to take more connections; at the limit as soon as some of them rest."""
        if super().readable():
            return self.now() >= self._accept_again
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
        """Also close connections whose client does not read, or does not come to the end of a request.

        Called every few seconds; `now` as `time.time()`.
        """
        super().maintenance(now)  # type: ignore[arg-type]
        channels: Any = self.active_channels
        for channel in list(channels.values()):
            # waitress marks an idle connection to be closed once it is writable, which this one never is.
            stalled = channel.total_outbufs_len and channel.last_activity < now - STALLED_SECONDS
            if stalled or channel.too_slow(now, HEAD_SECONDS, BODY_SECONDS):
                channel.close_now()


def listen(
    app: Any,
    dispatcher: Any,
    settings: Callable[[], Settings],
    *,
    host: str,
    port: int,
    authenticator: HeadAuthenticator | None = None,
    turns: Container[str] = (),
    uploads: Container[str] = (),
    proxies: int = 0,
    room: BodyRoom | None = None,
    **options: Any,
) -> Listener:
    """Bind to `host` and `port` (0 = any free one), with waitress's `options`; `settings` gives the newest.

    `authenticator` decides on requests with a body by their head; `turns` are the paths that ask for a place, `uploads`
    further ones that take files; `proxies` of our own stand before us; `room` is for all bodies together. A name with
    several addresses gives one socket, on the first IPv4 address if there is any. Raises OSError with a readable
    `strerror` if that is not possible.
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
    listener.authenticator = authenticator
    listener.turns = turns
    listener.uploads = uploads
    listener.proxies = proxies
    listener.room = room or BodyRoom()
    return listener
