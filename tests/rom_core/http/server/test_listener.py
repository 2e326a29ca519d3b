"""The listening socket and its connections, over real sockets: what it refuses, how many it holds, how it is bound."""

from __future__ import annotations

import errno
import json
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from server_support import Serve, connect, exchange, only_what_changed, post, talks
from structlog.testing import capture_logs
from support import make_runtime, make_settings, says
from waiting import until

from rom_core.concurrency.clock import SystemClock
from rom_core.http.server.channel import Channel
from rom_core.http.server.listener import listen
from rom_core.http.server.server import Server
from rom_core.http.server.sockets import Sockets
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

_BOTH_LENGTHS = (
    b"POST /api/chat HTTP/1.1\r\nHost: rom\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    b"GET /health HTTP/1.1\r\nHost: rom\r\n\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /health HTTP/1.1\r\nHost rom\r\n\r\n", 400, "malformed_request"),
        (b"GET /health HTTP/1.1\r\nHost: rom\r\nA: " + b"x" * (1 << 18), 431, "http_error"),
        (b"POST /api/chat HTTP/1.1\r\nHost: rom\r\nContent-Length: 999999999\r\n\r\n", 413, "payload_too_large"),
        (b"POST /api/chat HTTP/1.1\r\nHost: rom\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "http_error"),
        (_BOTH_LENGTHS, 400, "malformed_request"),
        (_BOTH_LENGTHS.replace(b"Host: rom", b"Expect: 100-continue"), 400, "malformed_request"),
        (_BOTH_LENGTHS.replace(b"1.1\r\nHost: rom", b"1.0\r\nConnection: keep-alive"), 400, "malformed_request"),
    ],
)
def test_what_the_server_itself_refuses_is_a_problem_too(serve: Serve, request_: bytes, status: int, code: str) -> None:
    """Before there is a request to speak of: the same body, the operator's text, ids, and a log line with them."""
    told = f"Texto do operador para {code}."
    _, server = serve(TEXT_ERRORS={code: told})
    with capture_logs() as logs:
        answered, headers, body = exchange(server, request_)
    problem = json.loads(body)
    assert (answered, problem["status"], problem["code"]) == (status, status, code)
    assert problem["user_message"] == told
    assert ("MAX_BODY_BYTES" in problem["detail"]) == (status == 413)
    assert headers["content-type"] == "application/problem+json"
    assert headers.get("x-should-retry") == (None if status == 431 else "false")
    assert problem["trace_id"] == headers["x-trace-id"]
    assert problem["request_id"] == headers["x-request-id"] == headers["request-id"]
    assert [line["trace_id"] for line in logs if line["event"] == "http.refused"] == [problem["trace_id"]]


def test_head_on_the_wire_has_no_body(serve: Serve) -> None:
    """Two on one connection: a body, or a chunk that ends one, would break the second."""
    _, server = serve()
    request = b"HEAD /ready HTTP/1.1\r\nHost: rom\r\n"
    status, headers, rest = exchange(server, request + b"\r\n" + request + b"Connection: close\r\n\r\n")
    assert (status, int(headers["content-length"]) > 0) == (200, True)
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b"\r\n\r\n")


def resolver(*addresses: str) -> Callable[..., Any]:
    """Answers as a name with these addresses."""

    def resolve(host: str | None, port: int | str, *_: Any, **__: Any) -> list[Any]:
        if host in addresses:
            return [_entry(str(host), int(port))]
        return [_entry(address, int(port)) for address in addresses]

    return resolve


def _entry(address: str, port: int) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (
        family,
        socket.SOCK_STREAM,
        socket.IPPROTO_TCP,
        "",
        (address, port, 0, 0) if ":" in address else (address, port),
    )


def test_a_name_with_several_addresses_is_bound_once(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One socket and one port, on an IPv4 address if the name has one, and it can be stopped."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver("::1", "127.0.0.1"))
    _, server = serve(HOST="localhost")
    monkeypatch.undo()
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert exchange(server, b"GET /health HTTP/1.0\r\n\r\n")[0] == 200


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_url_of_an_ipv6_address_has_brackets(serve: Serve, host: str) -> None:
    """A client can use it as it is logged."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        # A machine without IPv6 says so in words, and gives the URL of such an address all the same.
        with pytest.raises(OSError, match=r"\w+"):
            serve(HOST=host)
        _, server = serve()
        server._server.effective_host = "::1"
    else:
        _, server = serve(HOST=host)
    assert server.url == f"http://[::1]:{server.port}"


@pytest.mark.parametrize("host", ["..a", "nowhere.invalid"])
def test_a_host_that_is_none_is_a_readable_error(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OSError with words, as for a port that is taken; the command prints those."""
    if host == "nowhere.invalid":

        def unknown(*_: Any, **__: Any) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OSError, match=r"\w+") as raised:
        listen(None, None, make_settings, host=host, port=0)
    assert raised.value.strerror


# -- many connections ------------------------------------------------------------------------------------------------


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
