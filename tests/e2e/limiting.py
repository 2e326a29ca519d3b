"""What end-to-end tests of the limiter share: questions that hold a slot, and what the limiter reports of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests
from e2e.serving import RomServer, Stream, until

# A model that says nothing for as long as anybody waits.
SILENT = "[[fault=hang]] conte"

SLOW = "[[length=2000]] [[delay=0.5]] conte"

REPEATS = '[[tools=9]] [[tool=x]] [[input={"a": 1}]] oi'

TALKING = "[[length=2000]] [[delay=0.05]] conte"

ADMIN = "o" * 24

AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}


def change(server: RomServer, **settings: Any) -> None:
    """Set overrides at run time; an empty value clears one."""
    answer = requests.post(f"{server.url}/admin/reload-flags", data=settings, headers=AS_ADMIN, timeout=60)
    assert answer.status_code == 200, answer.text


def status(server: RomServer) -> dict[str, Any]:
    """What the limiter reports of itself."""
    response = requests.get(f"{server.url}/admin/status", headers=AS_ADMIN, timeout=60)
    parts = {plugin["name"]: plugin.get("status", {}) for plugin in response.json()["plugins"]}
    return dict(parts["limiter"])


def waiting(server: RomServer, number: int) -> bool:
    """Whether so many wait for a slot, soon."""
    return until(lambda: status(server)["waiting"] == number)


def active(server: RomServer, number: int) -> bool:
    """Whether so many chat requests run or wait, as the server counts them, soon."""
    return until(lambda: f"\nrom_active_requests {number}.0\n" in server.get("/metrics").text)


def problem_of(stream: Stream) -> dict[str, Any]:
    """The body of an answer that is no stream."""
    return dict(json.loads(stream._file.read(int(stream.head[1]["content-length"]))))


# -- flood -----------------------------------------------------------------------------------------------------------


class Process:
    """What a process holds, from /proc."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def threads(self) -> int:
        """Threads."""
        return len(list((self._folder / "task").iterdir()))

    @property
    def files(self) -> int:
        """Open files and sockets."""
        return len(list((self._folder / "fd").iterdir()))

    @property
    def memory_mb(self) -> float:
        """Resident memory in MB."""
        return int((self._folder / "statm").read_text().split()[1]) * 4096 / 1e6
