"""An instance among others: what it tells, what it hears, when it leads, and how long it waits to be confirmed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence

from structlog.testing import capture_logs
from waiting import until

from rom_core.concurrency.clock import FakeClock
from rom_core.errors import StoreUnavailable
from rom_core.fleet import InForceAt, Instance
from rom_core.fleet.link import LEASE_SECONDS, Beat, LinkLost
from rom_core.fleet.member import BEAT_SECONDS, CONFIRM_SECONDS, Member
from rom_core.store.sharing import LEADER


class World:
    """A store in memory, the connection of one member to it, and the member; time passes only while it listens."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.me = Instance("me", "1.0", 1, 0.0, 0.0)
        self.others: dict[str, Instance] = {}
        self.newest = 1
        self.term: int | None = None
        self.notes: list[str] = []
        self.beats: list[tuple[Instance, bool, bool]] = []
        self.broken = False
        self.left: list[str] = []
        self.closed = 0
        self.refuse: Exception | None = None
        self.during_wait: Callable[[], None] = lambda: None
        self.member = Member(self._connect, lambda: self.me, self._catch_up, self.clock)

    def _connect(self) -> World:
        if self.broken:
            raise LinkLost("nobody listens there")
        return self

    def _catch_up(self, newest: int) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.me = dataclasses.replace(self.me, version=newest)

    # -- the connection ----------------------------------------------------------------------------------------------

    def beat(self, me: Instance, *, lead: bool, confirm: bool) -> Beat:
        """As Link."""
        if self.broken:
            raise LinkLost("no answer within 5 s")
        self.beats.append((me, lead, confirm))
        seen = dataclasses.replace(me, since=me.since or 100.0, seen=self.clock.time())
        return Beat((*self.others.values(), seen), self.newest, self.term if lead else None)

    def wait(self, seconds: float) -> Sequence[str]:
        """As Link: what is told, or the time passes."""
        if self.broken:
            raise LinkLost("broken")
        self.during_wait()
        if self.notes:
            return [self.notes.pop(0)]
        self.clock.advance(seconds)
        return []

    def leave(self, id_: str) -> None:
        """As Link."""
        self.left.append(id_)

    def close(self) -> None:
        """As Link."""
        self.closed += 1

    def other(self, id_: str, version: int = 1) -> None:
        """Another instance is there."""
        self.others[id_] = Instance(id_, "1.0", version, 50.0, self.clock.time())


def test_everybody_who_is_there_is_listed() -> None:
    """This one first and as it is now, the others as last heard of."""
    world = World()
    assert [each.id for each in world.member.instances] == ["me"]
    world.other("b")
    world.member.join(world)
    world.me = dataclasses.replace(world.me, draining=True)
    listed = world.member.instances
    assert [(each.id, each.draining, each.since) for each in listed] == [("me", True, 100.0), ("b", False, 50.0)]


def test_a_new_version_is_caught_up_with_and_confirmed() -> None:
    """Told by a message or found with a heartbeat: it is put in force, and the others are told at once."""
    world = World()
    world.member.join(world)
    world.newest, world.notes = 2, ["versions 2"]
    world.member.round(world)
    assert [(me.version, confirm) for me, _, confirm in world.beats] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    world.newest = 3
    world.member.round(world)
    assert world.beats[-1][0].version == 3
    assert world.beats[-1][2] is True


def test_what_cannot_be_put_in_force_is_not_confirmed() -> None:
    """It is tried again with every heartbeat, and logged once."""
    world = World()
    world.member.join(world)
    world.newest, world.refuse = 2, StoreUnavailable("away")
    with capture_logs() as logged:
        world.member.round(world)
        world.member.round(world)
    assert [entry["event"] for entry in logged] == ["fleet.not_caught_up"]
    assert {me.version for me, _, _ in world.beats} == {1}
    world.refuse = None
    world.member.round(world)
    assert world.beats[-1][0].version == 2


def test_a_heartbeat_at_least_every_three_seconds() -> None:
    """However much there is to hear meanwhile."""
    world = World()
    world.member.join(world)
    before = world.clock.monotonic()

    def chatter() -> None:
        world.clock.advance(0.25)
        world.notes = ["circuits"]

    world.during_wait = chatter
    world.member.round(world)
    assert world.clock.monotonic() - before == BEAT_SECONDS
    assert len(world.beats) == 2


def test_topics_are_told_and_told_again_when_something_may_have_been_missed() -> None:
    """By a message, by a new connection, and with every heartbeat; one that fails harms nobody."""
    world, heard = World(), []

    def fails() -> None:
        raise StoreUnavailable("away")

    world.member.on("circuits", fails)
    world.member.on("circuits", lambda: heard.append("circuits"))
    world.member.on("rollout", lambda: heard.append("rollout"))
    world.member.join(world)
    assert heard == ["circuits", "rollout"]
    world.notes = ["circuits", "of-somebody-else"]
    world.member.round(world)
    assert heard[2:] == ["circuits", "circuits", "rollout"]


def test_the_lease_is_believed_in_for_less_time_than_it_lasts() -> None:
    """By one's own clock, from when it was asked for: a holder that hears nothing stops before another begins."""
    world, gained = World(), []
    world.member.on(LEADER, lambda: gained.append(world.member.term))
    world.member.join(world)
    terms = [world.member.term]
    world.term = 7
    world.member.round(world)
    terms.append(world.member.term)
    assert (terms, gained) == ([None, 7], [7])
    world.clock.advance(BEAT_SECONDS)
    world.member.round(world)
    assert gained == [7]
    world.broken = True
    world.clock.advance(LEASE_SECONDS - 2.1)
    assert world.member.term == 7
    world.clock.advance(0.2)
    assert world.member.term is None


def test_an_instance_that_drains_does_not_lead() -> None:
    """Another can take over while it still answers its turns."""
    world = World()
    world.term = 1
    world.member.join(world)
    assert world.member.term == 1
    world.me = dataclasses.replace(world.me, draining=True)
    world.member.round(world)
    assert world.beats[-1][1] is False
    assert world.member.term is None


def test_a_change_is_waited_for_until_everybody_has_confirmed_it() -> None:
    """The message of the last one ends the wait."""
    world = World()
    world.other("b")
    world.other("c")
    world.member.join(world)
    world.me, world.newest = dataclasses.replace(world.me, version=2), 2
    answers: list[InForceAt] = []
    waiter = threading.Thread(target=lambda: answers.append(world.member.wait_in_force(2, durable=True)))
    waiter.start()
    world.notes = ["confirmed b 2", "versions 2", "confirmed of-nobody 2", "confirmed", "confirmed c x"]
    world.others["b"] = dataclasses.replace(world.others["b"], version=2)
    world.member.round(world)
    assert waiter.is_alive()
    world.notes = ["confirmed c 2"]
    world.others["c"] = dataclasses.replace(world.others["c"], version=2)
    world.member.round(world)
    waiter.join(60)
    assert answers == [InForceAt(3, 3)]


def test_who_has_not_confirmed_is_named() -> None:
    """After five seconds."""
    world = World()
    world.other("b", version=2)
    world.other("c")
    world.member.join(world)
    world.me = dataclasses.replace(world.me, version=2)
    answers: list[InForceAt] = []

    def wait() -> None:
        answers.append(world.member.wait_in_force(2, durable=True))

    waiter = threading.Thread(target=wait)
    waiter.start()
    began = world.clock.monotonic()
    while waiter.is_alive():
        world.member.round(world)
    assert world.clock.monotonic() - began >= CONFIRM_SECONDS
    assert answers == [InForceAt(2, 3, ("c",))]


def test_a_change_that_was_not_stored_is_in_force_here_only() -> None:
    """Nothing is waited for: nobody else can know of it, whatever version they are at."""
    world = World()
    world.other("b", version=9)
    world.member.join(world)
    assert world.member.wait_in_force(2, durable=False) == InForceAt(1, 2, ("b",))


def test_it_comes_back_when_the_store_does() -> None:
    """While it is away the list stays, and the reason is known; nobody is asked all the time."""
    world = World()
    world.other("b")
    world.broken = True
    world.member.start()
    assert until(lambda: world.member.away == "nobody listens there")
    world.broken = False
    assert until(lambda: not world.member.away)
    assert [each.id for each in world.member.instances] == ["me", "b"]
    with capture_logs() as logged:
        world.broken = True
        assert until(lambda: world.member.away)
    assert [line["reason"] for line in logged if line["event"] == "fleet.away"] in (
        ["broken"],
        ["no answer within 5 s"],
    )
    assert [each.id for each in world.member.instances] == ["me", "b"]
    world.broken = False
    assert until(lambda: not world.member.away)
    world.member.stop()
    assert world.left == ["me"]
    assert world.closed >= 2
