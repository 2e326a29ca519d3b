"""The threads of the HTTP server: reads and admin calls never stand behind chats."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from rom_core.http.server.lanes import Lanes


class Request:
    def __init__(self, command: str, path: str) -> None:
        self.command = command
        self.path = path


class Unparsed:
    """A request that waitress gave up on: it has neither command nor path."""


class Channel:
    """What waitress hands over; `service` blocks until the test lets it go on."""

    def __init__(self, done: list[str], name: str, request: Any, error: Exception | None = None) -> None:
        self.requests: list[object] = [request]
        self.name = name
        self.go = threading.Event()
        self.serving = threading.Event()
        self.cancelled = False
        self._done = done
        self._error = error

    def service(self) -> None:
        self.serving.set()
        assert self.go.wait(10)
        self._done.append(self.name)
        if self._error:
            raise self._error

    def cancel(self) -> None:
        self.cancelled = True


TURNS = ("/api/chat",)


def chat(done: list[str], name: str, **options: Any) -> Channel:
    """A request for a turn."""
    return Channel(done, name, Request("POST", "/api/chat"), **options)


@pytest.fixture
def lanes() -> Iterator[Callable[..., Lanes]]:
    """Makes dispatchers and ends their threads."""
    made: list[Lanes] = []

    def make(threads: int, chats: int, *, start: bool = True, **door: Any) -> Lanes:
        made.append(Lanes(threads, chats, **door))
        if start:
            made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.shutdown(timeout=5)


def ended(lanes: Lanes) -> bool:
    """Whether everything has been served, within ten seconds."""
    until = time.monotonic() + 10
    while lanes.busy and time.monotonic() < until:
        time.sleep(0.001)
    return not lanes.busy


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/health"),
        Request("HEAD", "/ready"),
        Request("POST", "/admin/reload-flags"),
        Request("GET", "/v1/models"),
    ],
)
def test_chats_leave_threads_for_everything_else(lanes: Callable[..., Lanes], request_: Request) -> None:
    """With as many chats as may have threads, and more waiting, a read or an admin call is served at once."""
    done: list[str] = []
    here = lanes(3, 2)
    chats = [chat(done, str(number)) for number in range(5)]
    for one in chats:
        here.add_task(one)
    assert chats[0].serving.wait(5)
    assert chats[1].serving.wait(5)
    probe = Channel(done, "probe", request_)
    probe.go.set()
    here.add_task(probe)
    assert probe.serving.wait(5)
    assert not chats[2].serving.is_set()
    for one in chats:
        one.go.set()
    assert ended(here)
    assert done[0] == "probe"
    assert sorted(done[1:]) == ["0", "1", "2", "3", "4"]


def test_few_at_a_time_are_at_the_door(lanes: Callable[..., Lanes]) -> None:
    """Two are on their way to a place or a refusal; the next comes when one of them has its place, or has ended."""
    done: list[str] = []
    here = lanes(8, 6, turns=TURNS, door=2)
    one, two, three, four, five = chats = [chat(done, str(number)) for number in range(5)]
    for each in chats:
        here.add_task(each)
    assert one.serving.wait(5)
    assert two.serving.wait(5)
    assert not three.serving.wait(0.05)
    here.let_in(one)
    assert three.serving.wait(5)
    here.let_in(one)
    assert not four.serving.wait(0.05), "once is once"
    two.go.set()
    assert four.serving.wait(5)
    assert not five.serving.wait(0.05)
    for each in chats:
        each.go.set()
    assert ended(here)
    assert sorted(done) == ["0", "1", "2", "3", "4"]


def test_only_turns_pass_through_the_door(lanes: Callable[..., Lanes]) -> None:
    """A slow POST to a plugin's route keeps no chat out, nor the other way round."""
    done: list[str] = []
    here = lanes(6, 4, turns=TURNS, door=1)
    slow = [Channel(done, "slow", Request("POST", "/plugin")) for _ in range(2)]
    at_door = chat(done, "chat")
    for each in (slow[0], at_door, slow[1]):
        here.add_task(each)
        assert each.serving.wait(5)
    for each in (*slow, at_door):
        each.go.set()
    assert ended(here)


def test_a_refused_turn_leaves_the_door(lanes: Callable[..., Lanes]) -> None:
    """Also one that raises: 50 in a row pass through a door for one."""
    done: list[str] = []
    here = lanes(4, 3, turns=TURNS, door=1)
    with capture_logs():
        for number in range(50):
            task = chat(done, str(number), error=ValueError("bad") if number % 2 else None)
            task.go.set()
            here.add_task(task)
        assert ended(here)
    assert done == [str(number) for number in range(50)]


def test_reads_are_taken_before_chats_that_came_earlier(lanes: Callable[..., Lanes]) -> None:
    """One thread: the probe that came last is served first, chats keep their order, an unparsed request is one."""
    done: list[str] = []
    here = lanes(1, 1, start=False)
    tasks = [chat(done, "first"), Channel(done, "unparsed", Unparsed()), Channel(done, "probe", Request("GET", "/x"))]
    for task in tasks:
        task.go.set()
        here.add_task(task)
    here.start()
    assert ended(here)
    assert done == ["probe", "first", "unparsed"]


def test_a_task_that_raises_costs_no_thread(lanes: Callable[..., Lanes]) -> None:
    """It is logged, and the only thread serves the next."""
    done: list[str] = []
    here = lanes(1, 1)
    with capture_logs() as logs:
        for number in range(3):
            task = chat(done, str(number), error=ValueError("bad"))
            task.go.set()
            here.add_task(task)
        assert ended(here)
    assert done == ["0", "1", "2"]
    assert [line["event"] for line in logs] == ["http.task_failed"] * 3


def test_shutdown_ends_the_threads_and_cancels_what_nobody_took(lanes: Callable[..., Lanes]) -> None:
    """Idle threads end at once; a busy one is waited for no longer than told; the rest is cancelled."""
    done: list[str] = []
    here = lanes(4, 1)
    stuck, waiting = chat(done, "stuck"), chat(done, "waiting")
    here.add_task(stuck)
    here.add_task(waiting)
    assert stuck.serving.wait(5)
    with capture_logs() as logs:
        assert here.shutdown(timeout=0.05)
    assert waiting.cancelled
    assert not stuck.cancelled
    assert logs == [{"event": "http.cut_off", "log_level": "warning", "threads": 1, "requests": 1}]
    stuck.go.set()
    assert ended(here)
    assert here.shutdown(timeout=5) is False


def test_nothing_is_left_lying_under_load(lanes: Callable[..., Lanes]) -> None:
    """2,000 requests from four threads, reads and chats: all are served, and never more chats than may be."""
    done: list[str] = []
    lock = threading.Lock()
    chats = peak = 0

    class Counting(Channel):
        def service(self) -> None:
            nonlocal chats, peak
            with lock:
                chats += 1
                peak = max(peak, chats)
            done.append(self.name)
            with lock:
                chats -= 1

    here = lanes(6, 2)

    def feed() -> None:
        for number in range(500):
            kind = Counting if number % 2 else Channel
            task = kind(done, "x", Request("POST" if number % 2 else "GET", "/api/chat"))
            task.go.set()
            here.add_task(task)

    feeders = [threading.Thread(target=feed) for _ in range(4)]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join(10)
    assert ended(here)
    assert len(done) == 2000
    assert 1 <= peak <= 2
