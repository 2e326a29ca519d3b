"""A streamed answer ends, whatever the turn or the client does, is counted as what it was, and gives its place back."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from falcon import testing
from structlog.testing import capture_logs
from support import Recorder, make_runtime, make_turn, says
from waiting import until

from rom_core.concurrency.clock import FakeClock
from rom_core.errors import DeadlineExceeded, InternalError
from rom_core.events import RequestFinished
from rom_core.http import stream
from rom_core.http.app import create_app
from rom_core.http.ids import RequestIds
from rom_core.http.requests import Outcome
from rom_core.http.stream import ENDING_SECONDS, READING_SECONDS, TurnStream
from rom_core.markers import hookimpl
from rom_core.span import NOWHERE
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


class Bench:
    """A stream over a model that says one word and then does what `then` does."""

    def __init__(self, then: Callable[[Attempt], object], *, speak: bool = True, **plugins: Any) -> None:
        def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
            if speak:
                attempt.text("one")
            then(attempt)
            return says("one")

        self.clock = FakeClock()
        self.recorder = Recorder()
        self.runtime, _ = make_runtime(model, clock=self.clock, plugins={"recorder": self.recorder, **plugins})
        self.turn = make_turn(self.runtime, stream=True)
        context = SimpleNamespace(accepted_at=self.clock.monotonic(), trace_id="trace", request_id="req", span=NOWHERE)
        self.outcome = Outcome(self.runtime, SimpleNamespace(context=context, method="POST"))  # type: ignore[arg-type]
        self.outcome.begin("/api/chat")
        self.hung_up: list[str] = []
        self.released: list[str] = []
        self.stream = TurnStream(
            self.runtime,
            self.turn,
            lambda: False,
            lambda: self.released.append("x"),
            self.outcome,
            hang_up=lambda: self.hung_up.append("x"),
        )

    @property
    def statuses(self) -> list[str]:
        """How the request was counted."""
        return [event.status for event in self.recorder.events if isinstance(event, RequestFinished)]


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a stuck turn waits for; set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def until_cancelled(attempt: Attempt) -> None:
    """A model that goes on until the turn is cancelled."""
    assert attempt.turn.cancel.event.wait(60)
    attempt.call.check()


@pytest.mark.parametrize(
    ("reason", "status"),
    [(None, "cancelled"), ("client_gone", "cancelled"), ("deadline", "error"), ("draining", "rejected")],
)
def test_a_stream_that_breaks_off_is_never_counted_as_ok(reason: str | None, status: str) -> None:
    """Whoever cancelled first, the watchdog or the writer, an answer without its end was not one."""
    bench = Bench(until_cancelled)
    bench.stream.start()
    pieces = iter(bench.stream)
    assert b"one" in next(pieces)
    if reason:
        bench.turn.cancel.cancel(reason)
    pieces.close()  # type: ignore[attr-defined]
    bench.stream.close()
    assert bench.statuses == [status]
    assert bench.released == ["x"]


@pytest.mark.parametrize(("taken", "status"), [(1, "cancelled"), (2, "ok")])
def test_an_answer_is_finished_when_its_last_piece_was_handed_over(taken: int, status: str) -> None:
    """As one in one piece is, and as its turn is logged; a client that leaves before has not had all of it."""
    go_on = threading.Event()
    bench = Bench(lambda attempt: go_on.wait(60))
    bench.stream.start()
    pieces = iter(bench.stream)
    assert b"event: done" not in next(pieces)
    go_on.set()
    if taken == 2:
        assert any(b"event: done" in piece for piece in pieces)
    bench.stream.close()
    assert bench.statuses == [status]


def test_a_stream_that_was_read_to_its_end_is_ok() -> None:
    """done, counted once, however often it is closed."""
    bench = Bench(lambda attempt: None)
    bench.stream.start()
    assert b"event: done" in b"".join(bench.stream)
    bench.stream.close()
    bench.stream.close()
    assert (bench.statuses, bench.released) == (["ok"], ["x"])


def test_a_turn_and_its_stream_are_freed_when_the_stream_is_closed() -> None:
    """At once, not when garbage is collected."""
    bench = Bench(lambda attempt: None)
    bench.stream.start()
    b"".join(bench.stream)
    bench.stream.close()
    assert getattr(bench.turn.sink, "__self__", None) is not bench.stream


def test_the_first_piece_is_on_its_way_before_the_turn_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that never pauses does not keep it from the client."""
    monkeypatch.setattr(stream, "_FIRST_SECONDS", 30.0)
    taken: list[bytes] = []
    before: list[int] = []
    bench = Bench(lambda attempt: before.append(len(taken)))
    bench.stream.start()
    taken.extend(bench.stream)
    assert before == [1]


def test_the_turn_ends_when_the_model_has_done_however_slow_the_reader() -> None:
    """Two and a half million characters in pieces, of which nobody takes one: the turn and its slot are over."""

    def talk(attempt: Attempt) -> None:
        for _ in range(2500):
            attempt.text("x" * 1000)

    bench = Bench(talk)
    bench.stream.start()
    until = time.monotonic() + 60
    while bench.runtime.active_turns and time.monotonic() < until:
        time.sleep(0.005)
    assert bench.runtime.active_turns == 0
    assert b"".join(bench.stream).count(b"event: delta") == 2502
    assert bench.statuses == []
    bench.stream.close()
    assert bench.statuses == ["ok"]


def test_beyond_a_bound_the_turn_waits_for_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept for a slow reader is bounded; every piece that he takes lets the model say another."""
    monkeypatch.setattr("rom_core.http.stream.MAX_UNREAD_BYTES", 10_000)
    said: list[int] = []

    def talk(attempt: Attempt) -> None:
        for number in range(100):
            attempt.text("x" * 600)
            said.append(number)

    bench = Bench(talk)
    bench.stream.start()
    pieces = iter(bench.stream)
    first = next(pieces)
    assert len(said) < 30
    assert (first + b"".join(pieces)).count(b"event: delta") == 102
    bench.stream.close()


class Exits:
    """A plugin that ends the turn's thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @hookimpl(wrapper=True)
    def rom_turn(self, turn: Any) -> Any:
        yield
        raise self.error


class NoResult:
    """A wrapper that forgets to return what it got."""

    @hookimpl(wrapper=True)
    def rom_turn(self, turn: Any) -> Any:
        yield


@pytest.mark.parametrize(
    "plugin", [Exits(SystemExit(2)), Exits(KeyboardInterrupt()), NoResult()], ids=["exit", "interrupt", "result"]
)
def test_whatever_ends_the_turn_ends_the_stream(plugin: Any) -> None:
    """SystemExit or a plugin's wrong result in the turn's thread becomes an error event, not a silence for ever."""
    bench = Bench(lambda attempt: None, plugin=plugin)
    with capture_logs():
        bench.stream.start()
        last = b"".join(bench.stream).split(b"\n\n")[-2]
        bench.stream.close()
    assert last.startswith(b"event: error")
    assert b"internal_error" in last
    assert bench.statuses == ["error"]


@pytest.mark.parametrize("error", [SystemExit(2), MemoryError(), ValueError("?")], ids=["exit", "memory", "value"])
def test_the_stream_relies_on_nobody_for_its_end(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even what the runtime lets through becomes the one last item, and is logged with the ids."""

    def run(*_: Any) -> None:
        raise error

    bench = Bench(lambda attempt: None)
    monkeypatch.setattr(bench.runtime, "run", run)
    with capture_logs() as logs, pytest.raises(InternalError):
        bench.stream.start()
    assert [(line["event"], line["trace_id"]) for line in logs] == [("stream.failed", "trace")]


def test_the_same_before_the_first_event_is_an_http_error() -> None:
    """`start` raises; nobody has seen a status line yet."""

    def leave(attempt: Attempt) -> None:
        sys.exit(2)

    bench = Bench(leave, speak=False)
    with capture_logs(), pytest.raises(InternalError):
        bench.stream.start()


def test_a_turn_that_never_speaks_is_given_up_after_its_deadline(never: threading.Event) -> None:
    """`start` does not wait for a stuck thread much longer than the deadline: 504, and the turn is cancelled."""
    inside = threading.Event()

    def stuck(_attempt: Attempt) -> None:
        inside.set()
        never.wait(60)

    bench = Bench(stuck, speak=False)
    seconds = bench.turn.deadline.remaining() + ENDING_SECONDS

    def pass_on() -> None:
        if inside.wait(60):
            bench.clock.advance(seconds + 1)

    passing = threading.Thread(target=pass_on)
    passing.start()
    with capture_logs() as logs, pytest.raises(DeadlineExceeded):
        bench.stream.start()
    passing.join()
    assert bench.turn.cancel.reason == "deadline"
    assert [line["event"] for line in logs] == ["stream.stuck"]


def test_a_turn_that_gets_stuck_later_ends_with_an_error_event(never: threading.Event) -> None:
    """The client of a stream that has begun is told, and the HTTP thread is free."""
    bench = Bench(lambda attempt: never.wait(60))
    bench.stream.start()
    pieces = iter(bench.stream)
    next(pieces)
    bench.clock.advance(bench.turn.deadline.remaining() + ENDING_SECONDS + 1)
    with capture_logs():
        assert b"deadline_exceeded" in b"".join(pieces)
    bench.stream.close()
    assert bench.statuses == ["error"]


def test_a_stream_that_nobody_reads_is_cut_off(never: threading.Event) -> None:
    """Some seconds after the deadline the watchdog closes the connection and gives the place back; not before."""
    bench = Bench(lambda attempt: None)
    bench.stream.start()
    next(iter(bench.stream))
    assert until(lambda: not bench.runtime.turn_pool.outstanding)
    bench.clock.advance(bench.turn.deadline.remaining() + READING_SECONDS - 1)
    bench.runtime.watchdog.tick()
    assert (bench.hung_up, bench.released) == ([], [])
    bench.clock.advance(2)
    bench.runtime.watchdog.tick()
    assert (bench.hung_up, bench.released) == (["x"], ["x"])
    bench.runtime.watchdog.tick()
    assert bench.hung_up == ["x"]
    assert bench.statuses == ["cancelled"]


def test_a_failure_after_the_stream_was_made_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """If anything fails before the server takes the stream, the answer is the error and the turn ends."""
    recorder = Recorder()

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        attempt.text("one")
        until_cancelled(attempt)
        return says("one")

    runtime, _ = make_runtime(model, plugins={"recorder": recorder})
    whole = RequestIds.process_response

    def fails(self: RequestIds, req: Any, resp: Any, resource: Any, ok: bool) -> None:
        whole(self, req, resp, resource, ok)
        raise RuntimeError("middleware")

    monkeypatch.setattr(RequestIds, "process_response", fails)
    client = testing.TestClient(create_app(runtime))
    with capture_logs():
        answer = client.simulate_post("/api/chat", json={"message": "question", "stream": True})
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert runtime.admitted == 0
    finished = [event for event in recorder.events if isinstance(event, RequestFinished)]
    assert [(event.status, event.http_status) for event in finished] == [("error", 500)]
    runtime.stop()
    assert runtime.active_turns == 0
