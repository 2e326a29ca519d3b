"""Documents in conversations that are kept, in a real server with both databases."""

from __future__ import annotations

from typing import Any

from e2e.conversing import as_, ask, read
from e2e.serving import RomServer

from local_bedrock import LocalBedrock


def test_documents_come_back_with_their_names_and_bytes(server: RomServer, bedrock: LocalBedrock) -> None:
    """A second file of the same name gets another one, and the first keeps its own."""
    document = {"name": "petição.txt", "media_type": "text/plain"}
    one = {**document, "data": "data:text/plain;base64,UHJpbWVpcm8gdGV4dG8u"}
    two = {**document, "data": "data:text/plain;base64,U2VndW5kbyB0ZXh0by4="}
    mine = ask(server, "[[say=ok]] leia", store=True, attachments=[one])["conversation_id"]
    ask(server, "[[say=ok]] e este", conversation_id=mine, attachments=[two])
    first, second = (
        [
            block["document"]
            for message in request.body["messages"]
            for block in message["content"]
            if "document" in block
        ]
        for request in bedrock.requests[-2:]
    )
    assert second[0] == first[0]
    assert [each["name"] for each in second] == ["peticao", "peticao 2"]
    messages = read(server, mine).json()["messages"]
    assert messages[0]["attachments"] == [{"name": "peticao", "kind": "document", "format": "txt", "bytes": 15}]


def test_documents_that_come_later_are_not_cited_and_the_answer_says_so(
    server: RomServer, bedrock: LocalBedrock
) -> None:
    """A model takes citations on all documents or on none, and refuses a mixture."""
    one, two = ({"name": f"{n}.txt", "data": "data:text/plain;base64,UHJpbWVpcm8gdGV4dG8u"} for n in "ab")
    first = ask(server, "leia", store=True, attachments=[one], citations=True)
    assert first["citations"]
    asked_for, said = read(server, first["conversation_id"]).json()["messages"]
    assert [(each["name"], each["quote"]) for each in said["citations"]] == [("a", first["citations"][0]["quote"])]
    assert (said["text"], asked_for["citations"]) == (first["reply"], [])
    again = ask(server, "[[say=ok]] e?", conversation_id=first["conversation_id"])
    assert "warnings" not in again
    for asked in (True, False):
        answer = ask(server, "e este", conversation_id=first["conversation_id"], attachments=[two], citations=asked)
        assert "citations" not in answer
        assert ["citations_not_possible"] * asked == [each["code"] for each in answer.get("warnings", ())]
    assert not any("citations" in each for each in documents(bedrock.requests[-1].body["messages"]))


def documents(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents in a request."""
    return [block["document"] for message in messages for block in message["content"] if "document" in block]


def test_six_documents_in_one_conversation_are_refused_with_what_to_do(server: RomServer) -> None:
    """The service takes five in a request; the conversation stays usable."""
    files = [{"name": f"{n}.txt", "data": "data:text/plain;base64,UHJpbWVpcm8="} for n in range(4)]
    mine = ask(server, "[[say=ok]] leia", store=True, attachments=files)["conversation_id"]
    refused = server.chat("mais", headers=as_("ana"), conversation_id=mine, attachments=files[:2])
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_documents")
    ask(server, "[[say=ok]] sem anexo", conversation_id=mine)
