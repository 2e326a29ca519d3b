"""Guessing keys and tokens: throttled before anything is compared, in bounded memory."""

from __future__ import annotations

import threading

import pytest

from rom_core.concurrency.clock import FakeClock
from rom_core.http.auth_throttle import MAX_WRONG, MAX_WRONG_IN_ALL, WINDOW_SECONDS, AuthThrottle, Throttled


def wrong() -> None:
    """A secret that is not found."""


def right() -> str:
    """One that is."""
    return "name"


def never() -> str:
    """What must not be called."""
    raise AssertionError("compared")


def wait_of(answer: str | Throttled | None) -> float:
    """The seconds to wait."""
    assert isinstance(answer, Throttled)
    return answer.retry_after


def test_after_ten_wrong_ones_nothing_of_the_address_is_compared() -> None:
    """The right one neither, until the first of the ten is a minute old; then one more guess is heard."""
    clock = FakeClock()
    throttle = AuthThrottle(clock)
    for _ in range(MAX_WRONG):
        assert throttle.compare("10.0.0.1", wrong) is None
        clock.advance(1)
    assert wait_of(throttle.compare("10.0.0.1", never)) == WINDOW_SECONDS - MAX_WRONG
    assert throttle.compare("10.0.0.2", right) == "name"
    clock.advance(WINDOW_SECONDS - MAX_WRONG)
    assert throttle.compare("10.0.0.1", wrong) is None
    assert wait_of(throttle.compare("10.0.0.1", never)) == 1


def test_no_two_guesses_slip_through_at_once() -> None:
    """Of guesses that come at the same moment exactly ten are compared."""
    throttle, compared, together = AuthThrottle(FakeClock()), [], threading.Barrier(16)

    def compare() -> None:
        compared.append(1)

    def guess() -> None:
        together.wait(60)
        for _ in range(20):
            throttle.compare("10.0.0.1", compare)

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(compared) == MAX_WRONG


def test_right_ones_never_count() -> None:
    """However many come."""
    throttle = AuthThrottle(FakeClock())
    assert {throttle.compare("10.0.0.1", right) for _ in range(1000)} == {"name"}


def test_ipv6_counts_by_64() -> None:
    """The next address of the same client is no new beginning."""
    throttle = AuthThrottle(FakeClock())
    for number in range(MAX_WRONG):
        throttle.compare(f"2001:db8::{number:x}", wrong)
    assert wait_of(throttle.compare("2001:db8::ffff", never)) == WINDOW_SECONDS
    assert throttle.compare("2001:db8:0:1::1", right) == "name"


def test_three_hundred_in_all_stop_everybody_but_those_who_were_right_before() -> None:
    """AuthThrottle from everywhere are no way round, and do not lock out who works here; the ten hold for them too."""
    clock = FakeClock()
    throttle = AuthThrottle(clock)
    throttle.compare("192.0.2.1", right)
    for number in range(MAX_WRONG_IN_ALL):
        assert throttle.compare(f"10.0.{number // 200}.{number % 200}", wrong) is None
    assert wait_of(throttle.compare("10.1.0.1", never)) == WINDOW_SECONDS
    assert throttle.compare("192.0.2.1", right) == "name"
    for _ in range(MAX_WRONG):
        assert throttle.compare("192.0.2.1", wrong) is None
    assert wait_of(throttle.compare("192.0.2.1", never)) == WINDOW_SECONDS
    clock.advance(WINDOW_SECONDS)
    assert throttle.compare("10.1.0.1", right) == "name"


def test_a_refusal_is_to_be_logged_once_a_minute() -> None:
    """`first` once for an address and once for all together, so that a flood of guesses is no flood of lines."""
    clock = FakeClock()
    throttle = AuthThrottle(clock)
    firsts = 0
    for number in range(MAX_WRONG_IN_ALL + 500):
        answer = throttle.compare(f"10.0.{number // 200}.{number % 200}", wrong)
        firsts += isinstance(answer, Throttled) and answer.first
    assert firsts == 1
    for _ in range(MAX_WRONG + 5):
        answer = throttle.compare("10.0.0.0", wrong)
        firsts += isinstance(answer, Throttled) and answer.first
    assert firsts == 1
    clock.advance(WINDOW_SECONDS)
    for _ in range(MAX_WRONG + 5):
        answer = throttle.compare("10.0.0.0", wrong)
        firsts += isinstance(answer, Throttled) and answer.first
    assert firsts == 2


@pytest.mark.parametrize("rounds", [1, 3])
def test_memory_does_not_grow_with_the_addresses(rounds: int) -> None:
    """Twenty thousand addresses leave no more behind than the limit in all, and nothing once a minute is over."""
    clock = FakeClock()
    throttle = AuthThrottle(clock)
    for _ in range(rounds):
        for number in range(20_000):
            throttle.compare(f"10.{number // 10_000}.{number // 100 % 100}.{number % 100}", wrong)
        assert len(throttle._wrong) <= MAX_WRONG_IN_ALL >= len(throttle._all)
        assert len(throttle._reported) <= 1
        clock.advance(WINDOW_SECONDS)
    for number in range(5000):
        throttle.compare(f"10.0.{number // 200}.{number % 200}", right)
    assert not throttle._wrong
    assert not throttle._all
    assert len(throttle._right) <= 1024
