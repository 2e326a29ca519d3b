"""What a person reads of an answer: its text, its sources, its notes, and what happens meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from chat_support import DONE, PROBLEM, Seen, answered, conversation_with

from rom_core.cli.chat.failures import ChatFailed
from rom_core.cli.chat.relay import Relay
from rom_core.cli.chat.server import Event

CITATION = {"document": 0, "name": "c.pdf", "page": 3, "last_page": 3, "quote": "O  fiador\nresponde."}


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ({"compacted": True}, "! o começo da conversa foi resumido"),
        ({"degraded": True}, "! respondeu anthropic.first, em lugar do modelo pedido"),
        (
            {"stop_reason": "max_tokens"},
            "! resposta incompleta: chegou ao tamanho máximo (max_tokens, anthropic.first)",
        ),
        ({"stop_reason": "guardrail_cycle", "degraded": True}, "! as ferramentas foram interrompidas"),
        ({"stop_reason": "new_reason"}, "! resposta incompleta (new_reason"),
        ({"stand_in": True}, "! modelo de demonstração"),
        ({"ignored": ["temperature", "citations"]}, "! sem efeito nesta resposta: temperature"),
        ({"warnings": [{"code": "x", "text": "Há texto oculto."}]}, "! Há texto oculto."),
    ],
)
def test_what_a_person_must_know_is_said(answer: dict[str, Any], note: str) -> None:
    """One line for each, with the server's word where an engineer asks for it."""
    conversation, _, view = conversation_with(answered(DONE | answer))
    conversation.ask("um")
    assert len(view.notes) == 1
    assert view.notes[0].startswith(note)


def test_a_whole_answer_has_no_marks() -> None:
    """Nothing is said where nothing is to be known; what this command asks for by itself is no news either."""
    conversation, _, view = conversation_with(answered(DONE | {"ignored": ["citations"], "warnings": []}))
    conversation.ask("um")
    assert (view.said, view.notes, view.cited) == ("sim", [], [])


def test_a_warning_is_said_once() -> None:
    """In the stream and in the answer it is the same one."""
    warning = {"code": "x", "text": "Há texto oculto."}
    conversation, _, view = conversation_with(answered(DONE | {"warnings": [warning]}, ("warning", warning)))
    conversation.ask("um")
    assert view.notes == ["! Há texto oculto."]


def test_sources_are_listed() -> None:
    """By document and page, each quote once; those of what was taken back are not."""
    events: list[tuple[str, Any]] = [
        ("delta", {"text": "Sim."}),
        ("citation", CITATION),
        ("delta", {"text": " Não."}),
        ("citation", CITATION | {"quote": "gone"}),
        ("restart", {"reason": "upstream_unavailable", "length": 4}),
        ("delta", {"text": " Talvez."}),
        ("citation", CITATION | {"name": "d.txt", "page": None}),
        ("citation", CITATION),
    ]
    conversation, _, view = conversation_with(answered(DONE, *events))
    conversation.ask("um")
    assert view.said == "Sim. Talvez."
    assert view.cited == ["[1] c.pdf, p. 3: “O fiador responde.”", "[2] d.txt: “O fiador responde.”"]


def test_what_happens_is_said_in_words() -> None:
    """The tool's label, or its name; several at once; how long each took, and whether it failed."""

    def call(id_: str, **more: str) -> tuple[str, Any]:
        return "tool_call", {"id": id_, "name": f"tool_{id_}"} | more

    ended = {"status": "success", "duration_ms": 340}
    events: list[tuple[str, Any]] = [
        ("thinking", {}),
        call("a", label="consultando DataJud"),
        call("b", label="contando o prazo"),
        call("c"),
        ("tool_result", {"id": "b", "name": "tool_b"} | ended),
        ("tool_result", {"id": "c", "name": "tool_c"} | ended | {"status": "error"}),
        ("tool_result", {"id": "a", "name": "tool_a"} | ended),
        ("delta", {"text": "sim"}),
    ]
    view = Seen()
    Relay(view).show(answered(DONE, *events))
    assert view.doing == [
        "pensando",
        "consultando DataJud",
        "consultando DataJud; contando o prazo",
        "consultando DataJud; contando o prazo e mais 1",
        "consultando DataJud; usando tool_c",
        "consultando DataJud",
        "aguardando o modelo",
        "escrevendo",
    ]
    assert view.notes == ["contando o prazo: 0,3 s", "usando tool_c: falhou, 0,3 s", "consultando DataJud: 0,3 s"]


def test_a_takeover_by_another_instance_begins_again() -> None:
    """`restart` without a length takes everything back."""
    events = [("delta", {"text": "meio"}), ("restart", {"reason": "instance_lost"}), ("delta", {"text": "sim"})]
    view = Seen()
    Relay(view).show(answered(DONE, *events))
    assert view.said == "sim"


def test_an_answer_that_fails_is_marked() -> None:
    """What came stays, and the failure is the server's sentence."""
    conversation, _, view = conversation_with([Event("delta", {"text": "São"}), Event("error", PROBLEM)])
    with pytest.raises(ChatFailed, match="A fila está cheia"):
        conversation.ask("um")
    assert (view.said, view.notes) == ("São", ["! a resposta parou aqui"])


def test_events_of_another_shape_are_no_rom_agents() -> None:
    """No traceback for whatever answers there."""
    conversation, _, _ = conversation_with([Event("delta", {"words": "São"})])
    with pytest.raises(ChatFailed, match="is no ROM Agent"):
        conversation.ask("um")
