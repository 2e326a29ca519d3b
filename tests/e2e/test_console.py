"""What a developer sees: `rom serve` on a terminal, in development."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from e2e.serving import ROOT, START_SECONDS, until


class Seen:
    """A server on a terminal of its own, and what stands there."""

    def __init__(self, state: Path, **environ: str) -> None:
        self._controller, terminal = os.openpty()
        plain = {"PATH": os.environ["PATH"], "TERM": "xterm", "ROM_ENV": "development", "PORT": "0"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rom_core", "serve"],
            cwd=ROOT,
            env=plain | {"STATE_DIR": str(state)} | environ,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # At its end a terminal raises EIO.
        try:
            while data := os.read(self._controller, 65536):
                self.text += data.decode()
        except OSError:
            return

    def close(self) -> None:
        """End the server and read the rest."""
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join(30)
            os.close(self._controller)


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}], ids=["colours", "NO_COLOR"])
def test_the_readme_shows_what_the_terminal_shows(tmp_path: Path, environ: dict[str, str]) -> None:
    """For the first question to a new server; times, folders and the files in them are not those of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.search(r"```\n(\d\d:\d\d:\d\d \[info.+?)\n```", readme, re.DOTALL)
    assert lines is not None
    asked = json.loads(readme.split("-d '", 1)[1].split("'\n", 1)[0])
    seen = Seen(tmp_path, **environ)
    try:
        assert until(lambda: "server.started" in seen.text and "\n" in seen.text, START_SECONDS)
        url = re.search(r"http://127\.0\.0\.1:\d+", seen.text)
        assert url is not None
        requests.post(f"{url.group()}/api/chat", json=asked, timeout=60).raise_for_status()
        assert until(lambda: "  turn" in _plain(seen.text), START_SECONDS)
    finally:
        seen.close()
    shown = [_masked(line) for line in _plain(seen.text).splitlines()]
    assert shown[:3] == [_masked(line) for line in lines.group(1).splitlines()]
    assert [line.split()[3] for line in shown[3:]] == ["server.draining", "server.stopped"]
    assert ("\x1b[" in seen.text) is (not environ)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[\d*m", "", text)


def _masked(line: str) -> str:
    return re.sub(r"\d\d:\d\d:\d\d|:\d+$|\d+\.\d\d s|(?<=files=)\[.*?\]|(?<==)/\S+", "…", line)
