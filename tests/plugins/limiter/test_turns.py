"""The limiter: who runs, who waits and for how long, and that no slot is ever lost."""

from __future__ import annotations

import dataclasses
import random
import threading
from functools import partial
from typing import Any

import pytest
from limiter_support import SIX, TEN, Make, until
from structlog.testing import capture_logs
from support import make_runtime, make_settings, make_turn, says

from plugins.limiter import Limiter
from rom_core import hookspecs
from rom_core.concurrency.clock import SystemClock
from rom_core.errors import ModelServerError, RomError
from rom_core.events import QueueEntered, QueueLeft, RequestRejected
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import InvalidSettings
from rom_core.turn import Attempt, Turn
from rom_core.turn_values import ModelReply


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
    """With no second passed on the turn's clock, and the next in line moves up."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=2)
    here.come("r", "leaves", "stays")
    here.gone.add("leaves")
    assert here.code("leaves") == "cancelled"
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


def test_another_key_that_finds_the_queue_full_displaces_the_newest_of_the_one_that_holds_most(crowd: Make) -> None:
    """Sixteen turns of one key, whatever users it names, leave another key its share; who makes way is told so."""
    here = crowd()
    for name in (*SIX, *TEN):
        here.come(name, key_name="first", user=f"user of {name}")
    here.come("other", key_name="second")
    assert here.code("w9") == "queue_full"
    assert "another API key" in here.error("w9").detail
    assert here.status("keys") == {"first": {"running": 6, "waiting": 9}, "second": {"running": 0, "waiting": 1}}
    here.finish("r0")
    assert until(lambda: here.inside[-1] == "other"), "its turn has come: the first key had the six before"
    assert here.code("r0") == "ok"


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
            runtime.swap(dataclasses.replace(runtime.current, version=number))
    for thread in threads:
        thread.join(60)
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
        make_settings(Catalogue.of(hookspecs, limiter=Limiter()), **values)
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
