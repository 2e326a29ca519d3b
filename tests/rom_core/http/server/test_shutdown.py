"""The end of a server, step by step: the last turn is counted, one scrape is waited for, and nothing without end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import falcon
import pytest
from support import make_runtime, says

from rom_core.concurrency.clock import SystemClock
from rom_core.events import Event, RequestFinished
from rom_core.http.app import create_app
from rom_core.http.server.server import Server
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes

LONG, SOON = 300.0, 60.0


class SlowCount:
    """An observer that counts a request only when it is let."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.counting = threading.Event()
        self.counted = 0

    @hookimpl
    def rom_event(self, event: Event) -> None:
        if isinstance(event, RequestFinished):
            self.counting.set()
            assert self.go.wait(60)
            self.counted += 1


class Ending:
    """A server that is being stopped in a thread of its own."""

    def __init__(self, *, grace: float = LONG, linger: float = LONG) -> None:
        self.count = SlowCount()
        self.runtime, _ = make_runtime(says("hello"), plugins={"count": self.count}, clock=SystemClock(), PORT=0)
        self.runtime.start()
        self.server = Server(create_app(self.runtime), self.runtime)
        self.server.start()
        self.at_once = threading.Event()
        self.clean: bool | None = None
        self._thread = threading.Thread(target=self._stop, args=(grace, linger))

    def begin(self) -> None:
        """The signal comes."""
        self._thread.start()

    def over(self, seconds: float) -> bool:
        """Whether the server has stopped within so long."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Whatever happened, end it."""
        self.count.go.set()
        self.at_once.set()
        if self._thread.ident is None:
            self.begin()
        assert self.over(SOON)
        self.runtime.stop()

    def _stop(self, grace: float, linger: float) -> None:
        self.clean = self.server.stop(grace, self.at_once, linger_seconds=linger)


Make = Callable[..., Ending]


@pytest.fixture
def ending() -> Iterator[Make]:
    """Makes servers that end with the test at the latest."""
    made: list[Ending] = []

    def make(**times: Any) -> Ending:
        made.append(Ending(**times))
        return made[-1]

    yield make
    for one in made:
        one.close()


def settled(server: Server) -> bool:
    """Whether every turn is said to be counted, soon."""
    return server.last_scrape.settled.wait(SOON)


def test_the_scrape_ends_the_wait_for_it(ending: Make) -> None:
    """Not the seconds that were agreed, which are the most it may last."""
    here = ending()
    here.begin()
    assert settled(here.server)
    assert not here.over(0.1), "nobody has scraped yet"
    here.server.last_scrape.done.set()
    assert here.over(SOON)
    assert here.clean


def test_a_second_signal_ends_the_wait_for_a_scrape(ending: Make) -> None:
    """Who asks twice is in a hurry."""
    here = ending()
    here.begin()
    assert settled(here.server)
    assert not here.over(0.1)
    here.at_once.set()
    assert here.over(SOON)


@pytest.mark.parametrize(("grace", "linger"), [(LONG, 0.0), (0.2, LONG)])
def test_no_scrape_is_waited_for_longer_than_agreed_or_beyond_the_grace(
    ending: Make, grace: float, linger: float
) -> None:
    """The platform kills whoever outstays the grace; and 0 seconds are none."""
    here = ending(grace=grace, linger=linger)
    here.begin()
    assert here.over(SOON)
    assert here.clean


def test_settled_is_said_only_when_the_last_request_has_been_counted(
    ending: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn gives its place back before its request is counted: a scrape in between would miss it."""
    monkeypatch.setattr("rom_core.http.server.server._FLUSH_SECONDS", SOON)
    here = ending()
    with socket.create_connection(("127.0.0.1", here.server.port), timeout=SOON) as client:
        body = b'{"message": "oi"}'
        kind = "Content-Type: application/json"
        head = f"POST /api/chat HTTP/1.1\r\nHost: rom\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        assert here.count.counting.wait(SOON)
        assert here.runtime.admitted == 0
        here.begin()
        time.sleep(0.2)
        assert not here.server.last_scrape.settled.is_set()
        here.count.go.set()
        assert settled(here.server)
        assert here.count.counted == 1
        assert client.recv(15) == b"HTTP/1.1 200 OK"


def test_an_end_that_the_loop_brings_about_before_it_is_asked_is_no_error(ending: Make) -> None:
    """Whatever wakes the loop first has it close what it was to be woken through."""
    here = ending(linger=0)
    here.count.go.set()
    trigger: Any = here.server._server.trigger
    write = trigger._physical_pull

    def late() -> None:
        if trigger.thunks and trigger.thunks[-1] == here.server._close_channels:
            write()
            until = time.monotonic() + SOON
            while not trigger._closed and time.monotonic() < until:
                time.sleep(0.001)
        write()

    trigger._physical_pull = late
    here.begin()
    assert here.over(SOON)
    assert here.clean


class Figures:
    """A scrape that is larger than what lies between a server and its client."""

    auth = "open"

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Far more than all buffers take."""
        resp.data = b"x" * (16 << 20)


class Scraped:
    @hookimpl
    def rom_routes(self, app: PluginRoutes) -> None:
        app.add_route("/metrics", Figures())


def test_who_reads_a_scrape_slowly_does_not_hold_up_the_end() -> None:
    """Neither one that began before, nor one that began after the last count; what is unread is cut off."""
    runtime, _ = make_runtime(says("hello"), plugins={"scraped": Scraped()}, clock=SystemClock(), PORT=0)
    runtime.start()
    server = Server(create_app(runtime), runtime)
    server.start()
    with ExitStack() as stack:

        def begin_to_read() -> None:
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(SOON)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"

        begin_to_read()
        ended = threading.Thread(target=server.stop, args=(LONG,), kwargs={"linger_seconds": LONG})
        ended.start()
        assert settled(server)
        begin_to_read()
        ended.join(2 * SOON)
        assert not ended.is_alive()
    runtime.stop()
