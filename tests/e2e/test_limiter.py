"""The limiter over real sockets: queueing, refusing, leaving, and limits that change meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.limiting import ADMIN, TALKING, change, problem_of, status, waiting
from e2e.serving import BARE, RomServer, Stream, serving, until

from local_bedrock import LocalBedrock
from local_bedrock.wire import Connection


@pytest.fixture(scope="module")
def small(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """Two slots, one of them for exhaustive turns, one waiting place, one slot for each person."""
    limits: dict[str, Any] = {
        "MAX_CONCURRENT_REQUESTS": 2,
        "MAX_QUEUE_SIZE": 1,
        "MAX_CONCURRENT_EXHAUSTIVE": 1,
        "MAX_CONCURRENT_PER_USER": 1,
        "QUEUE_TIMEOUT_SECONDS": 300,
        "ADMIN_TOKEN": ADMIN,
    }
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **BARE, **limits) as server:
        yield server


class Visitors:
    """Streams that are closed at the end; `active` counts those that the model is answering."""

    def __init__(self, server: RomServer, bedrock: LocalBedrock) -> None:
        self._server = server
        self._bedrock = bedrock
        self._streams: list[Stream] = []

    def come(self, user: str, message: str = TALKING, **body: Any) -> Stream:
        """Ask for something."""
        self._streams.append(self._server.stream(message, user=user, **body))
        return self._streams[-1]

    def active(self, number: int) -> bool:
        """Whether so many are being answered, soon."""
        return until(lambda: self._bedrock.active == number)

    def close(self) -> None:
        """Everybody leaves."""
        for stream in self._streams:
            stream.close()
        assert self.active(0)
        # The model sees a cut before the turn that it ends has given its slot back.
        assert until(lambda: (now := status(self._server))["running"] == now["waiting"] == 0)


@pytest.fixture
def visitors(small: RomServer, bedrock: LocalBedrock) -> Iterator[Visitors]:
    """Visitors of the small server."""
    here = Visitors(small, bedrock)
    yield here
    here.close()


def test_the_queue_is_bounded_in_length_and_time(small: RomServer, visitors: Visitors) -> None:
    """One waits, the next gets queue_full at once, the waiter queue_timeout; both are told when to come back."""
    visitors.come("ana")
    visitors.come("bia")
    assert visitors.active(2)
    waiter = visitors.come("caio")
    assert waiting(small, 1)
    refused = small.chat("oi", user="davi")
    assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert waiting(small, 1), "the one who waits is not disturbed"
    change(small, QUEUE_TIMEOUT_SECONDS="0.1")
    assert waiter.head[0] == 503
    change(small, QUEUE_TIMEOUT_SECONDS="")
    assert 1 <= int(waiter.head[1]["retry-after"]) <= 60
    assert problem_of(waiter)["code"] == "queue_timeout"


def test_a_waiting_exhaustive_turn_lets_ordinary_ones_pass(small: RomServer, visitors: Visitors) -> None:
    """One exhaustive turn runs, another waits for it to end, an ordinary one takes the other slot."""
    first = visitors.come("ana", mode="exhaustive")
    assert visitors.active(1)
    second = visitors.come("bia", mode="exhaustive")
    visitors.come("caio")
    assert visitors.active(2)
    first.close()
    assert next(second.events())[0] == "start"


def test_one_person_does_not_take_the_slots_of_others(small: RomServer, visitors: Visitors) -> None:
    """A second turn of the same person waits although a slot is free; another person takes it."""
    visitors.come("ana")
    assert visitors.active(1)
    again = visitors.come("ana")
    assert next(visitors.come("bia").events())[0] == "start"
    assert waiting(small, 1)
    again.close()
    assert waiting(small, 0)


def test_a_stream_holds_its_slot_until_its_last_event(
    small: RomServer, visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two streams run: a third turn waits, and begins when one of them has said `done`."""
    go_on, wait = threading.Event(), Connection.wait

    def held(connection: Connection, seconds: float) -> None:
        if seconds == 0.5:
            go_on.wait(60)
        else:
            wait(connection, seconds)

    monkeypatch.setattr(Connection, "wait", held)
    short = visitors.come("ana", "[[length=8]] [[delay=0.5]] conte")
    visitors.come("bia")
    assert visitors.active(2)
    third = visitors.come("caio")
    assert waiting(small, 1)
    go_on.set()
    names = [name for name, _ in short.events()]
    assert names[-1] == "done"
    assert next(third.events())[0] == "start"


def test_a_client_that_leaves_the_queue_frees_its_place(small: RomServer, visitors: Visitors) -> None:
    """Streamed or not; it would have waited for minutes."""
    visitors.come("ana")
    visitors.come("bia")
    assert visitors.active(2)
    for streamed in (True, False):
        waiter = visitors.come("caio", stream=streamed)
        assert waiting(small, 1)
        waiter.close()
        assert waiting(small, 0)


def test_who_came_first_is_served_first(bedrock: LocalBedrock) -> None:
    """One slot, four waiting: they reach the model in the order in which they came."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, MAX_CONCURRENT_REQUESTS=1, ADMIN_TOKEN=ADMIN) as server:
        holder = server.stream(TALKING)
        assert until(lambda: bedrock.active == 1)
        waiters = []
        for number in range(4):
            waiters.append(server.stream(f"[[say=ok]] lugar {number}"))
            assert waiting(server, number + 1)
        seen = len(bedrock.requests)
        holder.close()
        assert [list(stream.events())[-1][0] for stream in waiters] == ["done"] * 4
        asked = [request.body["messages"][-1]["content"][0]["text"] for request in bedrock.requests[seen:]]
        assert [text[-1] for text in asked] == ["0", "1", "2", "3"]


def test_limits_changed_at_run_time_apply_to_those_who_wait(bedrock: LocalBedrock, tmp_path: Path) -> None:
    """One slot, two waiting: an administrator adds a slot and the first runs; with less patience the other goes."""
    limits: dict[str, Any] = {"MAX_CONCURRENT_REQUESTS": 1, "ADMIN_TOKEN": ADMIN, "STATE_DIR": tmp_path}
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **limits) as server:
        streams = []
        for _ in range(3):
            streams.append(server.stream(TALKING))
            assert until(lambda: status(server)["running"] + status(server)["waiting"] == len(streams))
        change(server, MAX_CONCURRENT_REQUESTS=2)
        assert next(streams[1].events())[0] == "start"
        change(server, QUEUE_TIMEOUT_SECONDS="0.1")
        assert problem_of(streams[2])["code"] == "queue_timeout"
        for stream in streams:
            stream.close()


def test_memory_as_a_limit(bedrock: LocalBedrock) -> None:
    """Above the ratio chats are refused with memory_pressure, and the rest is served."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, MEMORY_LIMIT_MB=8) as server:
        refused = server.chat("oi")
        assert (refused.status_code, refused.json()["code"]) == (503, "memory_pressure")
        assert "Retry-After" in refused.headers
        assert server.get("/health").status_code == 200
