"""Answers over connections that break: nothing is lost, nothing comes twice, and the wait is bounded."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from chat_support import DONE, PROBLEM, BreakingServer, event, run_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.cli.chat.failures import ChatFailed, Disconnected, StillQueued
from rom_core.cli.chat.server import parsed
from rom_core.cli.chat.stream import RESUME_SECONDS, AnswerStream, first_interrupt_waits
from rom_core.concurrency.clock import FakeClock

WORDS = ["O ", "prazo é ", "de 15 dias úteis: ", "art. 1.003, § 5º. ", "São ", "…"]
EVENTS = run_of(
    *(("delta", {"text": word}) for word in WORDS[:3]),
    ("tool_call", {"id": "t1", "name": "consulta_processo"}),
    ("tool_result", {"id": "t1", "name": "consulta_processo", "status": "success", "duration_ms": 1}),
    *(("delta", {"text": word}) for word in WORDS[3:]),
    ("done", DONE),
)
LENGTH = len("".join(EVENTS).encode())
ALL = [(each.name, each.data) for each in parsed(iter("".join(EVENTS).encode().splitlines()))]


def received(server: BreakingServer, *, background: bool = True) -> list[tuple[str, Any]]:
    """The server's events as they come out, without those about the connection."""
    stream = AnswerStream(server, FakeClock())
    events = stream.ask({"background": background})
    return [(each.name, each.data) for each in events if each.name not in ("disconnected", "resumed")]


@settings(deadline=None, max_examples=300)
@given(st.integers(len(EVENTS[0].encode()), LENGTH), st.lists(st.integers(0, LENGTH), max_size=6))
def test_however_it_is_cut_every_event_comes_once(first: int, cuts: list[int]) -> None:
    """At any byte, as often as it likes: each connection goes on after the last whole event."""
    server = BreakingServer(EVENTS, [first, *cuts])
    assert received(server) == ALL
    assert all(after.startswith("run-1:") for after in server.resumed)


def test_events_that_come_again_are_passed_over() -> None:
    """A server that begins too early doubles nothing."""

    class Early(BreakingServer):
        def run_events(self, run_id: str, after: str = "") -> Any:
            return super().run_events(run_id, "run-1:2")

    assert received(Early(EVENTS, [LENGTH - 40])) == ALL


def test_a_server_that_is_away_is_waited_for() -> None:
    """Refused connections and a proxy's 502 are tried again; what the server says of the run itself is not."""
    away = [ChatFailed("refused"), ChatFailed("proxy", status=502), ChatFailed("full", status=503)]
    assert received(BreakingServer(EVENTS, [LENGTH - 40, *away])) == ALL
    gone = ChatFailed("no such run", "run_not_found", 404)
    with pytest.raises(ChatFailed, match="no such run"):
        received(BreakingServer(EVENTS, [LENGTH - 40, gone]))


def test_nobody_waits_for_ever() -> None:
    """A minute after the break it is given up."""
    server = BreakingServer(EVENTS, [LENGTH - 40, *[ChatFailed("refused")] * 1000])
    clock = FakeClock()
    stream = AnswerStream(server, clock)
    began = clock.monotonic()
    with pytest.raises(Disconnected, match="cut"):
        list(stream.ask({"background": True}))
    assert RESUME_SECONDS - 3 < clock.monotonic() - began <= RESUME_SECONDS


def test_a_turn_that_is_no_run_cannot_be_resumed() -> None:
    """What came is shown, then the break is told; no run is asked for."""
    server = BreakingServer([event("start", {"conversation_id": "conv-1"}), event("delta", {"text": "a"})], [75])
    with pytest.raises(Disconnected):
        received(server, background=False)
    assert server.resumed == []


def test_an_end_without_an_end_is_a_break() -> None:
    """A proxy may close a stream cleanly in the middle."""
    events = EVENTS[:4]
    with pytest.raises(Disconnected, match="in the middle"):
        list(AnswerStream(BreakingServer([each.partition("\n")[2] for each in events], []), FakeClock()).ask({}))


class Queued(BreakingServer):
    """Says nothing but comments, three at each end of `start`, while its run is in `state`."""

    def __init__(self, state: str) -> None:
        start, *others = EVENTS
        super().__init__([start, ": keep-alive\n\n" * 3, *others], [])
        self._state = state

    def run(self, run_id: str) -> dict[str, Any]:
        """As it is."""
        return {"id": run_id, "state": self._state}


def test_a_run_that_waits_for_room_is_seen_to_wait() -> None:
    """By who has patience; who has none is told at the first heartbeat. One that runs just thinks."""
    names = [event.name for event in AnswerStream(Queued("queued"), FakeClock()).ask({"background": True})]
    assert names[:5] == ["start", "queued", "queued", "queued", "delta"]
    with pytest.raises(StillQueued):
        list(AnswerStream(Queued("queued"), FakeClock(), patient=False).ask({"background": True}))
    running = AnswerStream(Queued("running"), FakeClock(), patient=False)
    assert [(each.name, each.data) for each in running.ask({"background": True})] == ALL


def test_an_error_is_an_end() -> None:
    """Exactly one of done and error ends an answer."""
    events = run_of(("delta", {"text": "a"}), ("error", PROBLEM))
    assert [name for name, _ in received(BreakingServer(events, []))] == ["start", "delta", "error"]


def test_ctrl_c_waits_for_the_id_of_the_run() -> None:
    """A first one comes when the block ends, a second one at once; then all is as before."""
    before = signal.getsignal(signal.SIGINT)
    survived = []

    def pressed(times: int) -> None:
        with first_interrupt_waits():
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
            survived.append(times)

    for times in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            pressed(times)
    pressed(0)
    assert survived == [1, 0]
    assert signal.getsignal(signal.SIGINT) is before
