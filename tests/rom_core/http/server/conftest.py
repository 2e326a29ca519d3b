"""Fixtures of servers over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from server_support import Serve
from support import make_runtime, says

from rom_core.concurrency.clock import SystemClock
from rom_core.http.app import create_app
from rom_core.http.server.server import Server
from rom_core.runtime import Runtime


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts servers in this process and stops them; they let clients that are still sending take their time."""
    monkeypatch.setattr("rom_core.http.server.channel.DISCARD_SECONDS", 60.0)
    running: list[tuple[Runtime, Server]] = []

    def start(*steps: Any, **settings: Any) -> tuple[Runtime, Server]:
        runtime, _ = make_runtime(*(steps or [says("hello")]), clock=SystemClock(), PORT=0, **settings)
        runtime.start()
        server = Server(create_app(runtime), runtime)
        server.start()
        running.append((runtime, server))
        return runtime, server

    yield start
    for runtime, server in running:
        server.stop(1)
        runtime.stop()
