"""A request that is sent in the caller's own thread, and given up at any moment.

Python cannot interrupt a thread that resolves a name or connects, but one that waits on a connected socket wakes when
the socket is shut down. So a thread of a pool only ever connects, which most requests do not have to, and the request
itself costs no hand-over from one thread to another.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.tokens import FrozenAuthToken

_THREAD = threading.local()


class Sending:
    """The request that a thread is sending. As a context manager: while the block runs, by this thread.

    `connect(connecting, close)` is to run `connecting`, somewhere, and to call `close` should it succeed too late.
    `seconds` tells how long the other side may at most be waited for now, to take the request or to begin its answer.
    `cut` may be called from any thread, and wakes whoever waits for the connection's other side with an error, until
    the answer is read to its end: then the connection is no longer this request's.
    """

    def __init__(
        self, connect: Callable[[Callable[[], None], Callable[[], None]], None], seconds: Callable[[], float]
    ) -> None:
        self.connect = connect
        self.seconds = seconds
        self._lock = threading.Lock()
        self._cut = False
        self._socket: Any = None

    def __enter__(self) -> None:
        _THREAD.sending = self

    def __exit__(self, *_: object) -> None:
        _THREAD.sending = None

    def waits_on(self, sock: Any) -> None:
        """From now on `sock` is what the request waits on; None, nothing any more."""
        with self._lock:
            self._socket = sock
            if self._cut:
                self._shut()

    def cut(self) -> None:
        """Give the request up."""
        with self._lock:
            self._cut = True
            self._shut()

    def _shut(self) -> None:
        # Under the lock, which who gives the connection back takes too: it cannot become another request's meanwhile.
        sock = self._socket
        # TLS within the TLS of a proxy is no socket, but has one.
        while sock is not None and not isinstance(sock, socket.socket):
            sock = getattr(sock, "socket", None)
        if sock is not None:
            # The other side may be gone in this very moment.
            with contextlib.suppress(OSError):
                # Not the method of a TLS socket: it drops the encryption first, and its writer might go on without.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def install(client: Any) -> bool:
    """Have `client`, which has not been used yet, connect and wait as its thread's Sending says.

    False if this botocore keeps its connections or credentials elsewhere than the one this was written for: then
    nothing is changed, and no request can be given up that way.
    """
    session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
    manager: Any = getattr(session, "_manager", None)
    signer: Any = getattr(client, "_request_signer", None)
    needed = (
        (session, "_pool_classes_by_scheme"),
        (manager, "pool_classes_by_scheme"),
        (signer, "_credentials"),
        (signer, "_auth_token"),
        (AWSHTTPConnectionPool, "_put_conn"),
    )
    if not all(hasattr(where, name) for where, name in needed):
        return False
    classes = {"http": _HttpPool, "https": _HttpsPool}
    # The second is where managers of proxies, made later, take theirs from.
    manager.pool_classes_by_scheme = session._pool_classes_by_scheme = classes
    return True


def may_ask_elsewhere(client: Any) -> bool:
    """Whether signing the next request may first fetch new credentials, which cannot be given up.

    For a client in which `install` found what it needs.
    """
    signer = client._request_signer
    token, credentials = signer._auth_token, signer._credentials
    if token is not None:
        return not isinstance(token, FrozenAuthToken)
    refresh_needed = getattr(credentials, "refresh_needed", None)
    return refresh_needed is not None and bool(refresh_needed())


class _Interruptible:
    """A connection of urllib3 that tells the Sending of its thread, if there is one, what it waits on."""

    sock: Any
    timeout: float
    _for: Sending | None = None
    _handed_over = _unwanted = False

    def connect(self) -> None:
        sending: Sending | None = getattr(_THREAD, "sending", None)
        connect: Callable[[], None] = super().connect  # type: ignore[misc]
        if sending is None:
            connect()
            return

        def connecting() -> None:
            _THREAD.connects = self
            try:
                connect()
            finally:
                self._handed_over, _THREAD.connects = False, None
                if self._unwanted:
                    self.close()

        self._handed_over, self._unwanted = True, False
        sending.connect(connecting, self.close)
        self._held_by(sending)

    def close(self) -> None:
        if self._handed_over and getattr(_THREAD, "connects", None) is not self:
            # urllib3 closes it for who gives up, under the hands of the thread that connects; that one will close it.
            self._unwanted = True
            if self._handed_over:
                return
        super().close()  # type: ignore[misc]

    def request(self, *arguments: Any, **options: Any) -> Any:
        sending: Sending | None = getattr(_THREAD, "sending", None)
        if sending is not None and self.sock is not None:
            self._held_by(sending)
        return super().request(*arguments, **options)  # type: ignore[misc]

    def getresponse(self, *arguments: Any, **options: Any) -> Any:
        if self._for is not None:
            # Connecting and sending took their part of what was left.
            self.timeout = min(self.timeout, self._for.seconds())
        return super().getresponse(*arguments, **options)  # type: ignore[misc]

    def let_go(self) -> None:
        """The answer is read: what comes next is another request."""
        sending, self._for = self._for, None
        if sending is not None:
            sending.waits_on(None)

    def _held_by(self, sending: Sending) -> None:
        self._for = sending
        self.timeout = min(self.timeout, sending.seconds())
        self.sock.settimeout(self.timeout)
        sending.waits_on(self.sock)


class _Http(_Interruptible, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _Https(_Interruptible, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _LettingGo:
    """A pool of urllib3 that takes connections back from their requests."""

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.let_go()
        super()._put_conn(connection)  # type: ignore[misc]


class _HttpPool(_LettingGo, AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Http


class _HttpsPool(_LettingGo, AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Https
