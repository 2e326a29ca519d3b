"""A PostgreSQL server that lives no longer than the process that started it, whatever ends that process."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import psycopg

from bench.postgres.binaries import NoPostgres, account, programs

__all__ = ["NoPostgres", "PostgresServer"]

_START_SECONDS = 90.0
_STOP_SECONDS = 20.0
_KEEPER = Path(__file__).with_name("keeper.py")
# Small, for there may be several beside each other; connections enough for a fleet of servers under test.
_OPTIONS = {"shared_buffers": "16MB", "max_connections": "200", "max_wal_size": "64MB", "jit": "off"}


class PostgresServer:
    """A server on a loopback port of its own, in a new folder; user `postgres`, no password.

    `durable` makes it write through to the disk as a real one does; otherwise a crash of the machine would lose
    everything, and it is much faster. Use it as a context manager, or `start` and `close` it.
    """

    def __init__(self, *, durable: bool = False) -> None:
        """Raises NoPostgres."""
        self._who = account()
        # Not TMPDIR: it may be in a folder that only root can enter.
        self.folder = Path(tempfile.mkdtemp(prefix="rom-postgres-", dir="/tmp" if self._who.user else None))
        self._keeper: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._durable = durable
        try:
            if self._who.user is not None:
                os.chown(self.folder, self._who.user, self._who.group or 0)
            self.bin = programs(self._who, self.folder, dict(os.environ))
            self._make()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.port = _free_port()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> PostgresServer:
        """Start it, or start it again after `stop` or `kill`, and wait until it takes connections."""
        end = time.monotonic() + _START_SECONDS
        while not self._started(end):
            # Killed, it leaves processes that need a moment to notice, and refuses to start beside them.
            if time.monotonic() > end or "pre-existing shared memory" not in self.log[-2000:]:
                raise NoPostgres(f"it did not start:\n{self.log[-2000:]}")
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """End it in good order; `start` goes on with the same data on the same port."""
        self._end(b"keep\n")

    def kill(self) -> None:
        """End it as a crash does: without a word to its clients, and with no chance to write anything."""
        with suppress(ProcessLookupError):
            os.kill(self._pid(), signal.SIGKILL)
        self._end(b"keep\n")

    def close(self) -> None:
        """End it and remove all it had."""
        self._end(b"")
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- use ---------------------------------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        """What it has said."""
        with suppress(OSError):
            return (self.folder / "log").read_text(encoding="utf-8", errors="replace")
        return ""

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """For a client; `port` if something else leads there."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def database(self, name: str = "") -> str:
        """Make an empty database, called `test_<n>` unless it has a name; its name."""
        name = name or f"test_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement on a connection of its own; the rows it gives."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    # -- inside ------------------------------------------------------------------------------------------------------

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"

    def _make(self) -> None:
        # Trust is safe enough: it listens on loopback only and holds what tests make up.
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        made = subprocess.run(
            [self.bin / "initdb", "-D", self._data, *options],
            cwd="/",
            env=_environ(),
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
            **self._who.options,
        )
        if made.returncode != 0:
            raise NoPostgres(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")

    def _started(self, end: float) -> bool:
        self._pid_file.unlink(missing_ok=True)
        settings = _OPTIONS if self._durable else _OPTIONS | {"synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [self.bin / "postgres", "-D", self._data, "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        with (self.folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", _KEEPER, *self._who.arguments, self.folder),
                    *(*server, *options, *(() if self._durable else ("-F",))),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environ(),
                # A signal to the group of the test run must not reach it: it goes when its pipe ends.
                start_new_session=True,
            )
        while time.monotonic() < end and self._keeper.poll() is None:
            if self._ready():
                return True
            time.sleep(0.01)
        self._end(b"keep\n")
        return False

    def _ready(self) -> bool:
        """The server itself writes into its pid file that it takes connections."""
        with suppress(OSError, IndexError):
            return self._pid_file.read_text(encoding="utf-8").splitlines()[7].strip() == "ready"
        return False

    def _pid(self) -> int:
        return int(self._pid_file.read_text(encoding="utf-8").splitlines()[0])

    def _end(self, word: bytes) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        with suppress(BrokenPipeError):
            keeper.stdin.write(word)
            keeper.stdin.flush()
        with suppress(BrokenPipeError):
            keeper.stdin.close()
        try:
            keeper.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(OSError, ValueError, IndexError):
                os.kill(self._pid(), signal.SIGKILL)
            keeper.wait(_STOP_SECONDS)


def _environ() -> dict[str, str]:
    """Nothing that a developer has set for his own PostgreSQL."""
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _free_port() -> int:
    """One that no connection is given by the system: while the server is stopped nobody else takes it by accident."""
    for _ in range(1000):
        port = random.randint(10_000, 32_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise NoPostgres("no port is free")
