"""The walk of one message from socket to Bedrock and back: the files of ours through which it passes.

A real server and a local Bedrock, both over sockets, in this process, with every plugin switched on. A turn is watched
by a profile function in the threads that serve it. At each station (a call that every message makes) the stack says
who handed the message on, and that is the walk; what these files ask for help, and who only observes, is not in it.

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
# Of each station the end of the file's path and the function that is called.
STATIONS = {
    ("http/server/dispatcher.py", "add_task"): "its bytes have become a request, which waits for a thread",
    ("http/body.py", "read"): "its body is read and validated",
    ("conversation/__init__.py", "normalise"): "a request is made of it that Bedrock accepts",
    ("urllib3/connection.py", "request"): "it goes out to Bedrock",
    ("bedrock/reply.py", "feed"): "an event of the answer comes in",
    ("http/server/channel.py", "write_soon"): "the answer goes to the client",
    ("waitress/channel.py", "write_soon"): "the answer goes to the client",
}


class Walk:
    """Notes the stack of each station when it is first called while `on` is set."""

    def __init__(self) -> None:
        self.on = False
        self.steps: dict[str, list[tuple[str, str]]] = {}
        self._known: dict[str, str | None] = {}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """As `threading.setprofile` calls it."""
        if event != "call" or not self.on:
            return
        for (path, function), station in STATIONS.items():
            if frame.f_code.co_name == function and frame.f_code.co_filename.endswith(path):
                self.steps.setdefault(station, self._ours(frame))

    @property
    def files(self) -> dict[str, list[str]]:
        """The files in the order in which the message reaches them, each with the functions that hand it on."""
        found: dict[str, list[str]] = {}
        for station in dict.fromkeys(STATIONS.values()):
            for name, function in self.steps.get(station, ()):
                functions = found.setdefault(name, [])
                if function not in functions:
                    functions.append(function)
        return found

    def _ours(self, frame: FrameType | None) -> list[tuple[str, str]]:
        stack = []
        while frame is not None:
            name = self._name(frame.f_code.co_filename)
            if name is not None:
                stack.append((name, frame.f_code.co_name))
            frame = frame.f_back
        return stack[::-1]

    def _name(self, filename: str) -> str | None:
        if filename not in self._known:
            path = Path(filename)
            inside = path.is_relative_to(ROOT) and str(path.relative_to(ROOT)).startswith(_WATCHED)
            self._known[filename] = str(path.relative_to(ROOT)) if inside else None
        return self._known[filename]


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
    """The list as it stands on the page: number, file, what the file says of itself first, the functions."""
    return "\n".join(
        f"{number}. `{name}`: {_first_sentence(ROOT / name)} ({', '.join(f'`{one}`' for one in functions)})"
        for number, (name, functions) in enumerate(watched.files.items(), 1)
    )


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
    sys.stdout.write(f"{text}\n{len(watched.files)} files\n")


if __name__ == "__main__":
    main()
