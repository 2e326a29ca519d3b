"""A conversation that comes near the model's context: its oldest turns are summarised, in a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from e2e.conversing import RequestStream, as_, ask, read, settings_of, texts, without_marks
from e2e.serving import BARE, RomServer, serving_with

from local_bedrock import LocalBedrock
from plugins.conversations.compacting import INSTRUCTION

TOKEN = "token-of-the-operator"
# A tenth of the 200,000 tokens of the model; the local Bedrock makes a token of four characters.
SHARE = 0.1
LONG, SHORT = "x" * 60_000, "y" * 8_000


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, bedrock: LocalBedrock) -> Iterator[RomServer]:
    """A server to which conversations are soon too long, with either database."""
    settings = settings_of(bedrock) | BARE | {"ADMIN_TOKEN": f"ops={TOKEN}", "CONVERSATION_CONTEXT_SHARE": SHARE}
    settings["PROMPT_CACHING_ADVANCE_USD"] = 5
    with serving_with(request, **settings) as running:
        yield running


@pytest.fixture(autouse=True)
def _forgetful(bedrock: LocalBedrock) -> None:
    """What other tests asked the model is forgotten."""
    bedrock.reset()


def sent(bedrock: LocalBedrock) -> list[dict[str, Any]]:
    """What the model was asked, without cache points; counting is not asking."""
    return [without_marks(each.body) for each in bedrock.requests if each.operation == "ConverseStream"]


def begun(server: RomServer, **body: Any) -> str:
    """A conversation of two turns, of which the first is long and has a tool use."""
    first = ask(server, f"[[tools=1]] [[tool=prazo_processual]] um {LONG}", store=True, **body)
    assert "compacted" not in first
    mine: str = first["conversation_id"]
    assert "compacted" not in ask(server, f"[[say=segunda]] dois {SHORT}", conversation_id=mine)
    return mine


def begins_with(later: list[Any], earlier: list[Any]) -> bool:
    """Whether these messages begin with the bytes of those."""
    return json.dumps(later[: len(earlier)]) == json.dumps(earlier)


def change(server: RomServer, **edits: Any) -> None:
    """Change settings while the server runs."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(f"{server.url}/admin/reload-flags", json=edits, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def test_the_oldest_turns_are_summarised_once_and_the_next_turns_have_the_same_bytes_again(
    server: RomServer, bedrock: LocalBedrock
) -> None:
    """The summary is asked for with the bytes that went before, and stands in the place of whole turns; nothing of them
    is lost to their owner, and every answer that rests on it says so."""
    mine = begun(server)
    before = sent(bedrock)[-1]
    bedrock.script("[[say=resumo-marcado]]")
    third = ask(server, f"[[say=terceira]] três {SHORT}", conversation_id=mine)
    assert third["compacted"] is True
    assert third["reply"] == "terceira"
    summary, answered = sent(bedrock)[-2:]
    for name in ("system", "toolConfig"):
        assert json.dumps(summary[name]) == json.dumps(before[name])
    *old, instruction = summary["messages"]
    assert begins_with(before["messages"], old)
    assert [next(iter(each["content"][0])) for each in old] == ["text", "toolUse", "toolResult", "text"][: len(old)]
    assert instruction == {"role": "user", "content": [{"text": INSTRUCTION}]}
    messages = answered["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant"] * 2 + ["user"]
    assert messages[1]["content"] == [{"text": "resumo-marcado"}]
    assert messages[2:4] == [*before["messages"][-1:], {"role": "assistant", "content": [{"text": "segunda"}]}]
    assert third["usage"]["cache_read_tokens"] > len(LONG) // 4, third["usage"]
    count = len(sent(bedrock))
    for number in range(2):
        assert ask(server, f"[[say=ok]] e {number}?", conversation_id=mine)["compacted"] is True
        assert begins_with(sent(bedrock)[-1]["messages"], messages)
    assert len(sent(bedrock)) == count + 2
    kept = read(server, mine).json()
    assert next(text for role, text in texts(kept) if role == "user").endswith(LONG)
    assert (len(kept["messages"]), kept["summary"]["up_to"], kept["summary"]["text"]) == (10, 1, "resumo-marcado")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    whole = requests.get(f"{server.url}/admin/conversations/{mine}", headers=headers, timeout=60).json()
    assert (len(whole["turns"]), whole["summary"]["text"]) == (5, "resumo-marcado")


def test_a_summary_can_be_summarised_again(server: RomServer, bedrock: LocalBedrock) -> None:
    """It is part of what is summarised then."""
    mine = begun(server)
    bedrock.script("[[say=primeiro resumo]]")
    ask(server, f"[[say=terceira]] três {LONG}", conversation_id=mine)
    bedrock.script("[[say=outro resumo]]")
    ask(server, f"[[say=quarta]] quatro {LONG}", conversation_id=mine)
    summary, answered = sent(bedrock)[-2:]
    assert "primeiro resumo" in json.dumps(summary["messages"][:2])
    assert "primeiro resumo" not in json.dumps(answered["messages"])
    assert "outro resumo" in json.dumps(answered["messages"])


def test_a_conversation_is_refused_where_the_setting_says_so_and_stays_as_it_was(
    server: RomServer, bedrock: LocalBedrock
) -> None:
    """With a code of its own and a sentence about what to do; with the other setting it goes on."""
    mine = begun(server)
    change(server, CONVERSATION_TOO_LONG="refuse")
    refused = server.chat(f"três {SHORT}", headers=as_("ana"), conversation_id=mine)
    change(server, CONVERSATION_TOO_LONG="")
    assert (refused.status_code, refused.json()["code"]) == (422, "conversation_too_long")
    assert "nova conversa" in refused.json()["user_message"]
    assert len(read(server, mine).json()["messages"]) == 4
    bedrock.script("[[say=resumo]]")
    assert ask(server, f"[[say=ok]] três {SHORT}", conversation_id=mine)["compacted"] is True


def test_without_a_summary_the_turn_goes_on_whole_while_it_fits(server: RomServer, bedrock: LocalBedrock) -> None:
    """Whether the model fails, says nothing, asks for a tool or is cut off; the next turn tries again."""
    mine = begun(server)
    for failing in ("[[fault=400]]", "[[empty]]", "[[tools=1]] [[tool=prazo_processual]]", "[[stop=max_tokens]]"):
        bedrock.script(failing)
        answer = ask(server, f"[[say=inteira]] três {SHORT}", conversation_id=mine)
        assert "compacted" not in answer
        assert LONG in json.dumps(sent(bedrock)[-1]["messages"])
    bedrock.script("[[say=resumo]]")
    assert ask(server, f"[[say=ok]] quatro {SHORT}", conversation_id=mine)["compacted"] is True


def test_files_of_summarised_turns_are_named_and_no_longer_sent(server: RomServer, bedrock: LocalBedrock) -> None:
    """The answer says which, in a stream too; more files have room then, and the owner still sees the old ones."""
    files = [{"name": f"peça {n}.txt", "data": "data:text/plain;base64,UHJpbWVpcm8="} for n in range(4)]
    mine = begun(server, attachments=files)
    bedrock.script("[[say=resumo]]")
    stream = RequestStream(server, message=f"[[say=terceira]] três {SHORT}", conversation_id=mine)
    assert (stream.ended_with, stream.last["compacted"], stream.text) == ("done", True, "terceira")
    (warning,) = stream.last["warnings"]
    assert warning["code"] == "attachments_summarised"
    assert "peca 3 (txt)" in warning["text"]
    answered = sent(bedrock)[-1]["messages"]
    assert "peca 3 (txt)" in answered[0]["content"][0]["text"]
    assert not any("document" in block for message in answered for block in message["content"])
    ask(server, "[[say=ok]] mais", conversation_id=mine, attachments=files)
    assert len(read(server, mine).json()["messages"][0]["attachments"]) == 4
