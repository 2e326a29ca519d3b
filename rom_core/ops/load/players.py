"""Locust as a process of its own, and the turns that it reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from rom_core.ops.load.player import Turn
from rom_core.ops.load.recording import LoadFailed
from rom_core.ops.load.scenario_orders import ORDERS, REFUSED, Orders

STOP_SECONDS = 60
_KILL_SECONDS = 10.0
_TAIL = 2000


class Players:
    """The process; it ends by itself after `seconds`, and waits up to STOP_SECONDS for turns that still run."""

    def __init__(self, folder: Path, orders: Orders, users: int, seconds: float, environ: Mapping[str, str]) -> None:
        """`folder` takes its files. Raises LoadFailed if Locust is not installed."""
        if find_spec("locust") is None:
            raise LoadFailed("the load test needs Locust: pip install 'rom-agent[load]'")
        scenario = Path(__file__).with_name("scenario.py")
        self._path = Path(orders.turns)
        self._path.touch()
        self._read = 0
        self._log = folder / "locust.log"
        # All of them have come after a tenth of the run or ten seconds, whichever is shorter.
        rate = users / max(0.5, min(10.0, seconds / 10))
        command = [
            *(sys.executable, "-m", "locust", "-f", str(scenario), "--headless", "--only-summary"),
            *("--users", str(users), "--spawn-rate", f"{rate:.3f}", "--run-time", f"{max(1, round(seconds))}s"),
            *("--stop-timeout", str(STOP_SECONDS), "--exit-code-on-error", "0"),
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own scenario, by this Python
                command,
                cwd=folder,
                env={**environ, ORDERS: orders.as_text(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the command, which then tells Locust.
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def new_turns(self) -> list[Turn]:
        """The turns that have finished since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._read += len(whole)
        return [Turn.of(json.loads(line)) for line in whole.splitlines()]

    def end(self) -> None:
        """End at once; harmless when it has ended."""
        if not self.running:
            return
        self._process.kill()
        self._process.wait(_KILL_SECONDS)

    def check(self) -> None:
        """Raises LoadFailed if it ended for another reason than that its time was over."""
        code = self._process.poll()
        if code == REFUSED:
            raise LoadFailed("the server refuses the key in ROM_API_KEY")
        if code not in (None, 0, -signal.SIGKILL):
            said = self._log.read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()
            raise LoadFailed(f"Locust ended with exit code {code}:\n{said}")
