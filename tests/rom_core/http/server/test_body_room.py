"""Bodies of all clients together, over real sockets: counted while they come, refused beyond the room, given back."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest
from server_support import Serve, connect, exchange, post
from support import says
from waiting import until

from rom_core import runtime as runtime_module
from rom_core.concurrency.body_room import SMALL_BYTES, BodyRoom
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

LARGE = 4 * SMALL_BYTES
HEAD = "POST /api/chat HTTP/1.1\r\nHost: rom\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two large bodies, and some small ones."""
    monkeypatch.setattr(runtime_module, "BodyRoom", lambda: BodyRoom(3 * LARGE, LARGE - 1000))


def large() -> bytes:
    """A whole request whose body is large."""
    return post(message="x" * LARGE)


def closing(request: bytes) -> bytes:
    """The same, of a client that reads until the server closes."""
    return request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


class Held:
    """A model that answers when it may."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked = threading.Semaphore(0)

    def __call__(self, attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        self.asked.release()
        assert self.go_on.wait(60)
        return says("hello")


def test_what_has_no_room_is_told_to_come_back(serve: Serve) -> None:
    """503 with Retry-After before it is sent; a message finds room all the same, and all is free in the end."""
    model = Held()
    runtime, server = serve(model)
    clients = [connect(server) for _ in range(2)]
    for client in clients:
        client.sendall(large())
    assert all(model.asked.acquire(timeout=60) for _ in clients)
    assert 2 * LARGE < runtime.body_room.bytes < 2 * LARGE + 1000
    head = f"{HEAD}Content-Length: {LARGE}\r\n\r\n".encode()
    status, headers, body = exchange(server, head)
    assert (status, json.loads(body)["code"], headers["retry-after"]) == (503, "overloaded", "10")
    with connect(server) as client:
        client.sendall(post())
        assert model.asked.acquire(timeout=60)
        model.go_on.set()
        assert client.recv(12) == b"HTTP/1.1 200"
    for client in clients:
        assert client.recv(12) == b"HTTP/1.1 200"
        client.close()
    assert until(lambda: runtime.body_room.bytes == 0)
    assert exchange(server, closing(large()))[0] == 200


def test_bodies_count_as_they_come(serve: Serve) -> None:
    """In chunks, of a length that nobody knows before; who leaves gives back what was there."""
    runtime, server = serve()
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    with connect(server) as slow:
        slow.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 15)
        assert until(lambda: runtime.body_room.bytes == 15 * 0x8000)
        status, _, body = exchange(server, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 8)
        assert (status, json.loads(body)["code"]) == (503, "overloaded")
    assert until(lambda: runtime.body_room.bytes == 0)


def test_an_administrator_is_let_in(serve: Serve) -> None:
    """Whatever clients send: the switch that stops them has no want of room."""
    runtime, server = serve(ADMIN_TOKEN="ops=" + "0" * 32)
    share = runtime.body_room.share()
    assert share.grow_to(2 * LARGE)
    assert runtime.body_room.share().grow_to(SMALL_BYTES)
    head = "POST /admin/nothing HTTP/1.1\r\nHost: rom\r\nConnection: close\r\n"
    small = f"{head}Authorization: Bearer {'0' * 32}\r\nContent-Length: {SMALL_BYTES}\r\n\r\n".encode()
    status, _, _ = exchange(server, small + b"x" * SMALL_BYTES)
    assert status == 404
    share.give_back()


def test_no_place_is_held_while_clients_upload(serve: Serve) -> None:
    """However many send slowly, everybody else is answered: a place is taken once the body is here."""
    runtime, server = serve(HTTP_THREADS=14)
    slow: list[socket.socket] = []
    for _ in range(3 * runtime.max_turns + 20):
        client = connect(server)
        client.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n{{".encode())
        slow.append(client)
    assert until(lambda: runtime.body_room.bytes == len(slow))
    assert runtime.admitted == 0
    assert exchange(server, closing(post()))[0] == 200
    for client in slow:
        client.close()
    assert until(lambda: runtime.body_room.bytes == 0)
