"""The limiter: who runs, who waits and for how long, who is refused, and that no slot is ever lost."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs
from support import Recorder, make_runtime, make_settings, make_turn, says

from plugins.limiter import Limiter
from plugins.limiter.line import Limits, Line, Ticket
from rom_core.catalogue import Catalogue
from rom_core.clock import FakeClock, SystemClock
from rom_core.config import InvalidSettings
from rom_core.errors import ModelServerError, RomError
from rom_core.events import QueueEntered, QueueLeft, RequestRejected
from rom_core.hookspecs import hookimpl
from rom_core.turn import Attempt, ModelReply, Turn, TurnResult

# -- the line, against a reference model -----------------------------------------------------------------------------


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
        self.settle(lambda: self.line.enter(ticket, self.limits))

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


# -- the plugin, with turns in threads -------------------------------------------------------------------------------


class Crowd:
    """A runtime whose model answers a turn when the test lets it: turns are known by their message."""

    def __init__(self, *, clock: Any = None, extra: dict[str, Any] | None = None, **settings: Any) -> None:
        self.clock = clock or FakeClock()
        self.recorder = Recorder()
        self.limiter = Limiter()
        self.inside: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.turns: dict[str, Turn] = {}
        self.gone: set[str] = set()
        self.outcomes: dict[str, TurnResult | RomError] = {}
        self._threads: list[threading.Thread] = []
        plugins = {"limiter": self.limiter, "recorder": self.recorder} | (extra or {})
        self.values: dict[str, Any] = {"BOTTLENECK_LIMITER_ENABLED": True, "MEMORY_LIMIT_MB": 1 << 20} | settings
        self.runtime, _ = make_runtime(self._answer, plugins=plugins, clock=self.clock, **self.values)
        self.runtime.start()

    def come(self, *names: str, **request: Any) -> None:
        """Start a turn for each name, one after the other."""
        for name in names:
            self.gates[name] = threading.Event()
            turn = self.turns[name] = make_turn(self.runtime, name, **request)
            thread = threading.Thread(target=self._run, args=(name, turn))
            self._threads.append(thread)
            before = self.settled
            thread.start()
            assert until(partial(self._moved_on, before)), f"{name} neither runs, waits nor was refused"

    @property
    def settled(self) -> int:
        """How many turns have found out what becomes of them at first."""
        line = self.limiter._line
        refused = sum(isinstance(outcome, RomError) for outcome in self.outcomes.values())
        return len(self.inside) + len(line.waiting) + refused

    def _moved_on(self, before: int) -> bool:
        return self.settled > before

    def finish(self, *names: str) -> None:
        """Let these turns have their answer, and wait until they have ended."""
        for name in names:
            self.gates[name].set()
            self.code(name)

    def change(self, **settings: Any) -> None:
        """New settings come into force."""
        self.values |= settings
        new = make_settings(self.runtime.catalogue, **self.values)
        self.runtime.current = dataclasses.replace(self.runtime.current, settings=new)

    def code(self, name: str) -> str:
        """How the turn ended: "ok" or the code of its error, once it has."""
        assert until(lambda: name in self.outcomes), f"{name} did not end"
        outcome = self.outcomes[name]
        return outcome.code if isinstance(outcome, RomError) else "ok"

    def error(self, name: str) -> RomError:
        """The error a turn ended with."""
        self.code(name)
        outcome = self.outcomes[name]
        assert isinstance(outcome, RomError)
        return outcome

    def status(self, name: str) -> Any:
        """One number of the plugin's status."""
        return self.limiter.rom_status()[name]

    def close(self) -> None:
        """Let everybody out; no slot may be left taken."""
        for gate in self.gates.values():
            gate.set()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self.runtime.stop()
        assert (self.status("running"), self.status("waiting")) == (0, 0)

    def _run(self, name: str, turn: Turn) -> None:
        try:
            self.outcomes[name] = self.runtime.run(turn, lambda: name in self.gone)
        except RomError as error:
            self.outcomes[name] = error

    def _answer(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        name = attempt.turn.request.messages[0]["content"][0]["text"]
        self.inside.append(name)
        assert self.gates[name].wait(20)
        return says("done")


def until(condition: Callable[[], Any], seconds: float = 10) -> bool:
    """Wait for another thread, in real time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


@pytest.fixture
def crowd() -> Iterator[Callable[..., Crowd]]:
    """Makes crowds, and sends them home."""
    made: list[Crowd] = []

    def make(**settings: Any) -> Crowd:
        made.append(Crowd(**settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[..., Crowd]
SIX = tuple(f"r{n}" for n in range(6))
TEN = tuple(f"w{n}" for n in range(10))


def test_six_run_ten_wait_and_the_next_is_refused_at_once(crowd: Make) -> None:
    """By default: the 7th waits, the 17th gets queue_full, and waiters run in the order in which they came."""
    here = crowd()
    here.come(*SIX, *TEN, "late")
    assert here.inside == list(SIX)
    assert here.code("late") == "queue_full"
    assert here.status("waiting") == 10
    for number, name in enumerate(TEN):
        here.finish((SIX + TEN)[number])
        assert until(partial(lambda name: here.inside[-1] == name, name))
    assert here.inside == [*SIX, *TEN]
    here.finish(*TEN[4:])
    assert [here.code(name) for name in SIX + TEN] == ["ok"] * 16


def test_the_wait_is_measured_and_told(crowd: Make) -> None:
    """`queue_wait` in seconds, QueueEntered with the depth, QueueLeft with how it ended; nothing without a wait."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1)
    here.come("r", "w")
    here.clock.advance(4)
    here.finish("r", "w")
    assert (here.turns["r"].queue_wait, here.turns["w"].queue_wait) == (0.0, 4.0)
    events = [event for event in here.recorder.events if isinstance(event, QueueEntered | QueueLeft)]
    assert events == [QueueEntered(here.turns["w"], 1, 1), QueueLeft(here.turns["w"], 4.0, "started", 0, 1)]


def test_who_waits_too_long_is_told_when_to_come_back(crowd: Make) -> None:
    """At 30 s, not before: queue_timeout, with its event; the others are not disturbed."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1)
    here.come("r", "first")
    here.clock.advance(10)
    here.come("second")
    here.clock.advance(19.9)
    assert here.status("waiting") == 2
    here.clock.advance(0.2)
    assert here.code("first") == "queue_timeout"
    assert here.status("waiting") == 1
    rejected = [event for event in here.recorder.events if isinstance(event, RequestRejected)]
    assert [event.code for event in rejected] == ["queue_timeout"]
    assert [e.outcome for e in here.recorder.events if isinstance(e, QueueLeft)] == ["timeout"]
    here.finish("r", "second")
    assert here.code("second") == "ok"


def test_the_deadline_counts_while_waiting(crowd: Make) -> None:
    """A turn whose time is up before the queue's is ended by its own deadline."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1, TURN_DEADLINE_SECONDS=5)
    here.come("r", "w")
    here.clock.advance(5)
    assert here.code("w") == "deadline_exceeded"


def test_a_client_that_leaves_gives_its_place_up_at_once(crowd: Make) -> None:
    """Within the watchdog's tenth of a second, and the next in line moves up."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=2)
    here.come("r", "leaves", "stays")
    began = time.monotonic()
    here.gone.add("leaves")
    assert here.code("leaves") == "cancelled"
    assert time.monotonic() - began < 1
    here.come("next")
    assert here.status("waiting") == 2
    here.finish("r")
    assert until(lambda: here.inside == ["r", "stays"])


def test_at_most_two_exhaustive_turns_run_and_they_hold_up_nobody(crowd: Make) -> None:
    """They take a slot of both kinds; a third waits while ordinary turns behind it run; it keeps its place."""
    here = crowd(MAX_CONCURRENT_REQUESTS=4)
    here.come("e1", "e2", "e3", mode="exhaustive")
    here.come("o1", "o2")
    assert here.inside == ["e1", "e2", "o1", "o2"]
    here.come("o3")
    assert here.status("waiting") == 2
    here.finish("o1")
    assert until(lambda: here.inside[-1] == "o3"), "e3 is kept back by its own cap"
    here.finish("e1")
    assert until(lambda: here.inside[-1] == "e3")


def test_one_person_holds_at_most_so_many_slots(crowd: Make) -> None:
    """A person is an API key and a user; others pass by who waits for a slot of their own."""
    here = crowd(MAX_CONCURRENT_REQUESTS=4, MAX_CONCURRENT_PER_USER=2)
    here.come("a1", "a2", "a3", user="ana", key_name="office")
    here.come("b1", user="bia", key_name="office")
    here.come("c1", user="ana", key_name="other")
    assert here.inside == ["a1", "a2", "b1", "c1"]
    here.finish("b1")
    assert here.status("running") == 3, "ana has hers"
    here.finish("a2")
    assert until(lambda: here.inside[-1] == "a3")


def test_without_a_limit_per_person_one_may_take_all(crowd: Make) -> None:
    """The default."""
    here = crowd(MAX_CONCURRENT_REQUESTS=3)
    here.come("a1", "a2", "a3", user="ana")
    assert len(here.inside) == 3


def test_changed_limits_apply_to_those_who_wait(crowd: Make) -> None:
    """More slots let them run, less patience ends their wait, a shorter queue sends the newest away."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1)
    here.come("r", "w1", "w2", "w3", "w4")
    here.change(MAX_CONCURRENT_REQUESTS=2)
    assert until(lambda: here.inside == ["r", "w1"])
    here.change(MAX_QUEUE_SIZE=2)
    assert here.code("w4") == "queue_full"
    assert here.status("waiting") == 2
    here.clock.advance(5)
    here.change(QUEUE_TIMEOUT_SECONDS=4)
    assert {here.code("w2"), here.code("w3")} == {"queue_timeout"}
    here.change(MAX_CONCURRENT_REQUESTS=1)
    here.come("w5")
    here.finish("r")
    assert here.inside == ["r", "w1"], "one still runs, which is all that may"


def test_who_waits_is_let_go_when_the_limiter_is_switched_off(crowd: Make) -> None:
    """Switching a plugin off removes its effect, although it is no longer told of anything."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1)
    here.come("r", "w")
    here.change(BOTTLENECK_LIMITER_ENABLED=False)
    assert until(lambda: here.inside == ["r", "w"])
    assert [e.outcome for e in here.recorder.events if isinstance(e, QueueLeft)] == ["released"]
    assert here.status("running") == 1


def test_draining_refuses_who_waits_and_lets_running_turns_end(crowd: Make) -> None:
    """All waiters get `draining` at once; who has a slot keeps it."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1)
    here.come("r", "w1", "w2")
    here.runtime.drain()
    assert [here.code("w1"), here.code("w2")] == ["draining", "draining"]
    here.finish("r")
    assert here.code("r") == "ok"


def test_above_the_memory_ratio_new_turns_are_refused(crowd: Make) -> None:
    """memory_pressure, whatever slots are free, and again admitted when there is memory; running turns go on."""
    here = crowd()
    here.come("r")
    here.change(MEMORY_LIMIT_MB=1)
    here.clock.advance(1)
    here.come("refused")
    assert here.code("refused") == "memory_pressure"
    assert here.error("refused").retry_after == 20, "whatever the line is like"
    here.change(MEMORY_LIMIT_MB=1 << 20)
    here.clock.advance(1)
    here.come("again")
    assert here.inside == ["r", "again"]
    here.finish("r")
    assert here.code("r") == "ok"


def test_retry_after_is_how_long_the_line_lasts(crowd: Make) -> None:
    """Ten waiting, two slots, turns of about 4 s: about 20 s; never more than 60."""
    here = crowd(MAX_CONCURRENT_REQUESTS=2, MAX_QUEUE_SIZE=0)
    for number in range(40):
        here.come(f"q{number}")
        here.clock.advance(4)
        here.finish(f"q{number}")
    here.change(MAX_QUEUE_SIZE=10)
    here.come("r1", "r2", *TEN, "late")
    assert here.error("late").retry_after == pytest.approx(20, abs=0.1)
    here.clock.advance(25)
    here.come("later")
    assert here.error("later").retry_after == 60, "turns that run for 25 s already are no 4 s turns"


def test_retry_after_is_that_of_the_line_which_holds_the_turn_back(crowd: Make) -> None:
    """An exhaustive turn is told of the two exhaustive slots, a person at the cap of its own, others of all slots."""
    here = crowd(QUEUE_TIMEOUT_SECONDS=25, MAX_CONCURRENT_PER_USER=3)
    here.come("e1", "e2", mode="exhaustive", user="ana")
    here.clock.advance(20)
    here.come("e3", "e4", "e5", mode="exhaustive", user="bia")
    here.come("c1", "c2", "c3", "c4", user="caio")
    here.clock.advance(24)
    here.come("o1", user="davi")
    assert here.inside == ["e1", "e2", "c1", "c2", "c3", "o1"]
    here.clock.advance(1)
    assert {here.code(name) for name in ("e3", "e4", "e5", "c4")} == {"queue_timeout"}
    assert (here.error("e5").retry_after or 0) >= 45 / 2
    assert (here.error("c4").retry_after or 0) >= 25 / 3
    here.change(MAX_QUEUE_SIZE=0)
    here.come("late", user="eva")
    assert here.error("late").retry_after == pytest.approx((45 + 45 + 25 * 3 + 1) / 6 / 6)
    here.come("late exhaustive", user="eva", mode="exhaustive")
    assert here.error("late exhaustive").retry_after == pytest.approx(45 / 2)
    here.come("late caio", user="caio")
    assert here.error("late caio").retry_after == pytest.approx(25 / 3)


def test_exhaustive_turns_leave_half_of_the_waiting_places(crowd: Make) -> None:
    """Two run, five of ten places are theirs, the next is refused; an ordinary turn still finds a place."""
    here = crowd(MAX_CONCURRENT_REQUESTS=3)
    here.come("o1")
    here.come(*(f"e{number}" for number in range(8)), mode="exhaustive")
    assert here.code("e7") == "queue_full"
    assert here.status("waiting") == 5
    here.come("o2")
    assert here.status("waiting") == 6


class Breaks:
    """A plugin inside the limiter that fails as it is told."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl(wrapper=True)
    def rom_turn(self, turn: Turn) -> Any:
        raise self.error
        yield


@pytest.mark.parametrize("error", [ModelServerError("", kind="500"), RuntimeError("a bug")])
def test_a_failed_turn_gives_its_slot_back(crowd: Make, error: Exception) -> None:
    """Whatever kind of exception ends it."""
    here = crowd(extra={"breaks": Breaks(error)}, MAX_CONCURRENT_REQUESTS=1, PLUGINS=["limiter", "breaks"])
    with capture_logs():
        for name in ("one", "two"):
            here.come(name)
            assert here.code(name) in ("upstream_unavailable", "internal_error")
    assert here.status("running") == 0


def test_no_slot_is_lost_under_cancellations_at_any_moment() -> None:
    """300 turns, cancelled before, in and after the queue at random, while limits change: then all is free."""
    dice = random.Random(1)
    limiter = Limiter()
    slow = threading.Semaphore(0)
    peak: list[int] = []

    def answer(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        peak.append(len(limiter._line.running))
        slow.acquire(timeout=0.002)
        attempt.call.check()
        return says("done")

    runtime, _ = make_runtime(
        answer,
        plugins={"limiter": limiter},
        clock=SystemClock(),
        HTTP_THREADS=80,
        MAX_QUEUE_SIZE=50,
        QUEUE_TIMEOUT_SECONDS=0.1,
    )
    runtime.start()
    codes: set[str] = set()

    def one(turn: Turn) -> None:
        try:
            runtime.run(turn)
            codes.add("ok")
        except RomError as error:
            codes.add(error.code)

    threads = []
    for number in range(300):
        turn = make_turn(runtime, mode=dice.choice(["standard", "exhaustive"]), user=dice.choice("abc"))
        threads.append(threading.Thread(target=one, args=(turn,)))
        threads[-1].start()
        if number % 3:
            threading.Timer(dice.random() / 50, turn.cancel.cancel, ["client_gone"]).start()
        if number % 50 == 0:
            runtime.current = dataclasses.replace(runtime.current, version=number)
    for thread in threads:
        thread.join(10)
    runtime.stop()
    assert not any(thread.is_alive() for thread in threads)
    assert {"ok", "cancelled"} <= codes <= {"ok", "cancelled", "queue_full", "queue_timeout"}
    assert max(peak) <= 6
    assert (limiter._line.running, limiter._line.waiting, limiter._line.exhaustive) == ({}, {}, 0)


def test_off_costs_nothing_and_limits_nothing(crowd: Make) -> None:
    """Switched off, the plugin is not in the way of a turn."""
    here = crowd(BOTTLENECK_LIMITER_ENABLED=False, MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=0)
    here.come("one", "two", "three")
    assert here.inside == ["one", "two", "three"]
    assert here.status("running") == 0


# -- settings --------------------------------------------------------------------------------------------------------


def refusals(**values: Any) -> list[str]:
    """The settings that are blamed."""
    try:
        make_settings(Catalogue.of(limiter=Limiter()), **values)
    except InvalidSettings as error:
        return [problem.name for problem in error.problems]
    return []


def test_threads_must_hold_running_and_waiting_turns_and_the_reserve() -> None:
    """6 + 10 + 12 are enough, one less is refused, and none of it matters while the limiter is off."""
    on = {"BOTTLENECK_LIMITER_ENABLED": True}
    assert refusals(HTTP_THREADS=28, **on) == []
    assert refusals(HTTP_THREADS=27, **on) == ["HTTP_THREADS"]
    assert refusals(HTTP_THREADS=13) == []
    assert refusals(MAX_CONCURRENT_REQUESTS=11, MAX_QUEUE_SIZE=10, **on) == ["HTTP_THREADS"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAX_CONCURRENT_REQUESTS", 0), ("MAX_CONCURRENT_EXHAUSTIVE", 0), ("MEMORY_REJECT_RATIO", 1.5)],
)
def test_a_limit_that_lets_nobody_run_is_refused(name: str, value: float) -> None:
    """Switching off is what the switch is for."""
    assert refusals(**{name: value}) == [name]
