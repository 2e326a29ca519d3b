"""How many connections the server holds, and who makes room when there are too many."""

from __future__ import annotations

import errno
import socket
import threading
from typing import Any

import pytest
from server_support import Serve, connect, health, post
from structlog.testing import capture_logs
from support import says
from waiting import until

from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


def closed(client: socket.socket) -> bool:
    """Whether the server has closed the connection."""
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        client.settimeout(60)


def test_idle_connections_make_room_for_those_that_ask(serve: Serve) -> None:
    """Three times as many as may be: all are taken, those that rested longest go, who is being answered stays."""
    waiting: list[str] = []

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        waiting.append("here")
        attempt.turn.cancel.event.wait(60)
        attempt.call.check()
        return says("late")

    runtime, server = serve(model)
    server._server.adj.connection_limit = 100
    busy = connect(server)
    busy.sendall(post())
    assert until(lambda: waiting)
    with capture_logs() as logs:
        idle = [connect(server) for _ in range(299)]
        assert health(idle[-1]) == b"HTTP/1.1 200 OK"
    assert len(server._server.active_channels) <= 100
    assert all(closed(client) for client in idle[:150])
    assert not any(closed(client) for client in idle[-10:])
    assert not closed(busy)
    assert runtime.admitted == 1
    assert {line["event"] for line in logs if line["log_level"] == "warning"} == {"http.connections_full"}
    for client in (busy, *idle):
        client.close()
    assert until(lambda: not runtime.admitted)


def test_out_of_descriptors_the_loop_makes_room_and_does_not_spin(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits to be let in keeps the listening socket ready: he is tried again after a while, not without pause."""
    accept, refused, short = socket.socket.accept, [], True
    now = 1000.0

    def scarce(self: socket.socket) -> Any:
        if short:
            refused.append(self)
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    _, server = serve(says("hello"))
    server._server.now = lambda: now

    def rounds(number: int) -> None:
        for _ in range(number):
            made = threading.Event()
            server._server.trigger.pull_trigger(made.set)
            assert made.wait(60)

    with connect(server) as idle:
        assert health(idle) == b"HTTP/1.1 200 OK"
        assert until(lambda: all(channel.rests for channel in server._server.active_channels.values()))
        monkeypatch.setattr(socket.socket, "accept", scarce)
        with connect(server) as late:
            assert until(lambda: refused)
            assert until(lambda: closed(idle))
            rounds(20)
            assert len(refused) == 1
            now += 0.6
            rounds(20)
            assert len(refused) == 2
            short = False
            now += 0.6
            assert health(late) == b"HTTP/1.1 200 OK"


def test_with_nobody_idle_the_limit_holds(serve: Serve) -> None:
    """Connections that are being answered are not closed for others; those wait until there is room."""
    _, server = serve(says("hello"))
    held = [connect(server) for _ in range(40)]
    assert until(lambda: len(server._server.active_channels) == 40)
    channels = list(server._server.active_channels.values())
    for channel in channels:
        channel.requests = [object()]  # As while it is being answered.
    server._server.adj.connection_limit = 40
    with connect(server) as late:
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            health(late)
        assert all(channel.connected for channel in channels)
        for channel in channels:
            channel.requests = []
        late.settimeout(60)
        assert late.recv(15) == b"HTTP/1.1 200 OK"
    for client in held:
        client.close()
