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
    `cut` may be called from any thread: whoever waits for the connection's other side wakes with an error.
    """

    def __init__(self, connect: Callable[[Callable[[], None], Callable[[], None]], None]) -> None:
        self.connect = connect
        self._lock = threading.Lock()
        self._cut = False
        self._shutdown: Callable[[], object] | None = None

    def __enter__(self) -> None:
        _THREAD.sending = self

    def __exit__(self, *_: object) -> None:
        _THREAD.sending = None

    def waits_on(self, shutdown: Callable[[], object]) -> None:
        """From now on `shutdown` is what wakes the one who waits."""
        with self._lock:
            self._shutdown = shutdown
            if not self._cut:
                return
        _quietly(shutdown)

    def cut(self) -> None:
        """Give the request up."""
        with self._lock:
            self._cut = True
            shutdown = self._shutdown
        if shutdown is not None:
            _quietly(shutdown)


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
    close: Callable[[], None]

    def connect(self) -> None:
        sending: Sending | None = getattr(_THREAD, "sending", None)
        connect: Callable[[], None] = super().connect  # type: ignore[misc]
        if sending is None:
            connect()
            return
        sending.connect(connect, self.close)
        self._exposed(sending)

    def request(self, *arguments: Any, **options: Any) -> Any:
        sending: Sending | None = getattr(_THREAD, "sending", None)
        if sending is not None and self.sock is not None:
            self._exposed(sending)
        return super().request(*arguments, **options)  # type: ignore[misc]

    def getresponse(self, *arguments: Any, **options: Any) -> Any:
        sock = self.sock
        response = super().getresponse(*arguments, **options)  # type: ignore[misc]
        sending: Sending | None = getattr(_THREAD, "sending", None)
        if sending is not None:
            # Once the body is read, the response has given its connection back, and it may be another request's.
            sending.waits_on(lambda: response.connection is not None and sock.shutdown(socket.SHUT_RDWR))
        return response

    def _exposed(self, sending: Sending) -> None:
        sock = self.sock
        sending.waits_on(lambda: sock.shutdown(socket.SHUT_RDWR))


class _Http(_Interruptible, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _Https(_Interruptible, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _HttpPool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Http


class _HttpsPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Https


def _quietly(shutdown: Callable[[], object]) -> None:
    # The other side may be gone, or the answer read, in this very moment.
    with contextlib.suppress(Exception):
        shutdown()
