"""What is asked of which server, and what a person reads of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from chat_support import DONE, PROBLEM, URL, BreakingServer, run_of

from rom_core.cli.chat.conversation import Conversation, Options
from rom_core.cli.chat.failures import ChatFailed
from rom_core.cli.chat.files import local_file
from rom_core.cli.chat.relay import Relay
from rom_core.cli.chat.server import ChatServer, Event
from rom_core.concurrency.clock import FakeClock

KEPT = DONE | {"conversation_id": "conv_1"}
OFF = ChatFailed("off", "plugin_disabled", 404)


class Seen:
    """A view that remembers."""

    def __init__(self) -> None:
        self.said = ""
        self.doing: list[str] = []
        self.notes: list[str] = []
        self.cited: list[str] = []

    def begin(self) -> None:
        """A new answer."""
        self.said = ""

    def activity(self, what: str) -> None:
        """Noted."""
        self.doing.append(what)

    def text(self, piece: str) -> None:
        """Noted."""
        self.said += piece

    def take_back(self, length: int) -> None:
        """As told."""
        self.said = self.said[:length]

    def note(self, text: str, *, warning: bool = False) -> None:
        """Noted, a warning as one."""
        self.notes.append(f"! {text}" if warning else text)

    def sources(self, lines: Iterable[str]) -> None:
        """Noted."""
        self.cited += lines

    def end(self) -> None:
        """Nothing to do."""


class Server(ChatServer):
    """Answers each question with the next of `answers`: events, or a failure; `bodies` are the questions."""

    def __init__(self, *answers: Iterable[Event] | BaseException) -> None:
        super().__init__(URL)
        self._answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.cancelled: list[str] = []

    def answer(self, body: Mapping[str, Any]) -> Iterator[Event]:
        """The next one."""
        self.bodies.append(dict(body))
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        yield from answer

    def cancel(self, run_id: str) -> None:
        """Noted."""
        self.cancelled.append(run_id)


def answered(done: Mapping[str, Any] = DONE, *events: tuple[str, Any]) -> list[Event]:
    """An answer in which this happens."""
    return [*(Event(name, data) for name, data in events), Event("done", done)]


def conversation_with(*answers: Iterable[Event] | BaseException, **options: Any) -> tuple[Conversation, Server, Seen]:
    """A conversation with a server that answers so."""
    server, view = Server(*answers), Seen()
    return Conversation(server, view, Options(**options), FakeClock()), server, view


def wanted(body: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether it asks to be kept, and to be a run."""
    return body.get("store", False), body.get("background", False)


@pytest.mark.parametrize(
    ("serves", "offers"),
    [
        ((True, True), [(True, True)]),
        ((True, False), [(True, True), (True, False)]),
        ((False, True), [(True, True), (True, False), (False, True)]),
        ((False, False), [(True, True), (True, False), (False, True), (False, False)]),
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_a_plugin_that_is_off_is_done_without(
    serves: tuple[bool, bool], offers: list[tuple[bool, bool]], old: bool
) -> None:
    """Found out with the first question and remembered; a release that does not know the field is the same."""

    class Partly(Server):
        def answer(self, body: Mapping[str, Any]) -> Iterator[Event]:
            for name, served, wants in zip(("store", "background"), serves, wanted(body), strict=True):
                if wants and not served:
                    self.bodies.append(dict(body))
                    raise ChatFailed("unknown field", "invalid_request", 422, name) if old else OFF
            return super().answer(body)

    server = Partly(answered(), answered())
    conversation = Conversation(server, Seen(), Options(), FakeClock())
    conversation.ask("um")
    conversation.ask("dois")
    assert [wanted(body) for body in server.bodies] == [*offers, offers[-1]]


def test_a_conversation_that_is_kept_goes_on_by_its_id_alone() -> None:
    """Neither what was said nor `store` goes along."""
    conversation, server, _ = conversation_with(answered(KEPT), answered(KEPT))
    conversation.ask("um")
    conversation.ask("dois")
    assert conversation.kept
    assert [body.get("conversation_id") for body in server.bodies] == [None, "conv_1"]
    assert not {"messages", "store"} & server.bodies[1].keys()


def test_what_failed_otherwise_is_not_asked_again() -> None:
    """A refusal that is no switched-off plugin is told at once."""
    conversation, server, _ = conversation_with(ChatFailed("off", "bedrock_disabled", 503))
    with pytest.raises(ChatFailed, match="off"):
        conversation.ask("um")
    assert len(server.bodies) == 1


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


@pytest.mark.parametrize(
    ("failure", "left"),
    [(ChatFailed("bad", "attachment_broken", 422), 0), (ChatFailed("off", "bedrock_disabled", 503), 1)],
)
def test_a_refused_file_is_attached_no_more(tmp_path: Path, failure: ChatFailed, left: int) -> None:
    """It would refuse every question after it; a server that is closed leaves it for the next try."""
    (tmp_path / "a.txt").write_text("oi")
    conversation, server, _ = conversation_with(failure)
    conversation.files = [local_file(tmp_path / "a.txt")]
    with pytest.raises(ChatFailed):
        conversation.ask("um")
    assert server.bodies[0]["attachments"] == [{"name": "a.txt", "data": "b2k="}]
    assert len(conversation.files) == left


@pytest.mark.parametrize(("name", "cites"), [("a.txt", True), ("a.png", False)])
def test_documents_are_cited(tmp_path: Path, name: str, cites: bool) -> None:
    """In the turn that brings one, unless nobody wants it; files go along once, and later turns ask for nothing new."""
    (tmp_path / name).write_bytes(b"oi")
    conversation, server, _ = conversation_with(answered(KEPT), answered(KEPT))
    conversation.files = [local_file(tmp_path / name)]
    conversation.ask("um")
    conversation.ask("dois")
    assert [body.get("citations", False) for body in server.bodies] == [cites, False]
    assert "attachments" not in server.bodies[1]
    conversation, server, _ = conversation_with(answered(KEPT), citations=False)
    conversation.files = [local_file(tmp_path / name)]
    conversation.ask("um")
    assert "citations" not in server.bodies[0]


def test_a_file_too_large_for_any_model_is_not_sent(tmp_path: Path) -> None:
    """The limit is told, and what is taken at all; a file that is not there is said too."""
    (tmp_path / "a.pdf").write_bytes(b"x" * 4_500_001)
    with pytest.raises(ChatFailed, match=r"passa de 4,5 MB. Aceitos: PDF, .* até 5 documentos"):
        local_file(tmp_path / "a.pdf")
    with pytest.raises(ChatFailed, match="No such file"):
        local_file(tmp_path / "b.pdf")


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
