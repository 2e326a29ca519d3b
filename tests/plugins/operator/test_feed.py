"""Reading along: one event for all readers, places for eight, an end, and points that nobody misses."""

from __future__ import annotations

import json
import threading
from typing import Any

from waiting import until

from plugins.operator.feed import HEARTBEAT, MAX_READERS, Feed, Reading


class Source:
    """Figures that count how often they were made, and points that a test adds."""

    def __init__(self) -> None:
        self.made = self.samples = 0
        self.points: list[dict[str, Any]] = []
        self.end = ""
        self.feed = Feed(self._sample, self._figures)

    def _sample(self) -> None:
        self.samples += 1

    def _figures(self) -> dict[str, Any]:
        self.made += 1
        return {"made": self.made}

    def read(self, heartbeat: float = 60) -> Reading:
        """A reader, with its place."""
        release = self.feed.take()
        assert release is not None
        return Reading(self.feed, release, self._hour, self._since, lambda: self.end, heartbeat)

    def _hour(self) -> dict[str, Any]:
        return {"at": [point["at"] for point in self.points]}

    def _since(self, at: int) -> list[dict[str, Any]]:
        return [point for point in self.points if point["at"] > at]


def parsed(piece: bytes) -> list[tuple[str, Any]]:
    """The events of a piece."""
    found = []
    for event in piece.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_the_hour_comes_first_then_figures_and_every_point_once() -> None:
    """Points that the hour holds do not come again; a slow reader gets the newest figures and all points."""
    source = Source()
    source.points.append({"at": 10})
    events = iter(source.read())
    assert parsed(next(events)) == [("hour", {"at": [10]})]
    source.feed.look()
    assert parsed(next(events)) == [("figures", {"made": 1})]
    for at in (20, 30):
        source.points.append({"at": at})
        source.feed.look()
    assert parsed(next(events)) == [("point", {"at": 20}), ("point", {"at": 30}), ("figures", {"made": 3})]


def test_figures_are_made_once_for_all_readers_and_not_for_nobody() -> None:
    """What is measured for the hour is measured always."""
    source = Source()
    source.feed.look()
    assert (source.samples, source.made) == (1, 0)
    readers = [source.read() for _ in range(3)]
    streams = [iter(reader) for reader in readers]
    for stream in streams:
        next(stream)
    source.feed.look()
    assert {next(stream) for stream in streams} == {b'event: figures\ndata: {"made": 1}\n\n'}
    for reader in readers:
        reader.close()
        reader.close()
    assert source.feed.readers == 0


def test_so_many_read_along_and_no_more() -> None:
    """A place that is given back is free again."""
    source = Source()
    places = [source.feed.take() for _ in range(MAX_READERS)]
    assert (source.feed.take(), source.feed.readers) == (None, MAX_READERS)
    assert places[0] is not None
    places[0]()
    assert source.feed.take() is not None


def test_silence_is_broken_by_comments_and_an_end_says_why() -> None:
    """A feed that does not get on keeps its readers; one that ends tells them."""
    source = Source()
    events = iter(source.read(heartbeat=0))
    next(events)
    assert next(events) == HEARTBEAT
    source.end = "stopping"
    assert parsed(next(events)) == [("end", {"reason": "stopping"})]
    assert next(events, None) is None


def test_an_end_waits_neither_for_figures_nor_for_a_heartbeat() -> None:
    """Whoever ends a server gives its consoles a moment to hear of it."""
    source, heard = Source(), list[bytes]()
    events = iter(source.read(heartbeat=600))
    next(events)
    reader = threading.Thread(target=lambda: heard.extend(events))
    reader.start()
    source.end = "stopping"
    reader.join(60)
    assert [parsed(piece) for piece in heard] == [[("end", {"reason": "stopping"})]]


def test_what_is_told_is_measured_at_once_and_one_that_fails_goes_on() -> None:
    """No second passes between a change and its event; an exception ends nothing."""
    source = Source()
    source.feed.start()
    try:
        events = iter(source.read())
        next(events)
        assert parsed(next(events))[0][0] == "figures"
        failed = source.made

        def fail() -> dict[str, Any]:
            source._figures()
            raise RuntimeError("told to fail")

        good, source.feed._figures = source.feed._figures, fail
        source.feed.look_now()
        assert until(lambda: source.made > failed)
        source.feed._figures = good
        source.feed.look_now()
        assert parsed(next(events))[0][0] == "figures"
    finally:
        source.feed.stop()
