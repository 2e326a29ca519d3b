"""The line before the slots, against a reference model: never more than the limits, in order, nobody forgotten."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plugins.limiter.line import Limits, Line, Ticket


class Reference:
    """The rules as they are written: two lists, and everything looked at anew each time."""

    def __init__(self) -> None:
        self.running: list[Ticket] = []
        self.waiting: list[Ticket] = []

    def blocked(self, ticket: Ticket, limits: Limits) -> bool:
        """Whether a cap of its own keeps the ticket back."""
        mine = [other for other in self.running if other.person == ticket.person]
        exhaustive = [other for other in self.running if other.exhaustive]
        return bool(
            (ticket.exhaustive and len(exhaustive) >= limits.exhaustive)
            or (limits.per_user and len(mine) >= limits.per_user)
        )

    def settle(self, limits: Limits) -> None:
        """The first who may run does, again and again; the newest of too many go, exhaustive ones at half as many."""
        while len(self.running) < limits.running:
            ready = [ticket for ticket in self.waiting if not self.blocked(ticket, limits)]
            if not ready:
                break
            self.waiting.remove(ready[0])
            self.running.append(ready[0])
        while sum(ticket.exhaustive for ticket in self.waiting) > (limits.waiting + 1) // 2:
            self.waiting.remove([ticket for ticket in self.waiting if ticket.exhaustive][-1])
        del self.waiting[limits.waiting :]


LIMITS = st.builds(Limits, st.integers(1, 4), st.integers(0, 4), st.integers(1, 3), st.integers(0, 2))


class LineMachine(RuleBasedStateMachine):
    """Turns come, leave at any point, and limits change, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.reference = Reference()
        self.limits = Limits(2, 2, 1, 0)
        self.inside: list[Ticket] = []

    @rule(person=st.sampled_from("xyz"), exhaustive=st.booleans(), limits=st.none() | LIMITS)
    def enter(self, person: str, exhaustive: bool, limits: Limits | None) -> None:
        """Somebody comes, perhaps the first to meet new limits."""
        self.limits = limits or self.limits
        ticket = Ticket(person, exhaustive)
        self.inside.append(ticket)
        self.reference.waiting.append(ticket)
        full = limits is None and self.line.full(self.limits)
        self.settle(lambda: self.line.enter(ticket, self.limits))
        if full:
            assert ticket.state == "gone", "it was said beforehand"

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Somebody goes: done, cancelled, out of time; also one who had been sent away before."""
        ticket = data.draw(st.sampled_from(self.inside))
        self.inside.remove(ticket)
        for place in (self.reference.running, self.reference.waiting):
            if ticket in place:
                place.remove(ticket)
        self.settle(lambda: self.line.leave(ticket, self.limits))

    @rule(limits=LIMITS)
    def change(self, limits: Limits) -> None:
        """An administrator changes the limits."""
        self.limits = limits
        self.settle(lambda: self.line.settle(limits))

    def settle(self, act: Callable[[], list[Ticket]]) -> None:
        """Do it on both sides, and see that exactly those who must wake up are told."""
        before = {ticket: ticket.state for ticket in self.inside}
        running = set(self.line.running)
        changed = act()
        self.reference.settle(self.limits)
        started = set(self.line.running) - running
        assert started == {ticket for ticket in changed if ticket.state == "running"}
        assert {t for t, state in before.items() if state == "waiting" and t.state != state} <= set(changed)
        if started:
            assert len(self.line.running) <= self.limits.running
            assert self.line.exhaustive <= self.limits.exhaustive or not any(t.exhaustive for t in started)

    @invariant()
    def same_as_the_reference(self) -> None:
        """The same run, the same wait, in the same order; counters and states agree."""
        assert set(self.line.running) == set(self.reference.running)
        assert list(self.line.waiting) == self.reference.waiting
        assert self.line.exhaustive == sum(ticket.exhaustive for ticket in self.line.running)
        assert all(ticket.state == "running" for ticket in self.line.running)
        assert all(ticket.state == "waiting" for ticket in self.line.waiting)

    @invariant()
    def full_is_full(self) -> None:
        """Exactly when no slot is free and no place either: a place that some may not take is still a place."""
        slots, places = self.limits.running - len(self.reference.running), self.limits.waiting - len(self.line.waiting)
        assert self.line.full(self.limits) == (slots <= 0 and places <= 0)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """While there is a free slot, whoever waits is kept back by a cap of their own."""
        if len(self.line.running) < self.limits.running:
            assert all(self.reference.blocked(ticket, self.limits) for ticket in self.line.waiting)

    def teardown(self) -> None:
        """When all have gone nothing is left behind."""
        for ticket in self.inside:
            self.line.leave(ticket, self.limits)
        assert (self.line.running, self.line.waiting, self.line.exhaustive) == ({}, {}, 0)
        assert not self.line._persons


LineMachine.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLine = LineMachine.TestCase
