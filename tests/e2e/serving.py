"""A real `rom serve` process for end-to-end tests, and a client that reads Server-Sent Events as they come."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from waiting import until as until

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
BARE: dict[str, Any] = {"RETRY_ENABLED": False, "CIRCUIT_BREAKER_ENABLED": False, "FALLBACK_ENABLED": False}
"""Settings with which a failure of the model shows as it is."""
KEY = "sk-client-0123456789"
WITH_KEY: dict[str, Any] = BARE | {"API_KEYS": f"office={KEY}"}
"""The same behind an API key."""


class RomServer:
    """`rom serve` on a free port, with `settings` as its environment variables; logs are JSON lines.

    `root` is where it finds its settings files, `python` the interpreter of another installation.
    """

    def __init__(self, root: Path = ROOT, /, *, python: str = sys.executable, **settings: Any) -> None:
        self.lines: list[str] = []
        self._started = threading.Event()
        self.reading = threading.Event()
        """While it is not set, nobody reads what the process writes."""
        self.reading.set()
        self.url = ""
        environ = {"PATH": os.environ["PATH"], "ROM_ENV": "development", "LOG_FORMAT": "json", "PORT": "0"}
        # Overrides that a developer or another test has stored must not decide what this server does.
        self.state_dir = tempfile.mkdtemp(prefix="rom-state-")
        environ["STATE_DIR"] = self.state_dir
        environ |= {name: str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(
            [python, "-m", "rom_core", "serve"],
            cwd=root,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._started.wait(START_SECONDS) or not self.url:
            self.process.kill()
            self.wait()
            raise AssertionError("the server did not start:\n" + "\n".join(self.lines))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if '"server.started"' in line:
                self.url = json.loads(line)["url"]
                self._started.set()
            self.reading.wait()
        self._started.set()

    def chat(self, message: str, *, timeout: float = 60, headers: dict[str, str] | None = None, **body: Any) -> Any:
        """POST /api/chat, not streamed."""
        return requests.post(f"{self.url}/api/chat", json={"message": message} | body, timeout=timeout, headers=headers)

    def get(self, path: str, timeout: float = 60) -> requests.Response:
        """GET."""
        return requests.get(self.url + path, timeout=timeout)

    def stream(self, message: str, **body: Any) -> Stream:
        """POST /api/chat with stream: true."""
        return Stream(self.url, {"message": message, "stream": True} | body)

    def signal(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 60) -> int:
        """Wait for the process to end; its exit code."""
        code = self.process.wait(timeout=seconds)
        self.reading.set()
        self._reader.join(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def events(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """The log lines of one event; waits for `count` of them, as a line may come later than what it tells of."""

        def found() -> list[str]:
            return [line for line in self.lines if f'"{name}"' in line]

        until(lambda: len(found()) >= count or not self._reader.is_alive())
        return [json.loads(line) for line in found()]


@contextmanager
def serving(root: Path = ROOT, /, **settings: Any) -> Iterator[RomServer]:
    """A server that is stopped at the end, by force if it has to be."""
    server = RomServer(root, **settings)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.signal()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.wait()
        shutil.rmtree(server.state_dir, ignore_errors=True)


@contextmanager
def serving_with(request: pytest.FixtureRequest, **settings: Any) -> Iterator[RomServer]:
    """A server on the database that a fixture's parameter names: sqlite, or a new one in PostgreSQL."""
    if request.param == "sqlite":
        with serving(**settings) as running:
            yield running
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.database()
    with serving(**settings, STATE_URL=postgres.url(name)) as running:
        yield running
    postgres.drop(name)


class Stream:
    """One streamed answer over a socket of its own, so that a test can leave when it likes.

    One that a test has neither read to its end nor left is closed after it.
    """

    _open: ClassVar[set[Stream]] = set()

    def __init__(self, url: str, body: dict[str, Any], path: str = "/api/chat", timeout: float = 60) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self._file = self.socket.makefile("rb")
        self._open.add(self)
        payload = json.dumps(body).encode()
        self.socket.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n".encode()
            + payload
        )
        self._head: tuple[int, dict[str, str]] | None = None
        self.comments = 0

    @property
    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers; waits for them."""
        if self._head is None:
            status = int(self._file.readline().split()[1])
            headers: dict[str, str] = {}
            while line := self._file.readline().strip():
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            self._head = (status, headers)
        return self._head

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Events as they come, until the server ends the stream."""
        assert self.head[0] == 200, self.head
        name = ""
        for line in self._lines():
            if line.startswith(":"):
                self.comments += 1
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, json.loads(line[6:])

    def close(self) -> None:
        """Leave."""
        self._open.discard(self)
        self._file.close()
        self.socket.close()

    @classmethod
    def close_all(cls) -> None:
        """Leave all that are still open."""
        for stream in tuple(cls._open):
            stream.close()

    def _lines(self) -> Iterator[str]:
        rest = b""
        while size := int(self._file.readline().strip() or b"0", 16):
            rest += self._file.read(size)
            self._file.readline()
            *lines, rest = rest.split(b"\n")
            yield from (line.decode() for line in lines)
        self.close()
