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
        self.given: list[str] = []

    def held(self, key: str) -> int:
        """Slots and places of a key together."""
        return sum(ticket.key == key for ticket in [*self.running, *self.waiting])

    def last_given(self, ticket: Ticket) -> int:
        """When the ticket's key was last given a slot; -1 if it was not since it last held nothing."""
        return max((turn for turn, key in enumerate(self.given) if key == ticket.key), default=-1)

    def forget(self) -> None:
        """A key that holds nothing begins anew."""
        self.given = [key if key and self.held(key) else "" for key in self.given]

    def evict(self, candidates: list[Ticket]) -> None:
        """The newest of those whose key holds most."""
        most = max(self.held(ticket.key) for ticket in candidates)
        self.waiting.remove([ticket for ticket in candidates if self.held(ticket.key) == most][-1])
        self.forget()

    def blocked(self, ticket: Ticket, limits: Limits) -> bool:
        """Whether a cap of its own keeps the ticket back."""
        mine = [other for other in self.running if other.person == ticket.person]
        exhaustive = [other for other in self.running if other.exhaustive]
        return bool(
            (ticket.exhaustive and len(exhaustive) >= limits.exhaustive)
            or (limits.per_user and len(mine) >= limits.per_user)
        )

    def schedule(self, limits: Limits) -> None:
        """Of those who may run the key served longest ago is next; of too many the one who holds most loses one."""
        while len(self.running) < limits.running:
            ready = [ticket for ticket in self.waiting if not self.blocked(ticket, limits)]
            if not ready:
                break
            ready.sort(key=self.last_given)
            self.waiting.remove(ready[0])
            self.running.append(ready[0])
            self.given.append(ready[0].key)
        while sum(ticket.exhaustive for ticket in self.waiting) > (limits.waiting + 1) // 2:
            self.evict([ticket for ticket in self.waiting if ticket.exhaustive])
        while len(self.waiting) > limits.waiting:
            self.evict(self.waiting)


LIMITS = st.builds(Limits, st.integers(1, 4), st.integers(0, 4), st.integers(1, 3), st.integers(0, 2))


class LineMachine(RuleBasedStateMachine):
    """Turns come, leave at any point, and limits change, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.reference = Reference()
        self.limits = Limits(2, 2, 1, 0)
        self.inside: list[Ticket] = []

    @rule(
        key=st.sampled_from("abc"),
        person=st.sampled_from("xyz"),
        exhaustive=st.booleans(),
        limits=st.none() | LIMITS,
    )
    def enter(self, key: str, person: str, exhaustive: bool, limits: Limits | None) -> None:
        """Somebody comes, perhaps the first to meet new limits."""
        self.limits = limits or self.limits
        ticket = Ticket(key, person, exhaustive)
        self.inside.append(ticket)
        self.reference.waiting.append(ticket)
        full = limits is None and self.line.full(self.limits, key)
        self.both(lambda: self.line.enter(ticket, self.limits))
        if full:
            assert ticket.state == "refused", "it was said beforehand"

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Somebody goes: done, cancelled, out of time; also one who had been refused before."""
        ticket = data.draw(st.sampled_from(self.inside))
        self.inside.remove(ticket)
        for place in (self.reference.running, self.reference.waiting):
            if ticket in place:
                place.remove(ticket)
        self.reference.forget()
        self.both(lambda: self.line.leave(ticket, self.limits))

    @rule(limits=LIMITS)
    def change(self, limits: Limits) -> None:
        """An administrator changes the limits."""
        self.limits = limits
        self.both(lambda: self.line.schedule(limits))

    def both(self, act: Callable[[], list[Ticket]]) -> None:
        """Do it on both sides, and see that exactly those who must wake up are told."""
        before = {ticket: ticket.state for ticket in self.inside}
        running = set(self.line.running)
        changed = act()
        self.reference.schedule(self.limits)
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
        """When no slot is free, no place either, and no key that waits holds so much more that it has to make way."""
        reference = self.reference
        slots, places = self.limits.running - len(reference.running), self.limits.waiting - len(self.line.waiting)
        for key in "abcd":
            richer = any(reference.held(ticket.key) > reference.held(key) + 1 for ticket in reference.waiting)
            assert self.line.full(self.limits, key) == (slots <= 0 and places <= 0 and not richer)

    @invariant()
    def a_key_is_shown_what_it_holds(self) -> None:
        """The numbers of the status are those of the two lists."""
        shown = self.line.by_key()
        assert {key: sum(numbers) for key, numbers in shown.items()} == {key: self.reference.held(key) for key in shown}
        assert sum(map(sum, shown.values())) == len(self.reference.running) + len(self.reference.waiting)

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
        assert not (self.line._persons)
        assert not (self.line._held)
        assert not (self.line._served)


LineMachine.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLine = LineMachine.TestCase


LIMITS_BY_DEFAULT = Limits(running=6, waiting=10, exhaustive=2)


def crowd(line: Line, key: str, number: int) -> list[Ticket]:
    """So many turns of one key, one after the other."""
    tickets = [Ticket(key) for _ in range(number)]
    for ticket in tickets:
        line.enter(ticket, LIMITS_BY_DEFAULT)
    return tickets


def states(tickets: list[Ticket]) -> list[str]:
    """What became of them."""
    return [ticket.state for ticket in tickets]


def test_one_key_alone_has_everything() -> None:
    """Six run, ten wait, the next is gone; who waits runs in the order of coming."""
    line = Line()
    office = crowd(line, "office", 17)
    assert states(office) == ["running"] * 6 + ["waiting"] * 10 + ["refused"]
    assert not office[16].displaced
    for number in range(10):
        assert line.leave(office[number], LIMITS_BY_DEFAULT) == [office[6 + number]]


def test_a_second_key_takes_the_newest_places_of_the_first_until_they_hold_the_same() -> None:
    """Sixteen of one key, then those of another: each takes a place, down to eight and eight, and not one more."""
    line = Line()
    first = crowd(line, "first", 16)
    second = crowd(line, "second", 9)
    assert states(second) == ["waiting"] * 8 + ["refused"]
    assert states(first) == ["running"] * 6 + ["waiting"] * 2 + ["refused"] * 8
    assert all(ticket.displaced for ticket in first[8:])
    assert line.full(LIMITS_BY_DEFAULT, "first")
    assert line.full(LIMITS_BY_DEFAULT, "second")
    assert not line.full(LIMITS_BY_DEFAULT, "third")


def test_slots_go_round_among_keys_and_in_order_within_one() -> None:
    """Three keys wait: each is given every third slot."""
    line = Line()
    running = crowd(line, "a", 6)
    waiting = {key: crowd(line, key, 3) for key in "abc"}
    order = [line.leave(ticket, LIMITS_BY_DEFAULT)[0] for ticket in running]
    assert order == [waiting[key][number] for number in range(2) for key in "bca"]
