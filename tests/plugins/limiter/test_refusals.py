"""Whom the limiter refuses, before and after it knows what is asked for, and when it says to come back."""

from __future__ import annotations

import dataclasses

import pytest
from limiter_support import TEN, Crowd, Make

from rom_core.errors import RomError
from rom_core.events import RequestRejected
from rom_core.flags.canary import Canary, CanaryBlock


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


def test_retry_after_is_the_estimated_wait(crowd: Make) -> None:
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


def test_retry_after_is_the_longest_wait_over_all_limits_of_the_turn(crowd: Make) -> None:
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


# -- at the door, before the body is read ----------------------------------------------------------------------------


def at_the_door(here: Crowd, key: str = "") -> str:
    """Ask for a place as the HTTP routes do: "in", or the code of the refusal; the place is given back."""
    try:
        here.runtime.admit("/api/chat", key)()
    except RomError as error:
        return error.code
    return "in"


def test_with_every_slot_and_place_taken_nobody_is_let_in(crowd: Make) -> None:
    """queue_full, told once to the observers, with the Retry-After of the line; one free place lets the next one in."""
    here = crowd(MAX_CONCURRENT_REQUESTS=2, MAX_QUEUE_SIZE=1)
    here.come("r1", "r2")
    assert at_the_door(here) == "in", "there is a place to wait"
    here.come("w")
    here.clock.advance(25)
    with pytest.raises(RomError) as refused:
        here.runtime.admit("/api/chat", "")
    assert refused.value.code == "queue_full"
    assert refused.value.retry_after == pytest.approx(12.5)
    told = [event for event in here.recorder.events if isinstance(event, RequestRejected)]
    assert [(event.route, event.code) for event in told] == [("/api/chat", "queue_full")]
    assert here.runtime.admitted == 0, "a refusal holds no place of the core"
    here.come("late")
    assert here.error("late").retry_after == refused.value.retry_after, "as behind the door"
    here.finish("r1")
    assert at_the_door(here) == "in"


def test_a_free_slot_lets_everybody_in_although_some_may_not_take_it(crowd: Make) -> None:
    """Two exhaustive turns fill the only place to wait and the cap; whoever comes may be somebody whom a slot suits."""
    here = crowd(MAX_CONCURRENT_REQUESTS=2, MAX_QUEUE_SIZE=1, MAX_CONCURRENT_EXHAUSTIVE=1)
    here.come("e1", "e2", mode="exhaustive")
    assert at_the_door(here) == "in"
    here.come("o")
    assert here.inside == ["e1", "o"]
    assert at_the_door(here) == "queue_full"


def test_the_door_decides_by_key(crowd: Make) -> None:
    """A key that holds all of it is refused; another one is let in, since a turn has to make way for it."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=2)
    here.come("r", "w1", "w2", key_name="first")
    assert (at_the_door(here, "first"), at_the_door(here, "second")) == ("queue_full", "in")


def test_too_little_memory_is_said_at_the_door(crowd: Make) -> None:
    """memory_pressure before anything is read, whatever slots are free."""
    here = crowd()
    here.change(MEMORY_LIMIT_MB=1)
    assert at_the_door(here) == "memory_pressure"


def test_draining_is_said_before_anything_else(crowd: Make) -> None:
    """A full line does not hide that the server ends."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=0)
    here.come("r")
    assert at_the_door(here) == "queue_full"
    here.runtime.drain()
    assert at_the_door(here) == "draining"


@pytest.mark.parametrize(("canary_limits", "code"), [(True, "queue_full"), (False, "in")])
def test_beside_a_canary_only_what_both_would_refuse(crowd: Make, canary_limits: bool, code: str) -> None:
    """Nobody knows yet whose request it is: a canary without the limiter may have room for it."""
    here = crowd(MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=0)
    here.come("r")
    other = here.settings(BOTTLENECK_LIMITER_ENABLED=canary_limits)
    canary = Canary(here.runtime.build(other), CanaryBlock({}), 50)
    here.runtime.swap(dataclasses.replace(here.runtime.current, canary=canary))
    assert at_the_door(here) == code


def test_switched_off_it_refuses_nobody(crowd: Make) -> None:
    """Only the core's own admission stands."""
    here = crowd(BOTTLENECK_LIMITER_ENABLED=False, MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=0, MEMORY_LIMIT_MB=1)
    here.come("one", "two")
    assert at_the_door(here) == "in"
