"""How answers leave over real sockets: head and body together, no body where none may be, and without a wait."""

from __future__ import annotations

import select
import threading
import time
from typing import Any

import pytest
from server_support import Serve, connect, exchange, health, only_what_changed, post, talks
from support import make_runtime, says

from rom_core.concurrency.clock import SystemClock
from rom_core.http.server.channel import Channel
from rom_core.http.server.server import Server
from rom_core.http.server.sockets import Sockets
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


def test_head_on_the_wire_has_no_body(serve: Serve) -> None:
    """Two on one connection: a body, or a chunk that ends one, would break the second."""
    _, server = serve()
    request = b"HEAD /ready HTTP/1.1\r\nHost: rom\r\n"
    status, headers, rest = exchange(server, request + b"\r\n" + request + b"Connection: close\r\n\r\n")
    assert (status, int(headers["content-length"]) > 0) == (200, True)
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b"\r\n\r\n")


def test_head_and_body_of_an_answer_come_together(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One packet for a whole answer: two would cost two system calls and, on a slow network, a round trip."""
    sent: list[bytes] = []
    send = Channel.send

    def spy(self: Any, data: bytes, do_close: bool = True) -> Any:
        sent.append(bytes(data))
        return send(self, data, do_close)

    monkeypatch.setattr(Channel, "send", spy)
    _, server = serve(says("hello"))
    with connect(server) as client:
        assert health(client) == b"HTTP/1.1 200 OK"
        assert health(client) == b"HTTP/1.1 200 OK", "and the connection is kept"
    assert [(piece[:8], piece[-1:]) for piece in sent] == [(b"HTTP/1.1", b"}")] * 2


@pytest.mark.parametrize("path", ["/health", "/nowhere"])
def test_an_answer_without_a_body_still_has_its_head(serve: Serve, path: str) -> None:
    """HEAD: nothing follows that the head could wait for."""
    _, server = serve(says("hello"))
    status, headers, body = exchange(server, f"HEAD {path} HTTP/1.1\r\nHost: rom\r\nConnection: close\r\n\r\n".encode())
    assert status == (200 if path == "/health" else 404)
    assert int(headers["content-length"]) > 0
    assert body == b""


def test_without_epoll_the_server_serves_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems than Linux waitress's own loop serves, and nothing is kept for a loop that does not run."""
    monkeypatch.setattr(Sockets, "available", False)
    monkeypatch.delattr(select, "epoll")
    _, server = serve(talks)
    with connect(server) as quick, connect(server) as reader:
        assert health(quick) == b"HTTP/1.1 200 OK"
        reader.sendall(post(stream=True))
        received = 0
        while received < 1_000_000:
            received += len(reader.recv(65536))
        assert health(quick) == b"HTTP/1.1 200 OK"
    assert not server._server.sockets._changed


def test_a_body_that_may_not_be_sent_keeps_the_head_from_nobody() -> None:
    """An app gives a body to a status that has none: the client gets its 204 without it."""
    runtime, _ = make_runtime(clock=SystemClock(), PORT=0)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("204 No Content", [])
        return [b"ignored"]

    server = Server(app, runtime)
    server.start()
    try:
        with connect(server) as client:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: rom\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 204 No Content\r\n")
    finally:
        server.stop(1)
        runtime.stop()


def test_a_new_connection_is_heard_and_an_answered_one_closed_at_once(serve: Serve) -> None:
    """Neither waits for the look at all connections that the loop takes once a second."""
    _, server = serve(says("hello"))
    only_what_changed(server)
    for _ in range(5):
        status, _, _ = exchange(server, b"GET /health HTTP/1.1\r\nHost: rom\r\nConnection: close\r\n\r\n")
        assert status == 200


def test_the_loop_does_not_spin_while_a_thread_writes(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread is in the middle of an answer: the loop looks now and then, and sends what that one leaves."""
    ended = threading.Event()
    began = threading.Event()

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        began.set()
        assert ended.wait(60)
        return says("late")

    tries: list[float] = []
    handle_write = Channel.handle_write

    def spy(self: Any) -> None:
        tries.append(time.monotonic())
        handle_write(self)

    monkeypatch.setattr(Channel, "handle_write", spy)
    _, server = serve(model)
    with connect(server) as client:
        client.sendall(post())
        assert began.wait(60)
        (channel,) = server._server.active_channels.values()
        only_what_changed(server)
        for _ in range(5):
            with channel.outbuf_lock:
                tries.clear()
                channel.outbufs[-1].append(b"written")
                channel.total_outbufs_len += 7
                server._server.trigger.pull_trigger()
                time.sleep(0.1)
                assert tries == []
            assert client.recv(7) == b"written"
        ended.set()
        assert client.recv(15) == b"HTTP/1.1 200 OK"
