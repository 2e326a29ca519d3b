"""Questions that failed a moment ago: a client that asks the very same again has had its retries.

Clients, their SDKs and the frameworks above them retry on top of each other. Each of those repeats would be retried
here once more: one throttled question was measured to become 56 requests to the model.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import Final

from rom_core.concurrency.clock import Clock
from rom_core.errors import DeadlineExceeded, ModelError, RomError
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest

REMEMBERED_SECONDS: Final = 120.0
MAX_REMEMBERED: Final = 1000


class Repeats:
    """The fingerprints of the last 1,000 questions that failed within two minutes. Thread-safe; waits for nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, float] = OrderedDict()

    def marked(self, request: ChatRequest) -> ChatRequest:
        """`request`, marked as repeated if the very same one failed within the last two minutes."""
        if not request.fingerprint:
            return request
        with self._lock:
            self._forget()
            again = request.fingerprint in self._failed
        return replace(request, repeated=True) if again else request

    def note(self, turn: Turn, failure: RomError | None) -> None:
        """Remember a turn that failed after the model was asked; one that succeeded makes it forgotten.

        What ended for another reason, as a client that left or a queue that was full, changes nothing.
        """
        fingerprint = turn.request.fingerprint
        failed = isinstance(failure, (ModelError, DeadlineExceeded)) and turn.model_requests > 0
        if not fingerprint or not (failed or failure is None):
            return
        with self._lock:
            self._failed.pop(fingerprint, None)
            if failed:
                self._failed[fingerprint] = self._clock.monotonic()
            self._forget()

    def _forget(self) -> None:
        """Drop what is too old, or too much; the oldest come first."""
        since = self._clock.monotonic() - REMEMBERED_SECONDS
        while self._failed and (len(self._failed) > MAX_REMEMBERED or next(iter(self._failed.values())) <= since):
            self._failed.popitem(last=False)
