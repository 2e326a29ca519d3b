"""The loop over the sockets: whom it asks, what it tells the kernel, and that it rests while there is nothing to do."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waiting import until

from rom_core.http.server.sockets import LOOK_AT_ALL_SECONDS, SOON_SECONDS, Sockets


class End:
    """One end of a pair of sockets, as waitress's loop sees a connection; it counts how often it is asked."""

    accepting = False

    def __init__(self, sockets: dict[int, Any]) -> None:
        self.socket, self.other = socket.socketpair()
        self.socket.setblocking(False)
        self._fileno: int | None = self.socket.fileno()
        self.sockets = sockets
        self.sockets[self.socket.fileno()] = self
        self.asked = 0
        self.wants_to_read = True
        self.wants_to_write: Callable[[], bool] = lambda: False
        self.read: list[bytes] = []
        self.written = 0
        self.on_read: Callable[[], None] = lambda: None

    def readable(self) -> bool:
        self.asked += 1
        return self.wants_to_read

    def writable(self) -> bool:
        return self.wants_to_write()

    def handle_read_event(self) -> None:
        self.read.append(self.socket.recv(100))
        self.on_read()

    def handle_write_event(self) -> None:
        self.written += 1

    def handle_close(self) -> None:
        self.close()

    def close(self) -> None:
        if self._fileno is not None:
            del self.sockets[self._fileno]
            self._fileno = None
            self.socket.close()
            self.other.close()


class Loop:
    """A running loop; `trigger` wakes it up. Its clock stands still: it looks at all only if told to."""

    def __init__(self) -> None:
        self.map: dict[int, Any] = {}
        self.sockets = Sockets(self.map)
        self.now = 0.0
        self.sockets.now = lambda: self.now
        self.trigger = End(self.map)
        self.thread = threading.Thread(target=self.sockets.run, args=((self.trigger,),), daemon=True)

    def wake(self) -> None:
        """A round, and wait until it has been made."""
        before = len(self.trigger.read)
        self.trigger.other.send(b"x")
        assert until(lambda: len(self.trigger.read) > before)

    def stop(self) -> None:
        """Close everything in the loop's own thread, as a server does."""

        def close_all() -> None:
            for end in list(self.map.values()):
                end.close()

        self.trigger.on_read = close_all
        self.trigger.other.send(b"x")
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that runs until the test has ended."""
    here = Loop()
    here.thread.start()
    yield here
    here.stop()


def test_connections_at_rest_are_not_asked_in_every_round(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 rounds beside 50 idle connections ask none of them."""
    idle = [End(loop.map) for _ in range(50)]
    for end in idle:
        loop.sockets.changed(end)
    loop.wake()
    assert until(lambda: all(end.asked for end in idle))
    before = sum(end.asked for end in idle)
    for _ in range(100):
        loop.wake()
    assert sum(end.asked for end in idle) == before
    idle[7].other.send(b"hello")
    assert until(lambda: idle[7].read == [b"hello"])


def test_what_changes_without_a_word_is_seen_within_a_second(loop: Loop) -> None:
    """All are asked from time to time: some of waitress's own changes tell nobody."""
    end = End(loop.map)
    end.other.send(b"there")
    loop.wake()
    loop.now += 1.5
    loop.wake()
    assert until(lambda: end.read == [b"there"])
    end.wants_to_write = lambda: not end.written
    loop.now += 1.5
    loop.wake()
    assert until(lambda: end.written)


def test_a_connection_that_a_thread_works_for_is_asked_in_every_round(loop: Loop) -> None:
    """What that thread leaves to be written goes out with the round it asks for, also when it has just ended."""
    end = End(loop.map)
    for busy in (True, False):
        (loop.sockets.busy if busy else loop.sockets.idle)(end)
        end.written = 0
        end.wants_to_write = lambda: not end.written
        loop.wake()
        assert until(lambda: end.written)


def test_a_thread_that_ends_late_does_not_hide_the_one_that_works_next(loop: Loop) -> None:
    """Pipelined requests: the next one begins in another thread before the thread of the last one has quite ended."""
    end = End(loop.map)
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        loop.sockets.busy(end)
        begun.set()
        over.wait(60)
        loop.sockets.idle(end)

    last = threading.Thread(target=work)
    last.start()
    assert begun.wait(60)
    loop.sockets.busy(end)
    over.set()
    last.join()
    loop.wake()
    loop.wake()
    end.wants_to_write = lambda: not end.written
    loop.wake()
    assert until(lambda: end.written)
    loop.sockets.idle(end)


def test_what_cannot_be_told_is_asked_again_soon_and_not_without_pause(loop: Loop) -> None:
    """While a thread is writing the loop neither spins nor forgets: some looks, then the rest goes out."""
    end = End(loop.map)
    loop.sockets.changed(end)
    loop.wake()
    held = True

    def writable() -> bool:
        if held:
            loop.sockets.look_soon(end)
            return False
        return not end.written

    end.wants_to_write = writable
    before, began = end.asked, time.monotonic()
    loop.sockets.changed(end)
    loop.wake()
    assert until(lambda: end.asked - before >= 3)
    time.sleep(0.1)
    looks = end.asked - before
    assert looks <= 5 + (time.monotonic() - began) / SOON_SECONDS, looks
    assert end.written == 0
    end.other.send(b"still read")
    assert until(lambda: end.read == [b"still read"])
    held = False
    assert until(lambda: end.written)


def test_who_wants_nothing_is_left_alone(loop: Loop) -> None:
    """Bytes that wait for a connection which may not read yet cause no rounds, and are there when it may."""
    end = End(loop.map)
    end.wants_to_read = False
    loop.sockets.changed(end)
    loop.wake()
    end.other.send(b"early")
    before, began = loop.trigger.asked, time.monotonic()
    time.sleep(0.05)
    assert loop.trigger.asked - before <= 2 + (time.monotonic() - began) / LOOK_AT_ALL_SECONDS
    end.wants_to_read = True
    loop.sockets.changed(end)
    loop.wake()
    assert until(lambda: end.read == [b"early"])


def test_an_event_is_not_handed_to_who_took_over_the_number() -> None:
    """Two have something to read; the first closes the second and opens another under its number: that one is new."""
    here = Loop()
    first, second = End(here.map), End(here.map)
    taken: list[End] = []
    first.other.send(b"1")
    second.other.send(b"2")

    def replace(gone: End) -> Callable[[], None]:
        def act() -> None:
            if taken:
                return
            number = gone._fileno
            gone.close()
            new = End(here.map)
            taken.append(new)
            if new._fileno != number and number is not None:
                del here.map[new.socket.fileno()]
                new.socket = socket.socket(fileno=_move(new.socket, number))
                new.socket.setblocking(False)
                new._fileno = number
                here.map[number] = new
            here.sockets.changed(new)

        return act

    first.on_read, second.on_read = replace(second), replace(first)
    here.thread.start()
    assert until(lambda: taken)
    here.wake()
    assert len(first.read) + len(second.read) == 1
    assert taken[0].read == []
    taken[0].other.send(b"own")
    assert until(lambda: taken[0].read == [b"own"])
    here.stop()


def _move(one: socket.socket, number: int) -> int:
    """The same socket under this number."""
    old = one.detach()
    os.dup2(old, number)
    os.close(old)
    return number


def test_a_socket_closed_by_another_thread_ends_nothing(loop: Loop) -> None:
    """Its number is bad when the kernel is told; the loop goes on."""
    end = End(loop.map)
    end.socket.close()
    loop.sockets.changed(end)
    loop.wake()
    del loop.map[end._fileno or 0]
    end.other.close()
    loop.wake()
    assert loop.thread.is_alive()


def test_a_number_that_is_nobodys_any_more_does_not_keep_the_loop_awake(loop: Loop) -> None:
    """Closed while the kernel was told of it, it may be a socket that has nothing to do with the server."""
    end = End(loop.map)
    loop.sockets.changed(end)
    loop.wake()
    del loop.map[end._fileno or 0]
    end.other.send(b"for somebody else")
    time.sleep(0.02)
    before, began = loop.trigger.asked, time.monotonic()
    time.sleep(0.1)
    assert loop.trigger.asked - before <= 3 + (time.monotonic() - began) / LOOK_AT_ALL_SECONDS
    assert end.socket.recv(100) == b"for somebody else"
    end.socket.close()
    end.other.close()


def test_the_events_have_the_numbers_by_which_waitress_reads_them() -> None:
    """It knows them by poll's names."""
    for name in ("IN", "PRI", "OUT", "ERR", "HUP"):
        assert getattr(select, f"EPOLL{name}") == getattr(select, f"POLL{name}")
