"""Processes to measure and a load that costs as little as possible itself."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.plain import SYSTEM
from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue

ROOT = Path(__file__).parents[1]
START_SECONDS = 20
WARM_UP = 20
RATE_ROUNDS = 15
_ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


@contextmanager
def process(arguments: Sequence[str], url_of: Callable[[str], str | None], **environ: str) -> Iterator[tuple[str, int]]:
    """A child process, once a line of its output tells its URL; yields (url, pid)."""
    # What somebody has overridden in the project's own folder must not be measured.
    state = tempfile.mkdtemp(prefix="rom-bench-")
    environ = _ENVIRON | {"STATE_DIR": state} | environ
    child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    output = child.stdout
    found: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in output:
            url = url_of(line.strip())
            if url:
                found.put(url)
        found.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        try:
            url = found.get(timeout=START_SECONDS)
        except queue.Empty:
            url = None
        if url is None:
            raise SystemExit(f"{' '.join(arguments)} did not start")
        yield url, child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
        shutil.rmtree(state, ignore_errors=True)


def bedrock() -> tuple[list[str], Callable[[str], str | None]]:
    """Arguments and URL reader of the local Bedrock."""
    code = "from local_bedrock import main; main('127.0.0.1', 0, ready=lambda url: print(url, flush=True))"
    return ["-c", code], lambda line: line if line.startswith("http://") else None


def rom_url(line: str) -> str | None:
    """The URL in the start-up line of `rom serve`."""
    return str(json.loads(line)["url"]) if '"server.started"' in line else None


def rom_environ(endpoint: str, *, plugins: bool = False) -> dict[str, str]:
    """Settings with which `rom serve` does what the bare handler does: every plugin off, or every one on."""
    switch = "true" if plugins else "false"
    switches = {plugin.switch: switch for plugin in Catalogue.installed(hookspecs).plugins.values()}
    return switches | {
        "ROM_ENV": "testing",
        "PORT": "0",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
        "BEDROCK_ENABLED": "true",
        "BEDROCK_ENDPOINT_URL": endpoint,
        "SYSTEM_PROMPT": SYSTEM,
    }


def bare_url(line: str) -> str | None:
    """The URL that bench.bare prints."""
    return line or None


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Client:
    """Keep-alive HTTP/1.1 over one socket, reading no more than it has to."""

    def __init__(self, url: str, body: dict[str, object]) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._address = (host, int(port))
        payload = json.dumps(body).encode()
        self._request = (
            f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n".encode()
            + payload
        )
        self._socket: socket.socket | None = None
        self.first_text_at = 0.0

    def ask(self) -> bytes:
        """One request; its body, chunks and all. Raises RuntimeError unless the answer is 200.

        `first_text_at` is then when the first piece of text in a stream had arrived, by `time.perf_counter`.
        """
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, rest = data.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(data.decode(errors="replace")[:500])
        headers = head.lower()
        if b"chunked" in headers:
            while b'"text"' not in rest:
                rest += self._receive()
            self.first_text_at = time.perf_counter()
            while not rest.endswith(b"0\r\n\r\n"):
                rest += self._receive()
        else:
            length = int(headers.split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(rest) < length:
                rest += self._receive()
        if b"connection: close" in headers:
            self.close()
        return rest

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _receive(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            raise RuntimeError("the connection was closed")
        return data


@dataclass(frozen=True)
class Timings:
    """Milliseconds and answers per second."""

    p50_ms: float
    p99_ms: float
    rate: float


def compare(urls: Sequence[str], body: dict[str, object], *, requests: int, clients: int) -> list[Timings]:
    """The figures of each server: p50 and p99 of one client, then the rate of `clients` at once.

    Taken in turns, request by request and in short rounds, so that a slow moment of the machine meets all of them.
    """
    one_by_one = [Client(url, body) for url in urls]
    times: list[list[float]] = [[] for _ in urls]
    for number in range(requests + WARM_UP):
        for client, taken in zip(one_by_one, times, strict=True):
            began = time.perf_counter()
            client.ask()
            if number >= WARM_UP:
                taken.append((time.perf_counter() - began) * 1000)
    for client in one_by_one:
        client.close()
    rates = [[_rate(url, body, requests // RATE_ROUNDS, clients) for url in urls] for _ in range(RATE_ROUNDS)]
    return [
        Timings(statistics.median(taken), sorted(taken)[int(len(taken) * 0.99)], statistics.median(rate))
        for taken, rate in zip(times, zip(*rates, strict=True), strict=True)
    ]


def first_text(urls: Sequence[str], body: dict[str, object], *, requests: int) -> list[float]:
    """The p50 in ms from sending a request to the first text of its stream, of each server, taken in turns."""
    clients = [Client(url, body) for url in urls]
    times: list[list[float]] = [[] for _ in urls]
    for number in range(requests + WARM_UP):
        for client, taken in zip(clients, times, strict=True):
            began = time.perf_counter()
            client.ask()
            if number >= WARM_UP:
                taken.append((client.first_text_at - began) * 1000)
    for client in clients:
        client.close()
    return [statistics.median(taken) for taken in times]


def _rate(url: str, body: dict[str, object], requests: int, clients: int) -> float:
    each = requests // clients

    def work() -> None:
        client = Client(url, body)
        for _ in range(each):
            client.ask()
        client.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return each * clients / (time.perf_counter() - began)


def report(title: str, figures: Mapping[str, float], budgets: Mapping[str, float]) -> None:
    """Print figures by name, each with its unit in the name, beside what it may cost at most."""
    print(f"\n{title:38}{'measured':>10}{'at most':>10}")
    for name, value in figures.items():
        print(f"{name:38}{value:>10}{budgets.get(name, ''):>10}")
