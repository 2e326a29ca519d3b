"""A server in this process, and clients of it over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from support import says

from rom_core.http.server.server import Server
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

Serve = Callable[..., tuple[Runtime, Server]]


def only_what_changed(server: Server) -> None:
    """From now on the loop no longer looks at all connections once a second: what happens, was noticed at once."""
    server._server.sockets.now = lambda: 0.0


def post(**body: Any) -> bytes:
    """POST /api/chat as bytes."""
    raw = json.dumps({"message": "question"} | body).encode()
    head = (
        f"POST /api/chat HTTP/1.1\r\nHost: rom\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


def connect(server: Server) -> socket.socket:
    """A connection with a small receive buffer."""
    client = socket.socket()
    client.settimeout(60)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    return client


def exchange(server: Server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send it and read until the server closes: status, headers by lower-case name, body."""
    answer = b""
    with connect(server) as client:
        client.sendall(request)
        while piece := client.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


def talks(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
    """A model that talks until the turn ends."""
    while not attempt.turn.cancel.cancelled:
        attempt.text("x" * 16384)
    attempt.call.check()
    return says("x")


def health(client: socket.socket) -> bytes:
    """GET /health over this connection, and the status line of the answer."""
    client.sendall(b"GET /health HTTP/1.1\r\nHost: rom\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        piece = client.recv(65536)
        if not piece:
            break
        answer += piece
    return answer.partition(b"\r\n")[0]
