"""Whether this process takes turns: not while it shuts down, nor while an administrator has drained it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rom_core.errors import Draining

_RETRY_AFTER = 10.0


@dataclass(frozen=True, slots=True)
class Drained:
    """Who drained it, why, and when in seconds since the epoch."""

    by: str
    why: str
    at: float


class Intake:
    """`draining` is set once it shuts down, and stays; `drained` says who has drained it, None if nobody has.

    Whoever has drained it may take that back. `ending` is set when the server is about to listen no more: answers that
    go on by themselves end then.
    """

    def __init__(self) -> None:
        self.draining = threading.Event()
        self.ending = threading.Event()
        self.drained: Drained | None = None

    @property
    def open(self) -> bool:
        """Whether turns are taken."""
        return self.drained is None and not self.draining.is_set()

    def set_drained(self, drained: Drained | None) -> None:
        """Drain it, or with None no longer."""
        self.drained = drained

    def refusal(self) -> Draining | None:
        """Why no turn is taken, None while turns are."""
        if self.draining.is_set():
            return Draining("the server is shutting down", retry_after=_RETRY_AFTER)
        if self.drained is not None:
            return Draining("this instance is drained: it takes no new turns", retry_after=_RETRY_AFTER)
        return None
