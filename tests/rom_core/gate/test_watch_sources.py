"""Where the figures of the gate come from: a server's metrics over HTTP, or a Prometheus."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from gate_support import HOUR, Scene, refused
from scrapes import Served

from rom_core.concurrency.clock import FakeClock, SystemClock
from rom_core.gate import Outcome, ScrapeFailed, Thresholds, judge
from rom_core.ops.gate_sources import prometheus_figures, scraper


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """An HTTP server on a free port of loopback; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def send(handler: BaseHTTPRequestHandler, status: int, body: str) -> None:
    """A whole answer."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body.encode())))
    handler.end_headers()
    handler.wfile.write(body.encode())


def test_a_scrape_reads_metrics_with_its_token() -> None:
    """GET /metrics; without the token the server's reason is told."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        right = handler.path == "/metrics" and handler.headers["Authorization"] == "Bearer m"
        send(handler, 200 if right else 401, Served(memory=0.3).text if right else '{"detail": "a token is needed"}')

    with answering(answer) as url:
        scrape = scraper(url + "/", FakeClock(start=77), token="m")()
        assert scrape.at == 77
        assert scrape.values["rom_memory_used_ratio", frozenset()] == 0.3
        with pytest.raises(ScrapeFailed, match=r"401, a token is needed; the token is taken from METRICS_TOKEN"):
            scraper(url, FakeClock())()


def test_a_server_that_trickles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole scrape is bounded, not only the silence between two bytes."""
    clock, gone = FakeClock(), threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not gone.wait(0.001):
            clock.advance(1)
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    with answering(answer) as url:
        try:
            with pytest.raises(ScrapeFailed, match="within 10 s"):
                scraper(url, clock)()
        finally:
            gone.set()
    with pytest.raises(ScrapeFailed, match="no connection"):
        scraper(url, clock)()
    monkeypatch.setattr("rom_core.ops.fetch.MAX_BYTES", 10)
    with answering(lambda handler: send(handler, 200, "x" * 100)) as url, pytest.raises(ScrapeFailed, match="larger"):
        scraper(url, clock)()


def test_what_is_not_metrics_is_told() -> None:
    """A page, and an answer that says nothing."""
    with answering(lambda handler: send(handler, 200, "<html>")) as url, pytest.raises(ScrapeFailed, match="format"):
        scraper(url, SystemClock())()


def test_what_trying_again_does_not_change_is_told_at_once() -> None:
    """A wrong token or a redirect at the first look: nobody waits two hours for that, but for one that starts."""
    for status, permanent in ((401, True), (403, True), (404, True), (302, True), (500, False), (503, False)):

        def answer(handler: BaseHTTPRequestHandler, status: int = status) -> None:
            handler.send_response(status)
            handler.send_header("Location", "http://127.0.0.1:9/metrics")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with answering(answer) as url, pytest.raises(ScrapeFailed) as failed:
            scraper(url, SystemClock(), token="m")()
        assert failed.value.permanent is permanent, status
    scene = Scene()
    scene.each = refused
    with pytest.raises(ScrapeFailed, match="HTTP 401"):
        scene.run()
    assert scene.looks == []


def prometheus(*histories: list[tuple[float, Served]], target: str = "host:8000") -> str:
    """What a Prometheus answers about servers whose scrapes it has kept."""
    result: dict[str, tuple[dict[str, str], list[tuple[float, str]]]] = {}
    for number, history in enumerate(histories):
        for at, server in history:
            for (name, key), value in server.scrape(at).values.items():
                labels = dict(key)
                if "instance" in labels:
                    labels["exported_instance"] = labels.pop("instance")
                labels |= {"__name__": name, "job": "rom", "instance": f"{target}{number}"}
                entry = result.setdefault(json.dumps(labels, sort_keys=True), (labels, []))
                entry[1].append((at, str(value)))
    found = [{"metric": labels, "values": values} for labels, values in result.values()]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": found}})


def history(*, errors: int = 0, instance: str = "a") -> list[tuple[float, Served]]:
    """An hour of scrapes, one a minute, with six turns each; a restart in the middle."""
    server, moments = Served(instance=instance), []
    for minute in range(61):
        if minute == 30:
            server.restart()
        server.serve(6)
        server.serve(errors, status="error")
        copy = Served(**{**server.__dict__, "turns": dict(server.turns), "attempts": dict(server.attempts)})
        copy.seconds = list(server.seconds)
        moments.append((60.0 * minute, copy))
    return moments


def test_a_prometheus_is_asked_for_raw_samples() -> None:
    """Two instances behind it are told apart, added up, and their restarts seen."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, 200, prometheus(history(), history(errors=1, instance="b")))

    with answering(answer) as url:
        figures = prometheus_figures(url, HOUR, SystemClock())
    assert asked[0].startswith("/api/v1/query?query=")
    assert "3600000ms" in asked[0]
    assert (figures.turns["ok"], figures.turns["error"], figures.restarts) == (720, 60, 2)
    assert not figures.mixed
    assert not figures.missing
    assert figures.buckets[math.inf] == 720
    verdict = judge(figures, Thresholds(restarts=2), HOUR)
    assert [check.name for check in verdict.checks if check.outcome is Outcome.FAIL] == ["errors"]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, '{"status": "success", "data": {"resultType": "matrix", "result": []}}', "no series of the job"),
        (400, '{"status": "error", "error": "parse error"}', "400, parse error"),
        (200, "[]", "not the answer of a Prometheus"),
        (200, "<html>", "not the answer of a Prometheus"),
        *(
            (
                200,
                f'{{"status": "success", "data": {{"resultType": "matrix", "result": [{entry}]}}}}',
                "not the answer of a Prometheus",
            )
            for entry in ("{}", "7", '{"metric": {"__name__": "x"}, "values": [[1, "many"]]}', '{"metric": {}}')
        ),
    ],
)
def test_a_prometheus_that_knows_nothing_gives_no_figures(status: int, body: str, told: str) -> None:
    """An empty answer is not an hour without errors."""
    with answering(lambda handler: send(handler, status, body)) as url, pytest.raises(ScrapeFailed, match=told):
        prometheus_figures(url, HOUR, SystemClock())
