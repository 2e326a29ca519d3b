"""Questions that are runs: interrupted, waiting for a place, shown again, and mended when the connection breaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chat_support import KEPT, BreakingServer, Seen, Server, answered, conversation_with, run_of, wanted

from rom_core.cli.chat.conversation import Conversation, Options
from rom_core.cli.chat.failures import ChatFailed
from rom_core.cli.chat.server import Event
from rom_core.concurrency.clock import FakeClock


def interrupted_after(*events: Event) -> Iterator[Event]:
    """A person who has read enough."""
    yield from events
    raise KeyboardInterrupt


START = Event("start", {"run_id": "run-1", "conversation_id": "conv_1"}, "run-1:1")


def test_ctrl_c_cancels_the_run_and_keeps_what_came() -> None:
    """The text stays and is marked; the conversation goes on, and waits while the old turn ends."""
    busy = ChatFailed("busy", "conversation_busy", 409)
    broken = interrupted_after(START, Event("delta", {"text": "São quin"}, "run-1:2"))
    conversation, server, view = conversation_with(broken, busy, busy, answered(KEPT))
    with pytest.raises(KeyboardInterrupt):
        conversation.ask("um")
    assert (server.cancelled, view.said) == (["run-1"], "São quin")
    assert view.notes == ["! interrompida: o texto acima ficou pela metade"]
    conversation.ask("dois")
    assert [body.get("conversation_id") for body in server.bodies] == [None, "conv_1", "conv_1", "conv_1"]


def test_busy_without_an_interrupt_is_told() -> None:
    """Somebody else talks there."""
    conversation, server, _ = conversation_with(ChatFailed("busy", "conversation_busy", 409))
    with pytest.raises(ChatFailed, match="busy"):
        conversation.ask("um")
    assert len(server.bodies) == 1


class Crowded(Server):
    """Has no room for runs: each waits."""

    def run(self, run_id: str) -> dict[str, Any]:
        """It waits."""
        return {"id": run_id, "state": "queued"}


WAITS = [START, Event("heartbeat", {})]


def test_a_question_does_not_wait_for_the_places_of_long_work() -> None:
    """Its run is given up for an answer that is none, in a conversation as new as before; the next is a run again."""
    server, view = Crowded(WAITS, answered(KEPT), answered(KEPT)), Seen()
    conversation = Conversation(server, view, Options(), FakeClock())
    conversation.ask("um")
    assert (server.cancelled, view.said, view.notes) == (["run-1"], "sim", [])
    assert [wanted(body) for body in server.bodies] == [(True, True), (True, False)]
    assert "conversation_id" not in server.bodies[1]
    conversation.ask("dois")
    assert wanted(server.bodies[2]) == (False, True)


def test_long_work_waits_and_says_so() -> None:
    """It would take the same places."""
    server, view = Crowded([*WAITS, *answered(KEPT)]), Seen()
    Conversation(server, view, Options(exhaustive=True), FakeClock()).ask("um")
    assert (server.cancelled, view.said, view.doing[0]) == ([], "sim", "na fila")


def test_a_full_queue_of_runs_is_no_refusal() -> None:
    """Where there is room for an answer; the next question is asked as a run again."""
    full = ChatFailed("full", "queue_full", 503)
    conversation, server, _ = conversation_with(full, answered(KEPT), answered(KEPT))
    conversation.ask("um")
    conversation.ask("dois")
    assert [wanted(body) for body in server.bodies] == [(True, True), (True, False), (False, True)]


def test_a_conversation_that_waits_for_a_run_says_which() -> None:
    """Whoever is told to wait can watch it."""

    class Waiting(Server):
        def runs(self, limit: int) -> dict[str, Any]:
            run = {"id": "run-7", "conversation_id": "conv_1", "state": "running"}
            return {"runs": [run], "next": None}

    server = Waiting(answered(KEPT), ChatFailed("busy", "conversation_busy", 409))
    conversation = Conversation(server, Seen(), Options(), FakeClock())
    conversation.ask("um")
    with pytest.raises(ChatFailed, match="busy\nrom chat --run run-7"):
        conversation.ask("dois")


def test_a_run_that_is_only_shown_goes_on() -> None:
    """Ctrl-C leaves it, and says how to come back; it is not cancelled."""

    class Following(BreakingServer):
        def run_events(self, run_id: str, after: str = "") -> Iterator[Event]:
            return interrupted_after(START)

    server, view = Following([], []), Seen()
    with pytest.raises(KeyboardInterrupt):
        Conversation(server, view, Options(), FakeClock()).follow("run-1")
    assert server.cancelled == []
    assert view.notes == ["! a resposta continua no servidor:\nrom chat --run run-1"]


def test_a_run_that_is_lost_says_how_to_come_back() -> None:
    """Its id is what a person needs."""
    server = BreakingServer(run_of(("delta", {"text": "a"}), ("done", KEPT)), [150, *[ChatFailed("no")] * 999])
    view = Seen()
    with pytest.raises(ChatFailed, match="rom chat --run run-1"):
        Conversation(server, view, Options(), FakeClock()).ask("um")
    assert "a conexão caiu; retomando" in view.doing


def test_a_break_that_is_mended_is_seen_below_only() -> None:
    """The text is whole; no note tells of it."""
    server = BreakingServer(run_of(("delta", {"text": "a"}), ("delta", {"text": "b"}), ("done", KEPT)), [150])
    view = Seen()
    Conversation(server, view, Options(), FakeClock()).ask("um")
    assert (view.said, view.notes) == ("ab", [])
    assert "a conexão caiu; retomando" in view.doing
