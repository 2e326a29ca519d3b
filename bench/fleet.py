"""What many instances cost and promise: a change at the last of three, a turn beside PostgreSQL, another leader.

`python -m bench.fleet` prints the figures. Three real `rom serve` on one PostgreSQL that is started for it.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import requests

from bench.harness import bedrock, compare, memory_mb, process, report, rom_environ, rom_url
from bench.postgres import PostgresServer

INSTANCES = 3
CHANGES = 200
TURNS = 600
TAKEOVERS = 5
IN_FORCE_BUDGET_MS = 1000
TAKEOVER_BUDGET_S = 15
_TOKEN = "bench-admin-token"


class _Instance:
    """One server of the fleet, and what it has logged."""

    def __init__(self) -> None:
        self.url, self.pid = "", 0
        self.lines: list[dict[str, Any]] = []

    @contextmanager
    def serving(self, endpoint: str, database: str) -> Iterator[_Instance]:
        """Until the end of the block, unless it is killed before."""
        environ = rom_environ(endpoint, plugins=True) | {"STATE_URL": database, "ADMIN_TOKEN": _TOKEN}
        with process(["-m", "rom_core", "serve"], self._read, **environ) as (self.url, self.pid):
            yield self

    def _read(self, line: str) -> str | None:
        if line.startswith("{"):
            self.lines.append(json.loads(line))
        return rom_url(line)

    def at(self, event: str, **members: Any) -> float | None:
        """When it logged the first such event, in seconds since the epoch."""
        for line in self.lines:
            if line["event"] == event and all(line.get(name) == value for name, value in members.items()):
                return datetime.fromisoformat(line["timestamp"]).timestamp()
        return None

    def change(self, value: int) -> dict[str, Any]:
        """Set MAX_TOKENS."""
        answer = requests.post(
            f"{self.url}/admin/reload-flags",
            json={"MAX_TOKENS": value},
            headers={"Authorization": f"Bearer {_TOKEN}"},
            timeout=30,
        )
        answer.raise_for_status()
        return dict(answer.json())


def main() -> None:
    """Print one table for each of the three."""
    arguments, url_of = bedrock()
    with process(arguments, url_of) as (endpoint, _), PostgresServer(durable=True) as postgres:
        _changes(endpoint, postgres.url(postgres.database("changes")))
        _turns(endpoint, postgres.url(postgres.database("turns")))
        _takeovers(endpoint, postgres.url(postgres.database("takeovers")))


def _changes(endpoint: str, database: str) -> None:
    with ExitStack() as stack:
        fleet = [stack.enter_context(_Instance().serving(endpoint, database)) for _ in range(INSTANCES)]
        for each in fleet:
            _wait(lambda each=each: each.change(1)["in_force"]["of"] == INSTANCES)
        last, answered = [], []
        for number in range(CHANGES):
            origin = fleet[number % INSTANCES]
            began = time.perf_counter()
            answer = origin.change(1000 + number)
            answered.append((time.perf_counter() - began) * 1000)
            assert not answer["in_force"]["unconfirmed"], answer
            last.append(_last(fleet, origin, answer["version"]) * 1000)
    report(
        f"a change at {INSTANCES} instances, {CHANGES} times",
        {
            "acknowledged → in force at the last, p50 ms": round(statistics.median(last), 1),
            "acknowledged → in force at the last, p99 ms": round(sorted(last)[int(len(last) * 0.99)], 1),
            "asked → confirmed by all, p50 ms": round(statistics.median(answered), 1),
            "asked → confirmed by all, p99 ms": round(sorted(answered)[int(len(answered) * 0.99)], 1),
        },
        {"acknowledged → in force at the last, p99 ms": IN_FORCE_BUDGET_MS},
    )


def _last(fleet: Sequence[_Instance], origin: _Instance, version: int) -> float:
    """Seconds from the acknowledgement at `origin` until the last of the others has the version in force."""

    def logged() -> list[float | None]:
        return [each.at("flags.changed", version=version) for each in (origin, *fleet)]

    _wait(lambda: None not in logged())
    first, *everywhere = (when or 0.0 for when in logged())
    return max(0.0, max(everywhere) - first)


def _turns(endpoint: str, database: str) -> None:
    body: dict[str, object] = {"message": "[[say=um]] oi"}
    with ExitStack() as stack:
        both = [stack.enter_context(_Instance().serving(endpoint, where)) for where in ("", database)]
        for each in both:
            requests.post(f"{each.url}/api/chat", json=body, timeout=30).raise_for_status()
        idle = [memory_mb(each.pid) for each in both]
        single, shared = compare([each.url for each in both], body, requests=TURNS, clients=6)
    report(
        "a turn, every plugin on",
        {
            "p50 ms with SQLite": round(single.p50_ms, 2),
            "p50 ms with PostgreSQL": round(shared.p50_ms, 2),
            "p99 ms with SQLite": round(single.p99_ms, 2),
            "p99 ms with PostgreSQL": round(shared.p99_ms, 2),
            "turns a second with SQLite": round(single.rate, 1),
            "turns a second with PostgreSQL": round(shared.rate, 1),
            "idle MB with SQLite": round(idle[0]),
            "idle MB with PostgreSQL": round(idle[1]),
        },
        {"idle MB with SQLite": 115, "idle MB with PostgreSQL": 135},
    )


def _takeovers(endpoint: str, database: str) -> None:
    taken = []
    with ExitStack() as stack:
        fleet = [stack.enter_context(_Instance().serving(endpoint, database)) for _ in range(INSTANCES - 1)]
        for _ in range(TAKEOVERS):
            fleet.append(stack.enter_context(_Instance().serving(endpoint, database)))
            _wait(lambda: any(each.at("fleet.leads") for each in fleet))
            leader = max(fleet, key=lambda each: each.at("fleet.leads") or 0.0)
            fleet.remove(leader)
            killed = time.time()
            os.kill(leader.pid, signal.SIGKILL)
            _wait(lambda: any(each.at("fleet.leads") for each in fleet))
            taken.append(max(each.at("fleet.leads") or 0.0 for each in fleet) - killed)
    report(
        f"another leader after kill -9, {TAKEOVERS} times",
        {"median s": round(statistics.median(taken), 1), "slowest s": round(max(taken), 1)},
        {"slowest s": TAKEOVER_BUDGET_S},
    )


def _wait(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("what was waited for has not come")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
