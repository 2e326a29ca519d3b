"""Cancel token, deadline, watchdog: the reasons for which waits end."""

from __future__ import annotations

import threading

import pytest

from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.concurrency.clock import FakeClock
from rom_core.concurrency.watchdog import Watchdog
from rom_core.errors import DeadlineExceeded, Draining, TurnCancelled


def test_the_first_reason_stays() -> None:
    """A token is cancelled once; its error is that of the first reason."""
    token = CancelToken()
    assert token.cancel("deadline")
    assert not token.cancel("client_gone")
    assert isinstance(token.error(), DeadlineExceeded)


@pytest.mark.parametrize(
    ("reason", "error"), [("client_gone", TurnCancelled), ("deadline", DeadlineExceeded), ("draining", Draining)]
)
def test_every_reason_has_its_error(reason: str, error: type[Exception]) -> None:
    """Each reason is a type of its own; an unknown one is a mistake of the caller."""
    token = CancelToken()
    token.cancel(reason)
    assert type(token.error()) is error
    with pytest.raises(ValueError, match="unknown reason"):
        token.cancel("boredom")


def test_callbacks_run_once_and_only_inside_their_block() -> None:
    """A callback is called when the token is cancelled inside its block, at once if it was before, never after."""
    calls: list[str] = []
    token = CancelToken()
    with token.calling(lambda: calls.append("left")):
        pass
    with token.calling(lambda: calls.append("inside")):
        token.cancel("client_gone")
    with token.calling(lambda: calls.append("late")):
        pass
    assert calls == ["inside", "late"]


def test_a_deadline_counts_from_acceptance() -> None:
    """Time that passed before the turn was made is part of it."""
    clock = FakeClock()
    deadline = Deadline(clock, 10, started=clock.monotonic() - 4)
    assert (deadline.remaining(), deadline.elapsed(), deadline.passed) == (6, 4, False)
    clock.advance(6)
    assert deadline.passed


def test_the_watchdog_calls_checks_while_they_are_registered() -> None:
    """Checks are called again and again; one that raises stops neither itself nor the others."""
    called = threading.Event()
    broken: list[int] = []

    def raises() -> None:
        broken.append(1)
        raise RuntimeError("check")

    before = set(threading.enumerate())
    dog = Watchdog(interval=0.001)
    dog.start()
    with dog.watching(raises), dog.watching(called.set):
        assert called.wait(60)
        called.clear()
        assert called.wait(60)
    dog.stop()
    assert len(broken) >= 2
    seen = len(broken)
    dog.tick()
    assert len(broken) == seen
    assert set(threading.enumerate()) <= before
