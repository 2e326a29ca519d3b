"""What a stranger's connection may cost, over real sockets: refused by its head, answered, and then let go."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
import threading
import time
from typing import Any

import pytest
import structlog
from server_support import Serve
from structlog.testing import capture_logs
from support import says
from waiting import until

from rom_core.http.problems import problem
from rom_core.http.server.channel import DISCARD_SECONDS, Channel
from rom_core.http.server.dispatcher import Dispatcher
from rom_core.http.server.listener import BODY_SECONDS, HEAD_SECONDS
from rom_core.http.server.server import Server
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

LONG = 20.0
KEY = "the-key-of-a-test-and-nothing-else-0"
POST = b"POST /api/chat HTTP/1.1\r\nHost: rom\r\nContent-Type: application/json\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: rom\r\n\r\n"


def connect(server: Server) -> socket.socket:
    """A connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=LONG)


def look(server: Server, later: float) -> None:
    """Have the loop look after its connections as if it were `later` seconds from now."""
    done = threading.Event()

    def maintain() -> None:
        server._server.maintenance(time.time() + later)
        done.set()

    server._server.trigger.pull_trigger(maintain)
    assert done.wait(LONG)


def answers(client: socket.socket) -> list[tuple[int, dict[str, Any]]]:
    """Everything that comes until the server closes: statuses and JSON bodies. Raises ConnectionError on a reset."""
    raw = b""
    while piece := client.recv(65536):
        raw += piece
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        length = int(
            next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split()[1]
        )
        found.append((int(head.split()[1]), json.loads(rest[:length])))
        raw = rest[length:]
    return found


def channels(server: Server) -> list[Any]:
    """The server's side of the connections."""
    return list(server._server.active_channels.values())


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"Authorization: Bearer " + KEY.encode() + b"\r\nContent-Length: 5000000\r\n\r\n", "payload_too_large"),
        (b"X-Api-Key: " + KEY.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n4C4B40\r\n", "payload_too_large"),
        (b"X-Api-Key: wrong\r\nContent-Length: 5000000\r\n\r\n", "unauthorized"),
        (b"Content-Length: 5000000\r\n\r\n", "unauthorized"),
        (b"Content-Length: 5000000\r\nA: b\r\n c\r\n\r\n", "malformed_request"),
        (b"Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n", "unauthorized"),
    ],
)
def test_the_refusal_of_a_large_body_arrives(serve: Serve, head: bytes, code: str) -> None:
    """5 MB are sent by somebody who reads only afterwards: no reset, one answer, and nothing of it is kept."""
    _, server = serve(API_KEYS=f"key={KEY}", MAX_BODY_BYTES=1_000_000, MAX_ATTACHMENT_BYTES=1_000_000)
    for _ in range(5):
        with connect(server) as client:
            client.sendall(POST + head)
            client.sendall(b"x" * 5_000_000)
            client.shutdown(socket.SHUT_WR)
            ((_, problem),) = answers(client)
        assert problem["code"] == code
    assert until(lambda: not channels(server))


def test_who_says_no_more_is_coming_is_still_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-closed before the refusal was written: it arrives, and the connection ends."""
    _, server = serve()
    half_closed = threading.Event()

    def late(*arguments: Any) -> Any:
        assert half_closed.wait(LONG)
        assert until(lambda: channels(server)[0]._discard_until == 0)
        return problem(*arguments)

    monkeypatch.setattr("rom_core.http.server.channel.problem", late)
    with connect(server) as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        half_closed.set()
        ((status, _),) = answers(client)
    assert status == 400
    assert until(lambda: not channels(server))


def test_a_body_without_a_key_is_not_kept(serve: Serve) -> None:
    """Forty connections with half a megabyte each: the server holds none of it, wherever it would have kept it."""
    _, server = serve(API_KEYS=f"key={KEY}")
    clients = [connect(server) for _ in range(40)]
    for client in clients:
        client.sendall(POST + b"Content-Length: 600000\r\n\r\n" + b"x" * 500_000)
    for client in clients:
        assert client.recv(12) == b"HTTP/1.1 401"
    held = [channel.request.body_rcv for channel in channels(server) if channel.request is not None]
    assert held == []
    for client in clients:
        client.close()


def test_a_body_for_what_reads_none_is_thrown_away(serve: Serve) -> None:
    """Open routes need no key, and so nobody could say who sends it: the answer is that of the app, then the end."""
    _, server = serve(API_KEYS=f"key={KEY}")
    for method, status in ((b"GET", 200), (b"PUT", 405)):
        with connect(server) as client:
            client.sendall(
                method + b" /health HTTP/1.1\r\nHost: rom\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000
            )
            ((answered, _),) = answers(client)
        assert answered == status


def test_who_goes_on_sending_is_let_go_after_a_while(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is thrown away is thrown away for some seconds only, whether or not the client ever reads its answer."""
    assert DISCARD_SECONDS == 5
    monkeypatch.setattr("rom_core.http.server.channel.DISCARD_SECONDS", 0.2)
    _, server = serve(API_KEYS=f"key={KEY}")

    def closed(client: socket.socket) -> bool:
        try:
            client.sendall(b"x" * 1000)
        except OSError:
            return True
        return False

    with connect(server) as client:
        client.sendall(POST + b"Content-Length: 999999\r\n\r\n")
        assert until(lambda: closed(client))
    assert until(lambda: not channels(server))


def test_a_head_that_never_ends_is_not_waited_for(serve: Serve) -> None:
    """A byte now and then keeps a connection open for half a minute, not for ever; one at rest stays."""
    _, server = serve()
    with connect(server) as slow, connect(server) as idle:
        idle.sendall(GET)
        assert idle.recv(12) == b"HTTP/1.1 200"
        slow.sendall(b"GET /health HT")
        assert until(lambda: any(channel.head_since for channel in channels(server)))
        # The thread that has sent the answer may not have noted that yet.
        assert until(lambda: all(channel.rests for channel in channels(server)))
        look(server, HEAD_SECONDS / 2)
        assert len(channels(server)) == 2
        look(server, HEAD_SECONDS + 1)
        assert slow.recv(1) == b""
        assert len(channels(server)) == 1


def test_a_body_that_never_ends_is_not_waited_for(serve: Serve) -> None:
    """Who has a key and sends a byte now and then has two minutes for a body; then its place is somebody else's."""
    _, server = serve()
    with connect(server) as slow:
        slow.sendall(POST + b"Content-Length: 100\r\n\r\n{")
        assert until(lambda: any(channel.body_since for channel in channels(server)))
        look(server, BODY_SECONDS / 2)
        assert len(channels(server)) == 1
        slow.sendall(b" ")
        look(server, BODY_SECONDS + 1)
        # The byte that nobody took makes it a reset, if it comes first.
        with contextlib.suppress(ConnectionResetError):
            assert slow.recv(1) == b""
        assert not channels(server)


def test_a_large_body_that_is_never_whole_leaves_no_file_open(serve: Serve) -> None:
    """waitress reads one into a temporary file, and leaves it to chance when that is closed."""
    _, server = serve()
    with connect(server) as client:
        client.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 700_000)

        def bodies() -> list[Any]:
            requests = [channel.request for channel in channels(server)]
            return [request.body_rcv.getbuf() for request in requests if request is not None and request.body_rcv]

        assert until(lambda: any(len(body) >= 700_000 for body in bodies()))
        file = bodies()[0].getfile()
        assert file.name is not None
    assert until(lambda: file.closed)


def test_who_waits_for_an_answer_is_not_too_slow(serve: Serve) -> None:
    """An empty line after a request, as old clients send it, does not cost its answer, however late that comes."""
    go = threading.Event()

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        assert go.wait(LONG)
        return says("late")

    _, server = serve(model)
    body = b'{"message": "oi"}'
    with connect(server) as client:
        client.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + b"\r\n")
        assert until(lambda: any(channel.head_since for channel in channels(server)))
        look(server, HEAD_SECONDS + 1)
        go.set()
        assert client.recv(12) == b"HTTP/1.1 200"


def test_heads_read_ahead_are_bounded(serve: Serve) -> None:
    """While one request is answered no more than some heads of the next are taken in, however large they are."""
    go = threading.Event()

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        assert go.wait(LONG)
        return says("late")

    _, server = serve(model)
    body = b'{"message": "oi"}'
    large = GET.replace(b"\r\n\r\n", b"\r\nA: " + b"x" * 30_000 + b"\r\n\r\n")
    with connect(server) as client:
        client.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert until(lambda: server._dispatcher.busy)
        threading.Thread(target=client.sendall, args=(large * 8,), daemon=True).start()
        (channel,) = channels(server)
        assert until(lambda: len(channel.requests) >= 3)
        for _ in range(50):
            made = threading.Event()
            server._server.trigger.pull_trigger(made.set)
            assert made.wait(LONG)
        assert len(channel.requests) <= 4
        go.set()
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 9:
            received += client.recv(65536)


def test_a_malformed_request_and_a_fin_are_one_line(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipelined behind another, its client gone while it is refused: no traceback, and no ids but its own."""
    _, server = serve()
    refusing = threading.Event()

    def late(*arguments: Any) -> Any:
        refusing.set()
        assert until(lambda: not channels(server))
        return problem(*arguments)

    monkeypatch.setattr("rom_core.http.server.channel.problem", late)
    trace = "0af7651916cd43dd8448eb211c80319c"
    first = GET.replace(b"\r\n\r\n", f"\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\n\r\n".encode())
    with capture_logs([structlog.contextvars.merge_contextvars]) as logs, caplog.at_level(logging.WARNING):
        with connect(server) as client:
            client.sendall(first + b"NONSENSE\r\n\r\n")
            assert refusing.wait(LONG)
            # No FIN, which the client of a refusal may send and still read, but a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert until(lambda: any(line["event"] == "http.refused" for line in logs))
        assert until(lambda: not server._dispatcher.busy)
    (refused,) = [line for line in logs if line["event"] == "http.refused"]
    assert (refused["status"], refused["address"]) == (400, "127.0.0.1")
    assert refused["trace_id"] != trace
    assert refused["request_id"].startswith("req-")
    assert not [line for line in logs if line["log_level"] in ("error", "critical")]
    assert caplog.records == []


def test_pipelines_of_reads_do_not_starve_chats(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty connections send reads, each more of them than are ever answered: the fifth request served is the chat."""
    order: list[str] = []
    service = Channel.service

    def spy(self: Any) -> None:
        order.append(self.requests[0].path)
        service(self)

    monkeypatch.setattr(Channel, "service", spy)
    start = Dispatcher.set_thread_count
    monkeypatch.setattr(Dispatcher, "set_thread_count", lambda *_: None)
    _, server = serve()
    waiting: Any = server._dispatcher.queue
    clients = [connect(server) for _ in range(60)]
    for client in clients:
        client.sendall(b"GET /nothing HTTP/1.1\r\nHost: rom\r\n\r\n" * 5)
    assert until(lambda: len(waiting) == 60)
    body = b'{"message": "oi"}'
    with connect(server) as client:
        client.sendall(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert until(lambda: len(waiting) == 61)
        start(server._dispatcher, 1)
        ((status, answer),) = answers(client)
    assert (status, answer["reply"]) == (200, "hello")
    assert order.index("/api/chat") == 4
    for client in clients:
        client.close()
    monkeypatch.undo()
    server._dispatcher.set_thread_count(4)


@pytest.mark.parametrize("later", [b"", b"GET /health HTTP/1.1\r\nHost: rom\r\n\r\n"])
def test_forty_thousand_spaces_are_refused_without_work(serve: Serve, later: bytes) -> None:
    """waitress took ten seconds of the loop's time for them; here it is less than a tenth of one of the process's."""
    _, server = serve()
    began = time.process_time()
    with connect(server) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: rom\r\nA:" + b" " * 40_000 + b"x\r\n\r\n" + later)
        ((status, _),) = answers(client)
    assert status in (400, 431)
    assert time.process_time() - began < 0.5
