"""A fleet of real `rom serve` processes on one real PostgreSQL, and what tests do with it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import requests
from e2e.serving import BARE, ROOT, RomServer, serving, until

TOKEN = "token-of-ana-for-the-fleet"
OTHER_TOKEN = "token-of-eva-for-the-fleet"
SETTINGS: dict[str, Any] = {
    **BARE,
    "ADMIN_TOKEN": f"ana={TOKEN},eva={OTHER_TOKEN}",
    "MEMORY_LIMIT_MB": "8192",
    "BOTTLENECK_LIMITER_ENABLED": "false",
}


class Fleet:
    """Servers that share the database `url`."""

    def __init__(self, servers: list[RomServer]) -> None:
        self.servers = servers

    def status(self, server: RomServer) -> Any:
        """GET /admin/status."""
        return admin(server, "GET", "/admin/status").json()

    def change(self, server: RomServer, by: str = TOKEN, /, **edits: Any) -> requests.Response:
        """POST /admin/reload-flags."""
        return admin(server, "POST", "/admin/reload-flags", edits, by)

    def values(self, name: str) -> list[Any]:
        """What each has in force."""
        return [admin(each, "GET", "/admin/flags").json()["flags"][name]["value"] for each in self.servers]

    def have(self, version: int) -> bool:
        """Whether each comes to have this version in force, or a newer one."""
        return until(lambda: all(self.status(each)["version"] >= version for each in self.servers))

    def confirmed(self, answer: Any) -> bool:
        """Whether a change is in force at all: as its answer says or, where one of them stalled, as each says later."""
        reached, count = answer["in_force"], len(self.servers)
        if reached["unconfirmed"]:
            return self.have(answer["version"])
        return bool(reached == {"instances": count, "of": count, "unconfirmed": []})

    def complete(self) -> bool:
        """Whether everybody knows everybody."""
        return all(
            len(status["instances"]) == len(self.servers) and not status["fleet_away"]
            for status in map(self.status, self.servers)
        )


@contextmanager
def fleet(*urls: str, **settings: Any) -> Iterator[Fleet]:
    """A server for each of `urls`, all ways to the same database; they know each other when this begins."""
    with ExitStack() as stack:
        # At the same time: one of them migrates, the others wait for it.
        with ThreadPoolExecutor(len(urls)) as pool:
            makers = [serving(STATE_URL=url, **(SETTINGS | settings)) for url in urls]
            servers = list(pool.map(stack.enter_context, makers))
        made = Fleet(servers)
        assert until(made.complete), [made.status(server) for server in servers]
        yield made


def admin(
    server: RomServer, method: str, path: str, body: Any = None, token: str = TOKEN, timeout: float = 60
) -> requests.Response:
    """A request to an admin route."""
    headers = {"Authorization": f"Bearer {token}"}
    return requests.request(method, server.url + path, json=body, headers=headers, timeout=timeout)


def rom(server: RomServer, *arguments: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """Run `rom …` against a server."""
    return subprocess.run(
        [sys.executable, "-m", "rom_core", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ROM_URL": server.url, "ROM_ADMIN_TOKEN": token, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Load:
    """Users who ask one server after the other without a pause, until the block ends; every answer is kept."""

    def __init__(self, servers: list[RomServer], users: int = 3) -> None:
        self.servers = servers
        self.statuses: list[int] = []
        self.turns: list[tuple[RomServer, float]] = []
        """Who was asked, and how many seconds it took."""
        self._choices = [0] * users
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(users)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def turn_to(self, *servers: RomServer) -> None:
        """What a balancer does before an instance ends: ask only these, and let what runs elsewhere end."""
        self.servers = list(servers)
        before = list(self._choices)
        assert until(lambda: all(now > then for now, then in zip(self._choices, before, strict=True)))

    @property
    def slowest(self) -> float:
        """Seconds of the slowest turn."""
        return max(seconds for _, seconds in self.turns)

    def usual(self, server: RomServer, since: int) -> float:
        """Within how many seconds a server answers nine turns of ten after the first `since`; waits for twenty."""

        def took() -> list[float]:
            return sorted(seconds for asked, seconds in self.turns[since:] if asked is server)

        assert until(lambda: len(took()) >= 20), took()
        all_ = took()
        return all_[len(all_) * 9 // 10 - 1]

    def _ask(self, number: int) -> None:
        turn = number
        with requests.Session() as session:
            while not self._stopped.is_set():
                # Before the look at the servers: who has counted after a change of them has seen it.
                self._choices[number] += 1
                servers = self.servers
                server = servers[turn % len(servers)]
                turn += 1
                try:
                    body = {"message": "[[say=um]] oi", "user": f"user-{turn % 50}"}
                    answer = session.post(f"{server.url}/api/chat", json=body, timeout=60)
                except requests.ConnectionError:
                    # Its process has ended: a balancer would ask another.
                    self._stopped.wait(0.05)
                    continue
                self.statuses.append(answer.status_code)
                self.turns.append((server, answer.elapsed.total_seconds()))
                self._stopped.wait(0.02)
