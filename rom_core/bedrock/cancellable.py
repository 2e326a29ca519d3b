"""A request that is sent in the caller's own thread and can be cancelled at any moment.

Python cannot interrupt a thread that resolves a name or connects, but one that waits on a connected socket wakes when
the socket is shut down. So a thread of a pool only ever connects, which most requests do not have to, and the request
itself costs no hand-over from one thread to another.

This reaches into botocore and urllib3, by names that `make_cancellable` looks for and that
tests/rom_core/bedrock/test_cancellable.py holds to their meaning; scripts/test-newest.sh does so for the newest
versions.
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

# What a connection needs to know of the request that it carries. urllib3 makes connections and calls them in the thread
# of the request, and takes no argument of ours along, so this is kept by thread: `request` is set while one is sent,
# `connecting` is the connection that a thread of the pool makes for another.
_CURRENT = threading.local()


class CancellableRequest:
    """A request that can be cancelled while its thread waits for the other side.

    As a context manager: while the block runs, it is this thread's.

    `connect(connecting, close)` is to run `connecting`, somewhere, and to call `close` should it succeed too late.
    `seconds` tells how long the other side may at most be waited for now, to take the request or to begin its answer.
    `cancel` may be called from any thread, and wakes whoever waits for the connection's other side with an error, until
    the answer is read to its end: then the connection is no longer this request's.
    """

    def __init__(
        self, connect: Callable[[Callable[[], None], Callable[[], None]], None], seconds: Callable[[], float]
    ) -> None:
        self.connect = connect
        self.seconds = seconds
        self._lock = threading.Lock()
        self._cancelled = False
        self._socket: Any = None

    def __enter__(self) -> None:
        _CURRENT.request = self

    def __exit__(self, *_: object) -> None:
        _CURRENT.request = None

    def waits_on(self, sock: Any) -> None:
        """From now on `sock` is what the request waits on; None, nothing any more."""
        with self._lock:
            self._socket = sock
            if self._cancelled:
                self._shut()

    def cancel(self) -> None:
        """Give the request up."""
        with self._lock:
            self._cancelled = True
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


def make_cancellable(client: Any) -> bool:
    """Have `client`, which has not been used yet, send requests that its thread's CancellableRequest can cancel.

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


def may_fetch_credentials(client: Any) -> bool:
    """Whether signing the next request may first fetch new credentials, which cannot be given up.

    For a client in which `make_cancellable` found what it needs.
    """
    signer = client._request_signer
    token, credentials = signer._auth_token, signer._credentials
    if token is not None:
        return not isinstance(token, FrozenAuthToken)
    refresh_needed = getattr(credentials, "refresh_needed", None)
    return refresh_needed is not None and bool(refresh_needed())


class _CancellableConnection:
    """A connection of urllib3 that tells the CancellableRequest of its thread, if there is one, what it waits on."""

    sock: Any
    timeout: float
    _cancellable: CancellableRequest | None = None
    _connecting_elsewhere = _close_when_connected = False

    def connect(self) -> None:
        request: CancellableRequest | None = getattr(_CURRENT, "request", None)
        connect: Callable[[], None] = super().connect  # type: ignore[misc]
        if request is None:
            connect()
            return

        def connecting() -> None:
            _CURRENT.connecting = self
            try:
                connect()
            finally:
                self._connecting_elsewhere, _CURRENT.connecting = False, None
                if self._close_when_connected:
                    self.close()

        self._connecting_elsewhere, self._close_when_connected = True, False
        request.connect(connecting, self.close)
        self._wait_for(request)

    def close(self) -> None:
        if self._connecting_elsewhere and getattr(_CURRENT, "connecting", None) is not self:
            # urllib3 closes it for who gives up, under the hands of the thread that connects; that one will close it.
            self._close_when_connected = True
            if self._connecting_elsewhere:
                return
        super().close()  # type: ignore[misc]

    def request(self, *arguments: Any, **options: Any) -> Any:
        request: CancellableRequest | None = getattr(_CURRENT, "request", None)
        if request is not None and self.sock is not None:
            self._wait_for(request)
        return super().request(*arguments, **options)  # type: ignore[misc]

    def getresponse(self, *arguments: Any, **options: Any) -> Any:
        if self._cancellable is not None:
            # Connecting and sending took their part of what was left.
            self.timeout = min(self.timeout, self._cancellable.seconds())
        return super().getresponse(*arguments, **options)  # type: ignore[misc]

    def release(self) -> None:
        """The answer is read: what comes next is another request."""
        request, self._cancellable = self._cancellable, None
        if request is not None:
            request.waits_on(None)

    def _wait_for(self, request: CancellableRequest) -> None:
        self._cancellable = request
        self.timeout = min(self.timeout, request.seconds())
        self.sock.settimeout(self.timeout)
        request.waits_on(self.sock)


class _Http(_CancellableConnection, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _Https(_CancellableConnection, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _ReleasingPool:
    """A pool of urllib3 that takes connections back from their requests."""

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.release()
        super()._put_conn(connection)  # type: ignore[misc]


class _HttpPool(_ReleasingPool, AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Http


class _HttpsPool(_ReleasingPool, AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Https
