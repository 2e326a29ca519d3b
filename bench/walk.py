"""The walk of one message from socket to Bedrock and back: which files of ours run, in the order in which each begins.

A real server and a local Bedrock, both over sockets, in this process. The second of two equal turns is watched, by a
profile function in the threads that serve it; what looks after itself in threads of its own is left out.

    python -m bench.walk           print the list
    python -m bench.walk --write   put it into docs/architecture.md
"""

from __future__ import annotations

import ast
import http.client
import json
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- walk -->", "<!-- end of the walk -->"
_WATCHED = ("rom_core/", "plugins/")


class Walk:
    """Notes the files of ours in which a function is called while `on` is set."""

    def __init__(self) -> None:
        self.on = False
        self.files: dict[str, None] = {}
        self.calls = 0
        self._known: dict[str, str | None] = {}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """As `threading.setprofile` calls it."""
        if event != "call" or not self.on:
            return
        name = frame.f_code.co_filename
        if name not in self._known:
            path = Path(name)
            inside = path.is_relative_to(ROOT) and str(path.relative_to(ROOT)).startswith(_WATCHED)
            self._known[name] = str(path.relative_to(ROOT)) if inside else None
        known = self._known[name]
        if known is not None:
            self.calls += 1
            self.files.setdefault(known)


def walk() -> Walk:
    """Serve one turn with every plugin on, and one more that is watched."""
    watched = Walk()
    # Before any thread starts: each takes its profile function from here.
    threading.setprofile(watched)
    try:
        return _walk(watched)
    finally:
        threading.setprofile(None)


def _walk(watched: Walk) -> Walk:
    from local_bedrock import LocalBedrock
    from rom_core.cli.runtime import load_runtime
    from rom_core.http.app import create_app
    from rom_core.http.server.server import Server
    from rom_core.telemetry import log

    with LocalBedrock() as bedrock, tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        environ = {"ROM_ENV": "development", "PORT": "0", "STATE_DIR": folder, "BEDROCK_ENDPOINT_URL": bedrock.url}
        runtime = load_runtime(ROOT, environ | {"LOG_FORMAT": "json"})
        before = sys.stdout
        sys.stdout = nowhere
        try:
            log.configure("json", "INFO", content=lambda: False)
            runtime.start()
            server = Server(create_app(runtime), runtime)
            server.start()
            for _ in range(2):
                _ask(server.url)
            watched.on = True
            _ask(server.url)
            watched.on = False
            server.stop(5)
            runtime.stop()
        finally:
            sys.stdout = before
    return watched


def _ask(url: str) -> None:
    """One message without a tool, on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    body = json.dumps({"message": "[[length=4]] Bom dia", "user": "ana"})
    connection.request("POST", "/api/chat", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the turn was answered with {answer.status}")


def listed(watched: Walk) -> str:
    """The list as it stands on the page: number, file, and the first sentence of what the file says of itself."""
    lines = [f"{number}. `{name}`: {_first_sentence(ROOT / name)}" for number, name in enumerate(watched.files, 1)]
    return "\n".join(lines)


def _first_sentence(path: Path) -> str:
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    return re.split(r"(?<=[.;:])\s", text, maxsplit=1)[0].rstrip(".;:")


def main() -> None:
    """Print the list, or write it."""
    watched = walk()
    text = listed(watched)
    if "--write" in sys.argv[1:]:
        page = PAGE.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    sys.stdout.write(f"{text}\n{len(watched.files)} files, {watched.calls} calls\n")


if __name__ == "__main__":
    main()
