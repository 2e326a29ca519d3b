"""What is asked of which server, and what goes along with a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from chat_support import KEPT, OFF, Seen, Server, answered, conversation_with, wanted

from rom_core.cli.chat.conversation import Conversation, Options
from rom_core.cli.chat.failures import ChatFailed
from rom_core.cli.chat.files import local_file
from rom_core.cli.chat.server import Event
from rom_core.concurrency.clock import FakeClock


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
