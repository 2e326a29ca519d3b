"""The local Bedrock as a process of its own."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from local_bedrock.server import LocalBedrock

_log = logging.getLogger("local_bedrock")


def main(
    host: str = "127.0.0.1",
    port: int = 8001,
    *,
    ready: Callable[[str], None] | None = None,
    changes: Sequence[tuple[str, dict[str, Any]]] = (),
) -> None:
    """Serve in the foreground until SIGTERM or SIGINT; `ready` is called with the URL once clients may connect.

    `changes` are what models are to refuse, as `models.read_change` gives them. For the main thread. Raises OSError if
    the address is taken, LookupError for a model that is not served.
    """
    leave = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        leave.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with LocalBedrock(host, port) as server:
            for model_id, fields in changes:
                server.change_model(model_id, **fields)
            _log.info("local_bedrock.listening", extra={"url": server.url})
            if ready is not None:
                ready(server.url)
            leave.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
