"""HTTP/1.1 on one accepted socket: just what the AWS SDK speaks, with power over how the connection breaks."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from local_bedrock.frames import CONTENT_TYPE

# On every answer: who reads it can tell that no model gave it.
STAND_IN_HEADER = "x-local-bedrock-stand-in"
IDLE_SECONDS = 120.0
TRANSFER_SECONDS = 30.0
MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 25 * 1024 * 1024

# absent outside Linux, where a client that left is then only noticed by a failing write
_HANG_UP = getattr(select, "POLLRDHUP", 0)
_GONE = _HANG_UP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class GoneError(Exception):
    """The client closed the connection, stopped reading, or the server is stopping."""


class BadRequestError(Exception):
    """Not a request that can be read; `status` is the HTTP answer, after which the connection closes."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are in lower case, `target` is as sent (still quoted)."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """An accepted socket; used by one thread, except for `shut`."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self._sock = sock
        self._stopping = stopping
        self._buffer = b""
        self.open = True
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read_request(self) -> Request | None:
        """The next request, or None if the client closed or stayed idle. Raises BadRequestError, GoneError."""
        self._sock.settimeout(IDLE_SECONDS)
        if not self._buffer and not self._fill():
            return None
        self._sock.settimeout(TRANSFER_SECONDS)
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequestError(431, "headers too long")
            if not self._fill():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        method, target, headers = _parse_head(head)
        length = _content_length(headers)
        if headers.get("expect", "").lower() == "100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts, missing = [self._buffer], length - len(self._buffer)
        while missing > 0:
            self._buffer = b""
            if not self._fill():
                return None
            parts.append(self._buffer)
            missing -= len(self._buffer)
        data = b"".join(parts)
        self._buffer = data[length:]
        return Request(method, target, headers, data[:length])

    def _fill(self) -> bool:
        try:
            data = self._sock.recv(64 * 1024)
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    # -- writing -----------------------------------------------------------------------------------------------------

    def respond(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        *,
        cut: int | None = None,
    ) -> None:
        """A whole response. With `cut` only so many bytes of the body follow the headers. Raises GoneError."""
        head = _head(status, content_type, headers or {}, f"Content-Length: {len(body)}")
        self._send(head + (body if cut is None else body[:cut]))

    def start_stream(self) -> None:
        """The headers of a chunked event stream. Raises GoneError."""
        self._send(_head(200, CONTENT_TYPE, {}, "Transfer-Encoding: chunked"))

    def chunk(self, data: bytes) -> None:
        """One HTTP chunk, sent at once. Raises GoneError."""
        self._send(b"%x\r\n%b\r\n" % (len(data), data))

    def half_chunk(self, data: bytes) -> None:
        """The beginning of a chunk that promises all of `data`. Raises GoneError."""
        self._send(b"%x\r\n%b" % (len(data), data[: len(data) // 2]))

    def end_stream(self) -> None:
        """The terminating chunk. Raises GoneError."""
        self._send(b"0\r\n\r\n")

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise GoneError from error

    # -- waiting and ending ------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass; raises GoneError as soon as the client leaves or the server stops."""
        until = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._sock, _HANG_UP)
        while (left := until - time.monotonic()) > 0:
            if self._stopping.is_set() or any(found & _GONE for _, found in poll.poll(left * 1000)):
                raise GoneError
        if self._stopping.is_set():
            raise GoneError

    def shut(self) -> None:
        """Wake the thread that serves this connection; it then closes it. Safe from any thread."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def reset(self) -> None:
        """Break the connection with RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection with FIN; harmless if it is closed."""
        self.open = False
        self._sock.close()


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequestError(400, "not an HTTP/1.1 request")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError(400, "malformed header")
        headers[name.strip().lower()] = value.strip()
    return parts[0], parts[1], headers


def _content_length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequestError(411, "a Content-Length is needed")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequestError(400, "malformed Content-Length")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequestError(413, "the request is too large")
    return int(length)


def _head(status: int, content_type: str, headers: Mapping[str, str], length: str) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\nContent-Type: {content_type}\r\n"
        f"x-amzn-RequestId: {uuid.uuid4()}\r\n{STAND_IN_HEADER}: true\r\n{extra}{length}\r\n\r\n"
    ).encode("latin-1", "replace")


_REASONS = {status.value: status.phrase for status in HTTPStatus}
