"""WSGI middleware that notices the last scrape of /metrics before the process ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

_METRICS = "/metrics"
_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class LastScrape:
    """The WSGI app, with an eye on /metrics: `done` is set by a good answer to a scrape that began after `settled`.

    `settled` is for the server to set, once every turn has been counted.
    """

    def __init__(self, app: _App) -> None:
        self._app = app
        self.settled = threading.Event()
        self.done = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as the app does."""
        if environ.get("PATH_INFO") != _METRICS or not self.settled.is_set():
            return self._app(environ, start_response)

        def start(status: str, *rest: Any) -> Any:
            if status.startswith("200"):
                self.done.set()
            return start_response(status, *rest)

        return self._app(environ, start)
