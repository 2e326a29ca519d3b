"""Clients that leave, or that do not read what they asked for: what they hold, and for how long."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from server_support import Serve, connect, only_what_changed, post, talks
from support import says
from waiting import until

from plugins.limiter import Limiter
from rom_core.http.server.listener import STALLED_SECONDS
from rom_core.http.server.server import Server
from rom_core.http.stream import MAX_UNREAD_BYTES
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


@pytest.mark.parametrize("requests", [1, 2, 5])
def test_a_client_that_leaves_is_noticed_whatever_it_has_sent_ahead(serve: Serve, requests: int) -> None:
    """Pipelined requests in line do not hide that nobody waits for the answer."""
    ended: list[str] = []

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        ended.append("began")
        attempt.turn.cancel.event.wait(60)
        ended.append(str(attempt.turn.cancel.reason))
        attempt.call.check()
        return says("late")

    runtime, server = serve(model)
    client = connect(server)
    client.sendall(post() * requests)
    assert until(lambda: ended)
    client.close()
    assert until(lambda: not runtime.admitted)
    assert ended == ["began", "client_gone"]


def stuffed(server: Server) -> bool:
    """Whether some connection has as much unread as may be."""
    return any(channel.total_outbufs_len > 200_000 for channel in server._server.active_channels.values())


def test_a_client_that_does_not_read_makes_the_turn_wait(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unread is bounded, by characters in line and bytes in the server, not by what the model can say."""
    said: list[int] = []
    waiting = threading.Event()
    piece = 16384

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        while not attempt.turn.cancel.cancelled:
            attempt.text("x" * piece)
            said.append(1)
        attempt.call.check()
        return says("x")

    class Waits(threading.Event):
        """A turn's cancellation, which the turn waits for while its reader is too far behind."""

        def wait(self, timeout: float | None = None) -> bool:
            waiting.set()
            return super().wait(timeout)

    runtime, server = serve(model)
    make = runtime.turn

    def turn(*arguments: Any, **options: Any) -> Any:
        made = make(*arguments, **options)
        made.cancel.event = Waits()
        return made

    monkeypatch.setattr(runtime, "turn", turn)
    with connect(server) as client:
        client.sendall(post(stream=True))
        assert waiting.wait(60)
        assert runtime.admitted == 1
        assert MAX_UNREAD_BYTES // 2 < len(said) * piece < MAX_UNREAD_BYTES + 8 * 1024 * 1024
    assert until(lambda: not runtime.admitted and not server._dispatcher.busy)


def test_a_slot_is_the_models_not_the_readers(serve: Serve) -> None:
    """Two million characters, and clients that read none of them: the slot is free when the model has done."""
    ended: list[str] = []

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        for _ in range(2000):
            attempt.text("x" * 1000)
        return says("x")

    def count(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        ended.append("x")
        return model(attempt, request)

    runtime, server = serve(
        *[count] * 4,
        plugins={"limiter": Limiter()},
        BOTTLENECK_LIMITER_ENABLED=True,
        MAX_CONCURRENT_REQUESTS=1,
        MAX_QUEUE_SIZE=0,
    )
    clients = []
    for number in range(4):
        clients.append(connect(server))
        clients[-1].sendall(post(stream=True))
        assert until(lambda: len(ended) == number + 1 and not runtime.active_turns)
    received = b""
    while b"event: done" not in received:
        received = received[-20:] + clients[0].recv(1 << 20)
    for client in clients:
        client.close()


def test_a_client_that_does_not_read_holds_no_thread_for_ever(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after the deadline its connection is closed: the thread and the place are free."""
    runtime, server = serve(talks)
    with connect(server) as client:
        client.sendall(post(stream=True))
        assert until(lambda: stuffed(server))
        assert server._dispatcher.busy
        # The watchdog looks at it again and again.
        monkeypatch.setattr("rom_core.http.stream.READING_SECONDS", -1000.0)
        assert until(lambda: not server._dispatcher.busy and not runtime.admitted)
        assert until(lambda: not server._server.active_channels)


def test_a_connection_that_takes_nothing_is_closed(serve: Serve) -> None:
    """Whatever waits to be read, of a stream or of answers to requests sent ahead; one that reads stays open."""
    _, server = serve(says("hello"))

    def look(later: float) -> None:
        done = threading.Event()

        def maintain() -> None:
            server._server.maintenance(time.time() + later)
            done.set()

        server._server.trigger.pull_trigger(maintain)
        assert done.wait(60)

    with connect(server) as idle, connect(server) as client:
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: rom\r\n\r\n")
        assert b"200 OK" in idle.recv(100)
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: rom\r\n\r\n" * 200)
        assert until(lambda: stuffed(server))
        look(STALLED_SECONDS / 2)
        assert stuffed(server)
        look(STALLED_SECONDS + 1)
        assert until(lambda: not server._dispatcher.busy and not stuffed(server))
        assert len(server._server.active_channels) == 1


def test_what_a_client_is_slow_to_take_goes_out_as_it_takes_it(serve: Serve) -> None:
    """Ten times what may lie unread: the loop sends on as soon as there is room, not once a second."""
    _, server = serve(talks)
    with connect(server) as client:
        only_what_changed(server)
        client.sendall(post(stream=True))
        received = 0
        while received < 2_500_000:
            piece = client.recv(1 << 20)
            assert piece, received
            received += len(piece)
