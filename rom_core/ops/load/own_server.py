"""A server of our own to put under load: `rom serve` on loopback, in front of an upstream on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from rom_core.ops.load.recording import LoadFailed

START_SECONDS = 60.0
STOP_SECONDS = 60.0
# As in the reference deployment; all that protects is on.
_SETTINGS = {
    "BEDROCK_ENABLED": "true",
    "GUARDRAILS_ENABLED": "true",
    "CIRCUIT_BREAKER_ENABLED": "true",
    "RETRY_ENABLED": "true",
    "BOTTLENECK_LIMITER_ENABLED": "true",
    "FALLBACK_ENABLED": "true",
    "METRICS_ENABLED": "true",
    "LEGAL_TOOLS_ENABLED": "true",
    "MEMORY_LIMIT_MB": "2048",
}
# Settings that a person may try out by giving them in the environment; addresses, keys and places are not among them.
_TRIED = (
    "BREAKER_",
    "CIRCUIT_",
    "FALLBACK_ENABLED",
    "GUARDRAILS_",
    "HTTP_THREADS",
    "MAX_",
    "MEMORY_",
    "QUEUE_",
    "RETRY_",
    "BOTTLENECK_",
    "TURN_",
    "EXHAUSTIVE_",
    "BEDROCK_CONNECT_",
    "BEDROCK_READ_",
)
_NEEDED = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "PYTHONPATH", "TMPDIR")


class OwnServer:
    """The process; `url` once it has started, the same after a restart. `folder` takes its state and its log."""

    def __init__(self, folder: Path, upstream: str, environ: Mapping[str, str]) -> None:
        self.url = ""
        self._folder = folder
        self._port = "0"
        kept = {name: value for name, value in environ.items() if name in _NEEDED or name.startswith(_TRIED)}
        self._environ = (
            _SETTINGS
            | kept
            | {
                "ROM_ENV": "development",
                "LOG_FORMAT": "json",
                "LOG_LEVEL": "INFO",
                "HOST": "127.0.0.1",
                "STATE_DIR": str(folder / "state"),
                "SHUTDOWN_LINGER_SECONDS": "0",
                "BEDROCK_ENDPOINT_URL": upstream,
            }
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, or start again. Raises LoadFailed."""
        started = threading.Event()
        self._process = process = subprocess.Popen(  # noqa: S603 - our own command, by this Python
            [sys.executable, "-m", "rom_core", "serve", "--root", str(self._folder)],
            env=self._environ | {"PORT": self._port},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(process, started), name="load-server", daemon=True).start()
        if not started.wait(START_SECONDS) or process.poll() is not None:
            self.stop()
            raise LoadFailed(f"the server did not start; the end of its log:\n{self.log_end()}")
        self._port = self.url.rpartition(":")[2]

    def terminate(self) -> None:
        """SIGTERM: it drains and ends by itself."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGTERM)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it, by force if it does not end; harmless when it has ended."""
        if self._process is None or not self.running:
            return
        self.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def log_end(self) -> str:
        """The last lines of the log."""
        try:
            return "\n".join((self._folder / "server.log").read_text("utf-8", "replace").splitlines()[-10:])
        except FileNotFoundError:
            return ""

    def _read(self, process: subprocess.Popen[bytes], started: threading.Event) -> None:
        """Keep the log, and learn the address from it."""
        output: IO[bytes] = process.stdout  # type: ignore[assignment]
        with output, (self._folder / "server.log").open("ab") as log:
            for line in output:
                log.write(line)
                log.flush()
                if not started.is_set() and b'"server.started"' in line:
                    self.url = json.loads(line)["url"]
                    started.set()
        started.set()


def player_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of Locust's process: no settings of Locust's, no tokens but the key that users need."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("LOCUST_", "AWS_")) and name not in ("METRICS_TOKEN", "ADMIN_TOKEN")
    }
