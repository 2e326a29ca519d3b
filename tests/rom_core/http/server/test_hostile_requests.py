"""Two thousand hostile requests, from a seed: each is answered or cut off, within a bound of processor time."""

from __future__ import annotations

import errno
import gc
import random
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs
from support import make_runtime, says

from rom_core.concurrency.clock import SystemClock
from rom_core.http.app import create_app
from rom_core.http.server.server import Server
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

REQUESTS = 2000
SEED = 20261128
PATIENCE = 20.0
# Seconds of the whole process, client and server: for a request as such, and for each of its bytes.
CPU_FOR_ONE = 0.25
CPU_ON_AVERAGE = 0.010
CPU_A_BYTE = 3e-6

KEY = "the-key-of-a-test-and-nothing-else-0"
METHODS = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"BREW", b"get", b"", b"G" * 9000, b"P\x00ST"]
TARGETS = [
    b"/health",
    b"/api/chat",
    b"/nothing",
    b"//admin/flags",
    b"/%61dmin/flags",
    b"/admin/reload-flags",
    b"*",
    b"http://rom/health",
    b"http://[/",
    b"/" + b"a" * 20_000,
    b"http://" + b"1" * 7000,
    b"/?" + b"&=" * 3000,
    b"/\xff\xfe",
    b"/a b",
]
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP", b""]
HOSTS = [b"Host: rom"] * 8 + [b"", b"Host: a\r\nHost: b", b"Host: a b", b"Host: [::1", b"Host:", b"Host: \xff"]
FIELDS: list[Callable[[random.Random], bytes]] = [
    lambda _: b"Authorization: Bearer " + KEY.encode(),
    lambda _: b"X-Api-Key: wrong",
    lambda r: b"A:" + b" " * r.choice([1, 17, 5000, 40_000]) + b"x",
    lambda r: b"A: " + b"\t x" * r.choice([1, 100, 10_000]),
    lambda r: b"A" * r.choice([1, 1000, 50_000]) + b": b",
    lambda r: b"\r\n".join([b"A: b"] * r.choice([2, 101, 5000])),
    lambda _: b"A: b\r\n folded",
    lambda _: b" folded: first",
    lambda _: b"no colon",
    lambda _: b": no name",
    lambda _: b"A : b",
    lambda _: b"A: \x00\x01\x7f",
    lambda _: b"A: b\nB: c",
    lambda _: b"A: b\rB: c",
    lambda _: b"Cookie: " + b"a=b; " * 1000,
    lambda _: b"Expect: 100-continue",
    lambda _: b"Connection: keep-alive, Upgrade\r\nUpgrade: h2c",
    lambda _: b"X-Forwarded-For: " + b"1.2.3.4, " * 500,
    lambda _: b"traceparent: 00-" + b"0" * 4000,
    lambda _: b"Content-Type: application/json",
]
CHUNKS: list[Callable[[random.Random], bytes]] = [
    lambda _: b"11\r\n" + b'{"message": "oi"}' + b"\r\n0\r\n\r\n",
    lambda r: b"1\r\nx\r\n" * r.choice([10, 5000]) + b"0\r\n\r\n",
    lambda _: b"\r\n" * 60_000 + b"0\r\n\r\n",
    lambda r: b"2;" + b"a=b;" * r.choice([1, 5000, 30_000]) + b"\r\nab\r\n0\r\n\r\n",
    lambda _: b'2;a="' + b"\\a" * 9000 + b'"\r\nab\r\n0\r\n\r\n',
    lambda r: b"0\r\n" + b"A: b\r\n" * r.choice([1, 20_000]) + b"\r\n",
    lambda _: b"-1\r\nx\r\n0\r\n\r\n",
    lambda _: b"0x2\r\nab\r\n0\r\n\r\n",
    lambda _: b"F" * 3000 + b"\r\nab\r\n0\r\n\r\n",
    lambda _: b"2\r\nabcd\r\n0\r\n\r\n",
    lambda _: b"5000000\r\n" + b"x" * 100_000,
]


@dataclass
class Hostile:
    """Bytes, sent in pieces of `size`; if they are `whole` an answer must come before the client half-closes."""

    data: bytes
    whole: bool
    size: int


def head(dice: random.Random, fields: list[bytes]) -> bytes:
    """A request line and headers, each perhaps wrong."""
    mild = dice.random() < 0.5
    line = b" ".join(
        (
            dice.choice(METHODS[:6] if mild else METHODS),
            dice.choice(TARGETS[:8] if mild else TARGETS),
            b"HTTP/1.1" if mild else dice.choice(VERSIONS),
        )
    )
    chosen = [dice.choice(FIELDS)(dice) for _ in range(dice.choice([0, 1, 2, 5]))]
    return b"\r\n".join(part for part in (line, dice.choice(HOSTS), *chosen, *fields) if part) + b"\r\n\r\n"


def one(dice: random.Random) -> Hostile:
    """The next one."""
    kind = dice.choice(["headers", "headers", "body", "chunks", "pipeline", "cut", "mutated", "noise"])
    size = dice.choice([1 << 20, 1 << 20, 8192, 1400, 100])
    if kind == "headers":
        return Hostile(head(dice, []), True, size)
    if kind == "body":
        length = dice.choice([0, 17, 17, 20_000, 300_000, 2_000_000])
        body = (b'{"message": "oi"}' + b" " * length)[: min(length, 300_000)]
        return Hostile(head(dice, [b"Content-Length: %d" % length]) + body, length <= 300_000, size)
    if kind == "chunks":
        return Hostile(head(dice, [b"Transfer-Encoding: chunked"]) + dice.choice(CHUNKS)(dice), False, size)
    if kind == "pipeline":
        many = [head(dice, []) for _ in range(dice.choice([2, 5, 30]))]
        # An answer may end the connection while the rest is still on its way.
        return Hostile(b"".join(many), False, size)
    if kind == "noise":
        return Hostile(dice.randbytes(dice.choice([1, 50, 5000])) + b"\r\n\r\n", False, size)
    data = head(dice, []) if dice.random() < 0.5 else head(dice, [b"Transfer-Encoding: chunked"]) + CHUNKS[0](dice)
    if kind == "cut":
        return Hostile(data[: dice.randrange(len(data))], False, size)
    mutated = bytearray(data)
    for _ in range(dice.choice([1, 3, 10])):
        place = dice.randrange(len(mutated))
        mutated[place : place + dice.choice([0, 1])] = dice.randbytes(dice.choice([0, 1, 3]))
    return Hostile(bytes(mutated), False, size)


def send(port: int, hostile: Hostile) -> bytes:
    """Send it, and what comes first: the beginning of an answer, or b"" for a close. TimeoutError means silence."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for start in range(0, len(hostile.data), hostile.size):
                client.sendall(hostile.data[start : start + hostile.size])
            if not hostile.whole:
                client.shutdown(socket.SHUT_WR)
            received = client.recv(100)
            while received.startswith(b"HTTP/1.1 100 ") and len(received) < 60:
                more = client.recv(100)
                if not more:
                    break
                received += more
        except ConnectionError:
            return b""
        except OSError as error:
            # It was cut off before it was half-closed.
            if error.errno != errno.ENOTCONN:
                raise
            return b""
    return received


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose model always says the same, and which is as patient as its clients."""
    monkeypatch.setattr("rom_core.http.server.channel.DISCARD_SECONDS", 60.0)

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        return says("hello")

    runtime, _ = make_runtime(*[model] * REQUESTS, clock=SystemClock(), PORT=0, API_KEYS=f"key={KEY}")
    runtime.start()
    server = Server(create_app(runtime), runtime)
    server.start()
    yield server
    server.stop(1)
    runtime.stop()


def test_hostile_requests_cost_little_and_are_never_met_with_silence(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is answered or cut off, none takes more than a moment of the processor, none leaves a traceback."""
    dice = random.Random(SEED)
    total = spent = 0.0
    statuses: dict[bytes, int] = {}
    gc.collect()
    gc.disable()
    try:
        with capture_logs() as logs:
            for number in range(REQUESTS):
                hostile = one(dice)
                began = time.process_time()
                received = send(server.port, hostile)
                cost = time.process_time() - began
                allowed = CPU_FOR_ONE + CPU_A_BYTE * len(hostile.data)
                assert cost < allowed, (number, cost, hostile.data[:200])
                assert received == b"" or received.startswith(b"HTTP/1."), (number, received)
                assert received or not hostile.whole, (number, hostile.data[:300])
                total += len(hostile.data)
                spent += cost
                statuses[received[9:12]] = statuses.get(received[9:12], 0) + 1
    finally:
        gc.enable()
    assert spent < CPU_ON_AVERAGE * REQUESTS + CPU_A_BYTE * total
    assert {b"200", b"400", b"401", b"404", b"405", b"414", b"431", b"505"} <= set(statuses), statuses
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: rom\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
