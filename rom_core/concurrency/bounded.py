"""Calls that may hang and must not hold up who makes them."""

from __future__ import annotations

import threading
from collections.abc import Callable


def finished_within(seconds: float, call: Callable[[], None], *, name: str) -> bool:
    """Run `call` in a thread of this name and wait so long; whether it has ended. One that hangs is left behind."""
    thread = threading.Thread(target=call, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
