"""The line before the slots: who runs, who waits, and who is next.

Keys share fairly. A slot goes to the key that has waited longest since its last one (round robin), within a key first
in, first out. When too many wait, the newest waiting turn of the key that holds most slots and places is evicted. With
one key it is a plain FIFO queue that refuses the newcomer.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from rom_core.settings import Settings

Name = TypeVar("Name", bound=Hashable)


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
    """One turn before the limiter.

    `key` is the name of its API key, among which slots and places are shared; `person` whom the cap per user counts;
    `since` when it came or got its slot. `displaced` tells that its waiting place went to a key that held less.
    """

    key: str = ""
    person: Hashable = None
    exhaustive: bool = False
    since: float = 0.0
    state: Literal["new", "waiting", "running", "refused", "left"] = "new"
    displaced: bool = False
    wake: threading.Event | None = field(default=None, repr=False)


class Line:
    """Who runs and who waits. No clock, no lock, no I/O: every call schedules, and returns the tickets it changed."""

    def __init__(self) -> None:
        self.running: dict[Ticket, None] = {}
        self.waiting: dict[Ticket, None] = {}
        self.exhaustive = 0
        self._persons: Counter[Hashable] = Counter()
        self._held: Counter[str] = Counter()
        # When each key was last given a slot, in numbers of slots given; only of keys that hold something.
        self._served: dict[str, int] = {}
        self._given = 0

    def enter(self, ticket: Ticket, limits: Limits) -> list[Ticket]:
        """Put a new ticket at the end; it runs, waits or is refused."""
        self._held[ticket.key] += 1
        if not self.waiting and self._may_run(ticket, limits):
            self._run(ticket)
            return [ticket]
        ticket.state = "waiting"
        self.waiting[ticket] = None
        return self.schedule(limits, newcomer=ticket)

    def leave(self, ticket: Ticket, limits: Limits) -> list[Ticket]:
        """Take a ticket out, whether it runs or waits; one that was refused changes nothing."""
        if ticket.state == "running":
            del self.running[ticket]
            self.exhaustive -= ticket.exhaustive
            _subtract(self._persons, ticket.person)
            self._release(ticket)
        elif ticket.state == "waiting":
            del self.waiting[ticket]
            self._release(ticket)
        ticket.state = "left"
        return self.schedule(limits)

    def schedule(self, limits: Limits, newcomer: Ticket | None = None) -> list[Ticket]:
        """Start the turns that may run, in order; then evict while too many exhaustive turns, or turns at all, wait."""
        changed = []
        while self.waiting and len(self.running) < limits.running:
            ready = [ticket for ticket in self.waiting if self._may_run(ticket, limits)]
            if not ready:
                break
            # The first of those that are equal, so first in, first out within a key and among keys never served.
            ticket = min(ready, key=lambda ticket: self._served.get(ticket.key, 0))
            del self.waiting[ticket]
            self._run(ticket)
            changed.append(ticket)
        exhaustive = [ticket for ticket in self.waiting if ticket.exhaustive]
        while len(exhaustive) > limits.waiting_exhaustive:
            changed.append(self._evict(exhaustive, newcomer))
        waiting = list(self.waiting)
        while len(waiting) > limits.waiting:
            changed.append(self._evict(waiting, newcomer))
        return changed

    def full(self, limits: Limits, key: str) -> bool:
        """Whether the next ticket of this key will be refused at once, whatever it asks for."""
        if len(self.running) < limits.running or len(self.waiting) < limits.waiting:
            return False
        would_hold = self._held[key] + 1
        return all(self._held[ticket.key] <= would_hold for ticket in self.waiting)

    def by_key(self) -> dict[str, tuple[int, int]]:
        """How many run and how many wait, by the name of the key."""
        running = Counter(ticket.key for ticket in self.running)
        waiting = Counter(ticket.key for ticket in self.waiting)
        return {key: (running[key], waiting[key]) for key in sorted({*running, *waiting})}

    def _may_run(self, ticket: Ticket, limits: Limits) -> bool:
        if len(self.running) >= limits.running:
            return False
        if ticket.exhaustive and self.exhaustive >= limits.exhaustive:
            return False
        return not limits.per_user or self._persons[ticket.person] < limits.per_user

    def _run(self, ticket: Ticket) -> None:
        ticket.state = "running"
        self.running[ticket] = None
        self.exhaustive += ticket.exhaustive
        self._persons[ticket.person] += 1
        self._given += 1
        self._served[ticket.key] = self._given

    def _evict(self, candidates: list[Ticket], newcomer: Ticket | None) -> Ticket:
        """Refuse the newest waiting turn of the key that holds most; of several such keys, the newest of all theirs."""
        most = max(self._held[ticket.key] for ticket in candidates)
        ticket = next(ticket for ticket in reversed(candidates) if self._held[ticket.key] == most)
        candidates.remove(ticket)
        del self.waiting[ticket]
        ticket.state = "refused"
        ticket.displaced = newcomer is not None and ticket.key != newcomer.key
        self._release(ticket)
        return ticket

    def _release(self, ticket: Ticket) -> None:
        if not _subtract(self._held, ticket.key):
            self._served.pop(ticket.key, None)


def _subtract(counter: Counter[Name], name: Name) -> int:
    """Count one less, and forget what is at zero; what is left."""
    counter[name] -= 1
    left = counter[name]
    if not left:
        del counter[name]
    return left
