"""Waiting for what another thread or process brings about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

LONG_SECONDS = 60.0
"""Far beyond what a busy machine takes: a test that gets there has failed."""


def until(condition: Callable[[], Any], seconds: float = LONG_SECONDS) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True
