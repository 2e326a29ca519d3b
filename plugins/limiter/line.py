"""The line before the slots: who runs, who waits, and who is next."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

from rom_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """How many may run, how many may wait, how many of mode exhaustive and of one person may run (0 = any)."""

    running: int
    waiting: int
    exhaustive: int
    per_user: int = 0

    @property
    def waiting_exhaustive(self) -> int:
        """How many of mode exhaustive may wait: half of the places, or ordinary turns would find none behind them."""
        return (self.waiting + 1) // 2

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As the settings say."""
        return cls(
            settings.MAX_CONCURRENT_REQUESTS,
            settings.MAX_QUEUE_SIZE,
            settings.MAX_CONCURRENT_EXHAUSTIVE,
            settings.MAX_CONCURRENT_PER_USER,
        )


@dataclass(eq=False, slots=True)
class Ticket:
    """One turn before the limiter; `person` is whom the cap per user counts, `since` when it came or got its slot."""

    person: Hashable = None
    exhaustive: bool = False
    since: float = 0.0
    state: Literal["new", "waiting", "running", "gone"] = "new"
    wake: threading.Event | None = field(default=None, repr=False)


class Line:
    """Who runs and who waits. No clock, no lock, no I/O: every call settles, and returns whose state it changed."""

    def __init__(self) -> None:
        self.running: dict[Ticket, None] = {}
        self.waiting: dict[Ticket, None] = {}
        self.exhaustive = 0
        self._persons: dict[Hashable, int] = {}

    def enter(self, ticket: Ticket, limits: Limits) -> list[Ticket]:
        """Put a new ticket at the end; it runs, waits, or is gone again because the line is full."""
        if not self.waiting and self._may_run(ticket, limits):
            self._run(ticket)
            return [ticket]
        ticket.state = "waiting"
        self.waiting[ticket] = None
        return self.settle(limits)

    def leave(self, ticket: Ticket, limits: Limits) -> list[Ticket]:
        """Take a ticket out, whether it runs or waits; one that is gone already changes nothing."""
        if ticket.state == "running":
            del self.running[ticket]
            self.exhaustive -= ticket.exhaustive
            left = self._persons.pop(ticket.person) - 1
            if left:
                self._persons[ticket.person] = left
        elif ticket.state == "waiting":
            del self.waiting[ticket]
        ticket.state = "gone"
        return self.settle(limits)

    def settle(self, limits: Limits) -> list[Ticket]:
        """Let everyone run who may, in order; then send the newest away while too many of a kind, or at all, wait."""
        changed = []
        if self.waiting and len(self.running) < limits.running:
            for ticket in list(self.waiting):
                if self._may_run(ticket, limits):
                    del self.waiting[ticket]
                    self._run(ticket)
                    changed.append(ticket)
        for ticket in [ticket for ticket in self.waiting if ticket.exhaustive][limits.waiting_exhaustive :]:
            del self.waiting[ticket]
            ticket.state = "gone"
            changed.append(ticket)
        while len(self.waiting) > limits.waiting:
            ticket, _ = self.waiting.popitem()
            ticket.state = "gone"
            changed.append(ticket)
        return changed

    def full(self, limits: Limits) -> bool:
        """Whether the next ticket will be gone at once, whatever it asks for."""
        return len(self.running) >= limits.running and len(self.waiting) >= limits.waiting

    def _may_run(self, ticket: Ticket, limits: Limits) -> bool:
        if len(self.running) >= limits.running:
            return False
        if ticket.exhaustive and self.exhaustive >= limits.exhaustive:
            return False
        return not limits.per_user or self._persons.get(ticket.person, 0) < limits.per_user

    def _run(self, ticket: Ticket) -> None:
        ticket.state = "running"
        self.running[ticket] = None
        self.exhaustive += ticket.exhaustive
        self._persons[ticket.person] = self._persons.get(ticket.person, 0) + 1
