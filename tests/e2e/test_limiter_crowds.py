"""The limiter over real sockets: a flood, idle crowds, and nothing left behind after thousands of turns."""

from __future__ import annotations

import http.client
import json
import resource
import selectors
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from e2e.limiting import ADMIN, AS_ADMIN, REPEATS, SILENT, SLOW, TALKING, Process, active, change, status, waiting
from e2e.serving import BARE, RomServer, serving, until

from local_bedrock import LocalBedrock


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
                # Who has left the queue holds a thread until the server has noticed.
                assert active(server, 20)
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
