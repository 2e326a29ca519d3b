"""What the limiter costs a turn that need not wait, and how fast the server refuses while every place is taken.

The refusals are those of 200 clients that ask once a second each, spread over the second, over kept connections: 200
requests per second. Beside it the same clients all asking at the same moment, where most of a request's time is the
wait for those before it: what counts there is the server's CPU time for one refusal, which also says least of the
machine's other work.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import Any

from bench.harness import bedrock, process, report, rom_url
from plugins.limiter import Limiter
from rom_core import hookspecs
from rom_core.concurrency.clock import SystemClock
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import load_settings
from rom_core.telemetry import log
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply, Usage

TURNS = 50
ROUNDS = 300
TURN_BUDGET_US = 20
CLIENTS = 200
SECONDS = 5.0
PROBE_SECONDS = 0.02
PROBE_BUDGET_MS = 100
EVERY_SECONDS = 1.0
REFUSAL_CPU_BUDGET_US = 800
BURSTS = 10
PLACES = 16
_QUESTION = ({"role": "user", "content": [{"text": "?"}]},)


class _Instant:
    """A model that answers at once."""

    def converse(self, attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        attempt.usage = Usage(100, 20)
        return ModelReply(({"text": "ok"},), "end_turn", attempt.model.alias, attempt.usage)


def _runtime(on: bool) -> Runtime:
    catalogue = Catalogue.of(hookspecs, limiter=Limiter())
    environ = {"BEDROCK_ENABLED": "true", "ROM_ENV": "testing", "BOTTLENECK_LIMITER_ENABLED": str(on).lower()}
    settings = load_settings(catalogue.settings, catalogue.rules, root=Path("/nonexistent"), environ=environ)
    return Runtime(catalogue, settings, clock=SystemClock(), transport=_Instant())


def _turns(runtime: Runtime) -> float:
    """CPU microseconds for one turn."""
    began = time.thread_time()
    for _ in range(TURNS):
        runtime.run(runtime.turn(ChatRequest(_QUESTION, "c"), route="/api/chat", trace_id="t", request_id="r"))
    return (time.thread_time() - began) / TURNS * 1e6


def _cost_per_turn() -> float:
    """Microseconds that the limiter adds to a turn, from the least of many short rounds taken in turns."""
    without, limited = _runtime(False), _runtime(True)
    for runtime in (without, limited):
        runtime.start()
    try:
        pairs = [(_turns(without), _turns(limited)) for _ in range(ROUNDS)]
    finally:
        for runtime in (without, limited):
            runtime.stop()
    return min(on for _, on in pairs) - min(off for off, _ in pairs)


def _request(message: str, *, stream: bool = False) -> bytes:
    body = json.dumps({"message": message, "stream": stream}).encode()
    head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class _Client:
    """A connection that asks once every EVERY_SECONDS, whatever the answer's Retry-After says."""

    def __init__(self, address: tuple[str, int], first: float) -> None:
        self.socket = socket.create_connection(address)
        self.due = first
        self.asked: float | None = None
        self._answer = b""

    def ask(self, request: bytes) -> None:
        self.asked = time.perf_counter()
        self.due += EVERY_SECONDS
        self.socket.sendall(request)

    def answered(self) -> float | None:
        """Milliseconds since it asked, once the whole answer is there."""
        self._answer += self.socket.recv(65536)
        head, _, body = self._answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 503 "):
            raise SystemExit(f"not refused: {self._answer[:200]!r}")
        if not body.endswith(b"}}"):
            return None
        asked, self.asked, self._answer = self.asked or 0.0, None, b""
        return (time.perf_counter() - asked) * 1e3


def _refusals() -> tuple[list[float], list[float], float, list[float]]:
    """Milliseconds from question to refusal, sorted, of CLIENTS clients once a second each, and of all at once.

    Then the server's CPU microseconds for one refusal, from the cheapest of BURSTS bursts, and the milliseconds of
    probes in a flood.
    """
    arguments, url_of = bedrock()
    with process(arguments, url_of) as (endpoint, _):
        environ = {"ROM_ENV": "testing", "PORT": "0", "LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
        environ |= {"BEDROCK_ENDPOINT_URL": endpoint, "QUEUE_TIMEOUT_SECONDS": "120", "LEGAL_TOOLS_ENABLED": "false"}
        with process(["-m", "rom_core", "serve"], rom_url, **environ) as (url, pid):
            host, port = url.removeprefix("http://").split(":")
            address = (host, int(port))
            holders = [socket.create_connection(address) for _ in range(PLACES)]
            for holder in holders:
                holder.sendall(_request("[[fault=hang]]", stream=True))
            time.sleep(1)
            try:
                steady, bursts, costs = _ask(address), [], []
                for _ in range(BURSTS):
                    before = _cpu_seconds(pid)
                    bursts += _burst(address)
                    costs.append(_cpu_seconds(pid) - before)
                return sorted(steady), sorted(bursts), min(costs) / CLIENTS * 1e6, _probes(address)
            finally:
                for holder in holders:
                    holder.close()


def _cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far; all of them stay."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _ask(address: tuple[str, int]) -> list[float]:
    began = time.perf_counter()
    clients = [_Client(address, began + number / CLIENTS * EVERY_SECONDS) for number in range(CLIENTS)]
    request, times = _request("oi"), []
    with selectors.DefaultSelector() as ready:
        for client in clients:
            ready.register(client.socket, selectors.EVENT_READ, client)
        while (now := time.perf_counter()) < began + SECONDS:
            for client in clients:
                if client.asked is None and client.due <= now:
                    client.ask(request)
            answered = [key.data.answered() for key, _ in ready.select(0.001)]
            times += [time_ for time_ in answered if time_ is not None]
    for client in clients:
        client.socket.close()
    return times


def _burst(address: tuple[str, int]) -> list[float]:
    request = _request("oi")
    times: list[float] = []
    with selectors.DefaultSelector() as ready:
        clients = [_Client(address, 0.0) for _ in range(CLIENTS)]
        for client in clients:
            ready.register(client.socket, selectors.EVENT_READ, client)
        for client in clients:
            client.ask(request)
        while len(times) < CLIENTS:
            answered = [key.data.answered() for key, _ in ready.select(1)]
            times += [time_ for time_ in answered if time_ is not None]
    for client in clients:
        client.socket.close()
    return times


def _probes(address: tuple[str, int]) -> list[float]:
    """Milliseconds from question to answer of a probe, while CLIENTS clients ask again as soon as they are refused."""
    request, probe = _request("oi"), b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    times: list[float] = []
    with selectors.DefaultSelector() as ready, socket.create_connection(address) as prober:
        ready.register(prober, selectors.EVENT_READ)
        clients = [_Client(address, 0.0) for _ in range(CLIENTS)]
        for client in clients:
            ready.register(client.socket, selectors.EVENT_READ, client)
            client.ask(request)
        asked, answer = None, b""
        until = time.perf_counter() + SECONDS
        due = until - SECONDS
        while (now := time.perf_counter()) < until:
            if asked is None and due <= now:
                asked, due = now, now + PROBE_SECONDS
                prober.sendall(probe)
            for key, _ in ready.select(0.001):
                if key.data is None:
                    answer += prober.recv(65536)
                    if answer.endswith(b"}"):
                        times.append((time.perf_counter() - (asked or 0.0)) * 1e3)
                        asked, answer = None, b""
                elif key.data.answered() is not None:
                    key.data.ask(request)
    for client in clients:
        client.socket.close()
    return sorted(times)


def measure() -> dict[str, float]:
    """All figures, by name with their unit."""
    log.configure("json", "ERROR", stream=sys.stderr)
    cost, (refusals, burst, cpu, probes) = _cost_per_turn(), _refusals()
    return {
        "limiter_per_turn_us": round(cost, 1),
        "refusals": len(refusals),
        "refusal_p50_ms": round(refusals[len(refusals) // 2], 2),
        "refusal_p99_ms": round(refusals[len(refusals) * 99 // 100], 2),
        "refusal_burst_p50_ms": round(burst[len(burst) // 2], 2),
        "refusal_burst_p99_ms": round(burst[len(burst) * 99 // 100], 2),
        "refusal_cpu_us": round(cpu),
        "probe_in_flood_p50_ms": round(probes[len(probes) // 2], 2),
        "probe_in_flood_p99_ms": round(probes[len(probes) * 99 // 100], 2),
    }


BUDGETS = {
    "limiter_per_turn_us": TURN_BUDGET_US,
    "refusal_cpu_us": REFUSAL_CPU_BUDGET_US,
    "probe_in_flood_p99_ms": PROBE_BUDGET_MS,
}


def main() -> None:
    """Print the figures, and the budgets of those that have one."""
    report("limiter", measure(), BUDGETS)


if __name__ == "__main__":
    main()
