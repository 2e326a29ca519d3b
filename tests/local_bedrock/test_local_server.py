"""The server itself: what it records, parallel clients, clients that leave, keep-alive, odd HTTP, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import local_bedrock as package
from local_bedrock import LocalBedrock, fault, main, reply
from rom_core.concurrency.clock import FakeClock

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def address(server: LocalBedrock) -> tuple[str, int]:
    """Where it listens."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


def raw(server: LocalBedrock, data: bytes) -> bytes:
    """Send bytes, read until the server closes."""
    with socket.create_connection(address(server), timeout=60) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def local_threads() -> list[str]:
    """Threads of any local Bedrock."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("local-bedrock")]


def test_requests_are_recorded(bedrock_local: LocalBedrock, client: Any) -> None:
    """Each request is kept in order, with operation, JSON as sent and headers."""
    client.converse("um", inferenceConfig={"temperature": 0.5})
    client.stream("dois")
    first, second = bedrock_local.requests
    assert (first.operation, second.operation) == ("Converse", "ConverseStream")
    assert first.model_id == SONNET
    assert first.body == {
        "messages": [{"role": "user", "content": [{"text": "um"}]}],
        "inferenceConfig": {"temperature": 0.5},
    }
    assert first.headers["authorization"].startswith("AWS4-HMAC-SHA256")
    assert first.at <= second.at


def test_reset_forgets(bedrock_local: LocalBedrock, client: Any) -> None:
    """After reset there are no requests, orders or counts."""
    client.converse()
    bedrock_local.script(fault(500))
    bedrock_local.set_always(fault(500))
    bedrock_local.reset()
    assert bedrock_local.requests == []
    assert bedrock_local.aborted == 0
    assert client.converse()["stopReason"] == "end_turn"


def test_standing_order(bedrock_local: LocalBedrock, client: Any) -> None:
    """set_always holds for every request until it is taken back."""
    bedrock_local.set_always(reply("sempre"))
    assert {client.converse()["output"]["message"]["content"][0]["text"] for _ in range(3)} == {"sempre"}
    bedrock_local.set_always(None)
    assert client.converse()["output"]["message"]["content"][0]["text"] != "sempre"


def test_parallel_clients(bedrock_local: LocalBedrock, client: Any, eventually: Callable[..., None]) -> None:
    """Sixteen threads get each their own answer, whole, and none is lost."""

    def ask(number: int) -> bool:
        events = client.stream(f"[[say=resposta {number}]]")
        said = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
        return said == f"resposta {number}" and "metadata" in events[-1]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(160)))
    assert len(bedrock_local.requests) == 160
    eventually(lambda: (bedrock_local.active, bedrock_local.aborted) == (0, 0))


def test_scripted_faults_are_shared_exactly(bedrock_local: LocalBedrock, client: Any) -> None:
    """Of parallel requests exactly as many fail as faults were queued."""
    bedrock_local.script(fault(503, times=5))

    def ask(_: int) -> bool:
        try:
            client.converse()
        except client.boto.exceptions.ServiceUnavailableException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))).count(False) == 5


def test_events_are_sent_at_once(bedrock_local: LocalBedrock, client: Any) -> None:
    """The first delta is read while the stream is still open on the server."""
    events = client.events("[[say=um dois três]] [[fault=hang_stream]] [[after=1]]")
    assert "messageStart" in next(events)
    assert next(events)["contentBlockDelta"]["delta"]["text"] == "um "
    assert bedrock_local.active == 1
    events.close()


def test_client_that_leaves_is_noticed(
    bedrock_local: LocalBedrock, client: Any, eventually: Callable[..., None]
) -> None:
    """Closing the stream ends the request on the server at once, long before its next event is due."""
    events = client.events("[[say=um dois três]] [[delay=60]]")
    assert "messageStart" in next(events)
    events.close()
    eventually(lambda: (bedrock_local.active, bedrock_local.aborted) == (0, 1))


def test_finished_streams_are_not_aborted(bedrock_local: LocalBedrock, client: Any) -> None:
    """Only streams that lost their client count; ends and faults of the server do not."""
    client.stream()
    client.stream("[[fault=no_stop]]")
    with pytest.raises(client.boto.exceptions.ThrottlingException):
        client.stream("[[fault=429]]")
    assert bedrock_local.aborted == 0


def test_delays_pass_before_the_pieces(client: Any) -> None:
    """latency comes before the headers, delay before every delta."""
    began = time.monotonic()
    client.stream("[[say=um dois três]] [[latency=0.03]] [[delay=0.01]]")
    assert time.monotonic() - began >= 0.06


def test_connection_is_kept_alive(bedrock_local: LocalBedrock, client: Any) -> None:
    """Answers, errors and whole streams leave the connection open for the next request."""
    for _ in range(3):
        client.converse()
        client.stream()
        with pytest.raises(client.boto.exceptions.ThrottlingException):
            client.converse("[[fault=429]]")
    assert local_threads().count("local-bedrock-connection") == 1


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"GET /model/x/converse HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"POST /model/x/invoke HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nbroken\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 411 Length Required"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"HTTP/1.1 413"),
        (b"GET / HTTP/1.1\r\na: " + b"x" * 70000, b"HTTP/1.1 431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", b""),
        (b"GET / HT", b""),
        (b"", b""),
    ],
)
def test_odd_http(bedrock_local: LocalBedrock, data: bytes, answer: bytes) -> None:
    """What is no request to a model is answered or dropped, with a request id on every answer."""
    got = raw(bedrock_local, data)
    assert got.startswith(answer)
    assert bool(got) == bool(answer)
    assert got.count(b"x-amzn-RequestId: ") == bool(answer)
    assert bedrock_local.requests == []


def test_pipelined_and_expected(bedrock_local: LocalBedrock) -> None:
    """Two requests in one packet get two answers; a client that waits for 100 Continue gets it."""
    one = b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n"
    got = raw(bedrock_local, one + b"\r\nab" + one + b"Expect: 100-continue\r\n\r\nab")
    assert got.count(b"HTTP/1.1 404") == 2
    assert got.count(b"HTTP/1.1 100 Continue\r\n\r\n") == 1


@pytest.mark.parametrize("orders", ["[[fault=hang]]", "[[fault=hang_stream]]", "[[latency=500]]", "[[delay=500]]"])
def test_stop_ends_waiting_requests(
    connect: Callable[..., Any], bedrock_local: LocalBedrock, eventually: Callable[..., None], orders: str
) -> None:
    """stop() interrupts every wait, leaves no thread, and its requests do not count as aborted."""
    client = connect()

    def ask() -> bool:
        try:
            client.stream(orders)
        except Exception:  # noqa: BLE001 - which one depends on where the connection breaks
            return True
        return False

    with ThreadPoolExecutor(1) as pool:
        failed = pool.submit(ask)
        eventually(lambda: bedrock_local.active == 1)
        began = time.monotonic()
        bedrock_local.stop()
        assert failed.result(timeout=60)
    # What it would otherwise sit out is ten minutes.
    assert time.monotonic() - began < 60
    assert local_threads() == []
    eventually(lambda: (bedrock_local.active, bedrock_local.aborted) == (0, 0))


def descriptors() -> set[int]:
    """Those that are open."""

    def is_open(number: int) -> bool:
        try:
            os.fstat(number)
        except OSError:
            return False
        return True

    return set(filter(is_open, range(1 << 14)))


def test_stop_leaves_no_socket() -> None:
    """After stop the port is free and all descriptors are closed, idle connections included."""
    before = descriptors()
    server = LocalBedrock().start()
    where = address(server)
    with socket.create_connection(where, timeout=60) as idle:
        idle.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        assert idle.recv(1000).endswith(b'{"status":"ok"}')
        server.stop()
        assert idle.recv(1) == b""
    assert descriptors() <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, timeout=60)
    with LocalBedrock(*where) as again:
        assert address(again) == where


def test_life_cycle_errors() -> None:
    """A server that runs cannot be started, one that does not has no URL; stop twice and start again are fine."""
    server = LocalBedrock()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    with server, pytest.raises(RuntimeError, match="already running"):
        server.start()
    server.stop()
    with server:
        assert raw(server, b"GET /health HTTP/1.1\r\n\r\n").endswith(b'{"status":"ok"}')


def test_taken_address_is_an_error(bedrock_local: LocalBedrock) -> None:
    """Starting on a port in use raises OSError and leaves the second server stopped."""
    second = LocalBedrock(*address(bedrock_local))
    with pytest.raises(OSError, match="in use"):
        second.start()
    second.stop()
    assert local_threads() == ["local-bedrock"]


def test_failure_inside_is_contained(
    bedrock_local: LocalBedrock, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug of the server costs one connection, is logged, and the next request is served."""

    def fails(*_: Any) -> None:
        raise LookupError("bug")

    with monkeypatch.context() as patch:
        patch.setattr("local_bedrock.server.answer", fails)
        with pytest.raises(Exception, match="Connection was closed"):
            client.converse()
    assert "local_bedrock.failed" in caplog.text
    assert client.converse()


def test_clock_is_injected(client: Any) -> None:
    """Recorded times come from the given clock."""
    with LocalBedrock(clock=FakeClock(start=5.0)) as server:
        raw(server, b"POST /model/x/converse HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        assert server.requests[0].at == 5.0


def test_main_serves_until_a_signal() -> None:
    """main tells its URL, ends on SIGTERM with its socket closed, and puts the old handlers back."""
    before = signal.getsignal(signal.SIGTERM)
    urls: list[str] = []

    def ready(url: str) -> None:
        urls.append(url)
        signal.raise_signal(signal.SIGTERM)

    main(port=0, ready=ready)
    assert urls[0].startswith("http://127.0.0.1:")
    assert local_threads() == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_package_is_cheap_to_import() -> None:
    """The pytest plugin is loaded by every pytest run: it imports neither the server nor boto3."""
    code = (
        "import sys, local_bedrock.pytest_plugin;"
        "print([m for m in sys.modules if m.startswith(('botocore', 'boto3', 'local_bedrock.s'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_package_exports_what_it_names() -> None:
    """Every exported name resolves, others do not."""
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing
