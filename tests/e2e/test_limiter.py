"""The limiter over real sockets: queueing, refusing, leaving, flood, shutdown, and nothing left behind."""

from __future__ import annotations

import http.client
import json
import resource
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from e2e.serving import BARE, RomServer, Stream, serving, until

from local_bedrock import LocalBedrock

# A model that says nothing for as long as anybody waits.
SILENT = "[[fault=hang]] conte"
SLOW = "[[length=2000]] [[delay=0.5]] conte"
REPEATS = '[[tools=9]] [[tool=x]] [[input={"a": 1}]] oi'
TALKING = "[[length=2000]] [[delay=0.05]] conte"
ADMIN = "o" * 24
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}


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


def change(server: RomServer, **settings: Any) -> None:
    """Set overrides at run time; an empty value clears one."""
    answer = requests.post(f"{server.url}/admin/reload-flags", data=settings, headers=AS_ADMIN, timeout=60)
    assert answer.status_code == 200, answer.text


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


@pytest.fixture
def visitors(small: RomServer, bedrock: LocalBedrock) -> Iterator[Visitors]:
    """Visitors of the small server."""
    here = Visitors(small, bedrock)
    yield here
    here.close()


def status(server: RomServer) -> dict[str, Any]:
    """What the limiter reports of itself."""
    response = requests.get(f"{server.url}/admin/status", headers=AS_ADMIN, timeout=60)
    parts = {plugin["name"]: plugin.get("status", {}) for plugin in response.json()["plugins"]}
    return dict(parts["limiter"])


def waiting(server: RomServer, number: int) -> bool:
    """Whether so many wait for a slot, soon."""
    return until(lambda: status(server)["waiting"] == number)


def problem_of(stream: Stream) -> dict[str, Any]:
    """The body of an answer that is no stream."""
    return dict(json.loads(stream._file.read(int(stream.head[1]["content-length"]))))


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


def test_a_stream_holds_its_slot_until_its_last_event(small: RomServer, visitors: Visitors) -> None:
    """Two streams run: a third turn waits, and begins when one of them has said `done`."""
    short = visitors.come("ana", "[[length=8]] [[delay=0.1]] conte")
    visitors.come("bia")
    assert visitors.active(2)
    third = visitors.come("caio")
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


# -- flood -----------------------------------------------------------------------------------------------------------


class Process:
    """What a process holds, from /proc."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def threads(self) -> int:
        """Threads."""
        return len(list((self._folder / "task").iterdir()))

    @property
    def files(self) -> int:
        """Open files and sockets."""
        return len(list((self._folder / "fd").iterdir()))

    @property
    def memory_mb(self) -> float:
        """Resident memory in MB."""
        return int((self._folder / "statm").read_text().split()[1]) * 4096 / 1e6


def flood(url: str, number: int) -> Counter[tuple[int, str]]:
    """So many clients ask at the same moment: how often each status and code was answered."""
    host, port = url.removeprefix("http://").split(":")
    body = b'{"message": "oi"}'
    head = (
        f"POST /api/chat HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    clients = [socket.create_connection((host, int(port)), timeout=60) for _ in range(number)]
    answers: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as ready:
        for client in clients:
            client.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
            ready.register(client, selectors.EVENT_READ)
        while len(answers) < number:
            for key, _ in ready.select(30):
                client = key.fileobj  # type: ignore[assignment]
                answers[client] = answers.get(client, b"")
                ready.unregister(client)
    counts: Counter[tuple[int, str]] = Counter()
    for client in clients:
        response = http.client.HTTPResponse(client)
        response.begin()
        counts[response.status, json.loads(response.read())["code"]] += 1
        response.close()
        client.close()
    return counts


def probe(server: RomServer) -> None:
    """Ask what operators and orchestrators ask, each time over a new connection."""
    for path in ("/health", "/ready", "/metrics", "/admin/flags"):
        assert requests.get(server.url + path, headers=AS_ADMIN, timeout=60).status_code == 200, path
    change(server)


@pytest.mark.parametrize(("limiter", "places", "code"), [(True, 16, "queue_full"), (False, 20, "overloaded")])
def test_a_flood_is_refused_and_disturbs_nobody(bedrock: LocalBedrock, limiter: bool, places: int, code: str) -> None:
    """Every place taken and a flood that goes on until all probes are answered: all are refused, nothing remains.

    How fast is measured by `python -m bench limiter`.
    """
    settings: dict[str, Any] = {
        "BOTTLENECK_LIMITER_ENABLED": limiter,
        "QUEUE_TIMEOUT_SECONDS": 120,
        "ADMIN_TOKEN": ADMIN,
    }
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **settings) as server:
        taken = [server.stream(SILENT) for _ in range(places)]
        assert until(lambda: bedrock.active == (6 if limiter else 20))
        assert not limiter or waiting(server, 10)
        process = Process(server.process.pid)
        assert flood(server.url, 300) == {(503, code): 300}
        assert until(lambda: process.files < 100)
        before = (process.threads, process.files, process.memory_mb)
        counts: Counter[tuple[int, str]] = Counter()
        with ThreadPoolExecutor(1) as pool:
            probing = [pool.submit(probe, server) for _ in range(5)]
            while not all(each.done() for each in probing):
                counts += flood(server.url, 300)
            for each in probing:
                each.result()
        assert set(counts) == {(503, code)}, "nobody is told less than what is known: which place is missing"
        assert until(lambda: process.files <= before[1] + 2)
        assert process.threads == before[0]
        assert process.memory_mb < before[2] + 10
        assert bedrock.active == (6 if limiter else 20), "those who had a place kept it"
        for stream in taken:
            stream.close()


def test_more_idle_connections_than_may_be_keep_nobody_out(bedrock: LocalBedrock) -> None:
    """1,200 clients connect and say nothing: probes and chats are answered, those that rested longest go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 3000 if hard == resource.RLIM_INFINITY else min(3000, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))
    idle: list[socket.socket] = []
    try:
        with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as server:
            host, port = server.url.removeprefix("http://").split(":")
            process = Process(server.process.pid)
            for _ in range(min(1200, files - 100)):
                idle.append(socket.create_connection((host, int(port)), timeout=60))
            for _ in range(20):
                assert server.get("/health").status_code == 200
            assert server.chat("oi").status_code == 200
            assert process.files < 1100
            assert server.events("http.connections_full")
    finally:
        for client in idle:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- shutdown --------------------------------------------------------------------------------------------------------


def test_sigterm_refuses_who_waits_and_loses_nothing(bedrock: LocalBedrock) -> None:
    """/ready 503, waiting and new turns get `draining`, the running one ends whole and is in the log, exit 0."""
    one: dict[str, Any] = {"MAX_CONCURRENT_REQUESTS": 1, "MAX_QUEUE_SIZE": 2, "ADMIN_TOKEN": ADMIN}
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **one) as server:
        running = server.stream("[[length=30]] [[delay=0.1]] conte")
        events = running.events()
        next(events)
        waiters = [server.stream("oi", stream=streamed) for streamed in (True, False)]
        assert waiting(server, 2)
        server.signal()
        for stream in waiters:
            assert (stream.head[0], problem_of(stream)["code"]) == (503, "draining")
            stream.close()
        assert (server.get("/ready").status_code, server.get("/health").status_code) == (503, 200)
        assert server.chat("oi").json()["code"] == "draining"
        assert "rom_requests_total" in server.get("/metrics").text
        assert [name for name, _ in events][-1] == "done"
        assert server.wait(60) == 0
        ends = server.events("turn.finished")
        assert sorted(line.get("code") or "ok" for line in ends) == ["draining", "draining", "ok"]
        assert [line["clean"] for line in server.events("server.stopped")] == [True]


@pytest.mark.parametrize(("scrapes", "linger"), [(True, 300), (False, 0.5)])
def test_the_metrics_of_the_last_turn_can_be_scraped(bedrock: LocalBedrock, scrapes: bool, linger: float) -> None:
    """After the last turn one more scrape is answered, which has it; nobody is waited for longer than agreed."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, SHUTDOWN_LINGER_SECONDS=linger) as server:
        last = 'rom_requests_total{cohort="stable",route="/api/chat",status="ok"}'
        running = server.stream("[[length=8]] [[delay=0.1]] conte")
        events = running.events()
        next(events)
        server.signal()
        assert [name for name, _ in events][-1] == "done"
        if scrapes:
            time.sleep(0.5)  # Longer than a server that does not wait needs for its end.
            assert until(lambda: f"{last} 1.0" in server.get("/metrics").text)
        assert server.wait(60) == 0
        assert [line["scraped"] for line in server.events("server.stopped")] == [scrapes]
        assert [line["counters"][last] for line in server.events("metrics.final")] == [1.0]


def test_without_metrics_no_scrape_is_waited_for(bedrock: LocalBedrock) -> None:
    """Nobody counts, so nothing could be missed: the end comes at once."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, SHUTDOWN_LINGER_SECONDS=300, METRICS_ENABLED=False) as server:
        assert server.chat("oi").status_code == 200
        server.signal()
        assert server.wait(60) == 0
        assert [line["scraped"] for line in server.events("server.stopped")] == [False]


# -- leaks -----------------------------------------------------------------------------------------------------------


def test_2000_turns_of_all_kinds_leave_nothing_behind(bedrock: LocalBedrock) -> None:
    """Answered, failed, stopped by a guardrail, cancelled in the queue and in the stream: all is where it began.

    Pools of threads and of connections to the model fill up when they are first needed, and each of 170 threads takes
    its memory in steps: a thousand turns come before the first look, and there is a little room. A leak in one kind of
    turn does not fit into it.
    """
    limits: dict[str, Any] = {"MAX_CONCURRENT_REQUESTS": 20, "MAX_QUEUE_SIZE": 50, "HTTP_THREADS": 84}
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, ADMIN_TOKEN=ADMIN, **BARE, **limits) as server:
        asked = Asked(server)

        def leave_stream(_: int) -> None:
            stream = server.stream(TALKING)
            next(stream.events())
            stream.close()

        def leave_queue(number: int) -> None:
            holders = [server.stream(SLOW) for _ in range(20)]
            assert until(lambda: bedrock.active == 20)
            for _ in range(number // 50):
                waiters = [server.stream("oi") for _ in range(50)]
                assert waiting(server, 50)
                for stream in waiters:
                    stream.close()
                assert waiting(server, 0)
            for stream in holders:
                stream.close()
            assert until(lambda: bedrock.active == 0)

        def turns(number: int) -> None:
            with ThreadPoolExecutor(8) as pool:
                for message, status_, share in (("oi", 200, 0.4), ("[[fault=400]] oi", 502, 0.2), (REPEATS, 200, 0.05)):
                    assert set(pool.map(asked.chat, [message] * int(number * share))) == {status_}
                list(pool.map(leave_stream, range(int(number * 0.15))))
            leave_queue(int(number * 0.2))
            asked.close()

        process = Process(server.process.pid)
        turns(1000)
        before = (process.threads, process.files, process.memory_mb)
        turns(2000)
        assert until(lambda: process.files <= before[1] + 20), (process.files, before)
        assert process.threads <= before[0] + 10
        assert process.memory_mb < before[2] + 20

        def held() -> tuple[int, ...]:
            now = status(server)
            return now["running"], now["running_exhaustive"], now["waiting"]

        # The model sees a cut before the turn that it ends has given its slot back.
        assert until(lambda: held() == (0, 0, 0)), held()


class Asked:
    """Chats over one connection for each thread."""

    def __init__(self, server: RomServer) -> None:
        self._address = server.url.removeprefix("http://")
        self._own = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def chat(self, message: str) -> int:
        """Ask and read the answer; its status."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(self._address, timeout=60)
            self._all.append(self._own.connection)
        body = json.dumps({"message": message})
        self._own.connection.request("POST", "/api/chat", body, {"Content-Type": "application/json"})
        response = self._own.connection.getresponse()
        response.read()
        return int(response.status)

    def close(self) -> None:
        """Close the connections."""
        for connection in self._all:
            connection.close()
