"""The events of one answer, whole and in order, also over connections that break."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from types import FrameType
from typing import Any

from rom_core.cli.chat.failures import ChatFailed, Disconnected, StillQueued
from rom_core.cli.chat.server import HEARTBEAT, ChatServer, Event
from rom_core.concurrency.clock import Clock

# How long a run is looked for after its connection broke: longer than another instance takes to take it over.
RESUME_SECONDS = 60.0
_PAUSES = (0.2, 0.5, 1.0, 2.0)
# Of a server, or a proxy before it, that is not there just now.
_AWAY = frozenset({0, 429, 502, 503, 504})
BROKEN, RESUMED, QUEUED = "disconnected", "resumed", "queued"
"""Events of our own: the connection broke and is being made again; it stands again; the run waits for room."""
# What a run says before it begins.
_BEFORE = frozenset({"start", "warning"})


class AnswerStream:
    """The events of one answer: none twice, none missing.

    Where the turn is a run (`run_id`, known from the first event) a connection that breaks is made again and goes on
    after the last event that came. Else a break raises Disconnected. Exactly one of `done` and `error` is the last.
    """

    def __init__(self, server: ChatServer, clock: Clock, *, patient: bool = True) -> None:
        """Unless it is `patient` a run that still waits for room at the first heartbeat raises StillQueued."""
        self._server = server
        self._clock = clock
        self._patient = patient
        self._begun = False
        self._last = ""
        self.run_id = ""

    def ask(self, body: Mapping[str, Any]) -> Generator[Event]:
        """Those of a new turn. Raises ChatFailed."""
        events = self._server.answer(body)
        if not body.get("background"):
            return self._whole(_begun(events))
        # Without the id of its run nobody could end what Ctrl-C is meant to end.
        with first_interrupt_waits():
            first = next(events, None)
            if first is None:
                return self._whole(events)
            self.run_id = str(first.data.get("run_id", ""))
        return self._whole(chain([first], events))

    def follow(self, run_id: str) -> Generator[Event]:
        """Those of a run from its beginning, while it runs or after. Raises ChatFailed."""
        self.run_id = run_id
        return self._whole(_begun(self._server.run_events(run_id)))

    def _whole(self, events: Iterator[Event]) -> Generator[Event]:
        while True:
            broken = Disconnected("the connection ended in the middle of the answer")
            try:
                for event in events:
                    if self._seen(event):
                        continue
                    if event.name == HEARTBEAT:
                        yield from self._waiting()
                        continue
                    self._begun = self._begun or event.name not in _BEFORE
                    yield event
                    if event.name in ("done", "error"):
                        return
            except Disconnected as error:
                broken = error
            if not self.run_id:
                raise broken
            yield Event(BROKEN, {})
            first, events = self._again(broken)
            yield Event(RESUMED, {})
            events = chain([first], events)

    def _waiting(self) -> Iterator[Event]:
        """A run that has said nothing yet may be in the queue."""
        if self._begun or not self.run_id:
            return
        try:
            queued = self._server.run(self.run_id).get("state") == "queued"
        except ChatFailed:
            # Its events will tell.
            return
        if queued and not self._patient:
            raise StillQueued("the run waits for room")
        if queued:
            yield Event(QUEUED, {})

    def _seen(self, event: Event) -> bool:
        """Whether it came before: ids are `<run>:<n>`, and count."""
        if not event.id:
            return False
        if _number(event.id) <= _number(self._last):
            return True
        self._last = event.id
        return False

    def _again(self, broken: Disconnected) -> tuple[Event, Iterator[Event]]:
        """The events after the last one, the first by itself, once the server answers again and has one."""
        until = self._clock.monotonic() + RESUME_SECONDS
        tries = 0
        while True:
            try:
                events = self._server.run_events(self.run_id, self._last)
                first = next(events, None)
                if first is not None:
                    return first, events
            except Disconnected:
                pass
            except ChatFailed as error:
                if error.status not in _AWAY:
                    raise
            pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
            tries += 1
            if self._clock.monotonic() + pause > until:
                raise broken
            self._clock.sleep(pause, threading.Event())


def _begun(events: Iterator[Event]) -> Iterator[Event]:
    """The same, once the first has come: what is refused is refused here."""
    first = next(events, None)
    return events if first is None else chain([first], events)


def _number(event_id: str) -> int:
    number = event_id.rpartition(":")[2]
    return int(number) if number.isdecimal() else -1


@contextmanager
def first_interrupt_waits() -> Iterator[None]:
    """A first Ctrl-C within is raised at the end of it, a second one at once. Raises KeyboardInterrupt."""
    came = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
