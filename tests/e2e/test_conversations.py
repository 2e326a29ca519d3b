"""Conversations that are kept, in a real server with both databases."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.fernet import Fernet
from e2e.conversing import RequestStream, as_, ask, listed, read, settings_of, texts, without_marks
from e2e.serving import BARE, RomServer, serving, until

from local_bedrock import LocalBedrock
from local_bedrock.wire import Connection
from rom_core.settings.keys import content_keys

BOTH = pytest.mark.parametrize("kept", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def _forgetful(bedrock: LocalBedrock) -> None:
    """What other tests asked the model is forgotten."""
    bedrock.reset()


@pytest.fixture(params=["sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, bedrock: LocalBedrock) -> dict[str, str]:
    """Settings with a store of the test's own: SQLite, in both databases where the test says so."""
    settings = settings_of(bedrock) | {"STATE_DIR": str(tmp_path / "state")}
    if request.param == "postgresql":
        settings["STATE_URL"] = request.getfixturevalue("postgres_url")
    return settings


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, bedrock: LocalBedrock) -> Iterator[RomServer]:
    """A server for tests that leave each other alone, with either database."""
    settings = settings_of(bedrock)
    if request.param == "sqlite":
        with serving(**settings) as running:
            yield running
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.database()
    with serving(**settings, STATE_URL=postgres.url(name)) as running:
        yield running
    postgres.drop(name)


def test_a_conversation_goes_on_by_its_id_with_the_same_bytes_before_what_is_new(
    server: RomServer, bedrock: LocalBedrock
) -> None:
    """Tool uses and their results included: every request begins with what the request before it held."""
    first = ask(server, '[[tools=1]] [[tool=prazo_processual]] [[input={"dias":15}]] um', store=True)
    assert first["conversation_id"].startswith("conv_")
    for message in ("dois [[tools=2]] [[reasoning]]", "três"):
        answer = ask(server, message, conversation_id=first["conversation_id"])
        assert answer["conversation_id"] == first["conversation_id"]
    sent = [request.body for request in bedrock.requests]
    assert len(sent) == 6
    for earlier, later in itertools.pairwise(sent):
        before, after = without_marks(earlier), without_marks(later)
        for name in ("system", "toolConfig"):
            assert json.dumps(after[name]) == json.dumps(before[name])
        count = len(before["messages"])
        assert len(after["messages"]) > count
        assert json.dumps(after["messages"][:count]) == json.dumps(before["messages"])


def test_what_a_tool_found_is_there_when_a_conversation_is_read_again(server: RomServer) -> None:
    """The card of the answer, in the same form."""
    given = '{"data":"2026-03-02","evento":"disponibilizacao","dias":15}'
    first = ask(server, f"[[tools=1]] [[tool=prazo_processual]] [[input={given}]] [[say=ok]]", store=True)
    card = first["tool_calls"][0]["card"]
    assert (card["kind"], card["data"]["deadline"]) == ("deadline", "2026-03-24")
    (call,) = read(server, first["conversation_id"]).json()["messages"][1]["tool_calls"]
    assert call["card"] == card


@BOTH
def test_a_conversation_survives_the_process(kept: dict[str, str], bedrock: LocalBedrock) -> None:
    """kill -9 as well: what was acknowledged is there."""
    with serving(**kept) as server:
        begun = ask(server, "[[say=sim]] lembre-se disto", store=True)["conversation_id"]
        server.process.kill()
        server.wait()
    with serving(**kept) as server:
        ask(server, "[[say=claro]] e agora?", conversation_id=begun)
        conversation = read(server, begun).json()
    assert texts(conversation) == [
        ("user", "[[say=sim]] lembre-se disto"),
        ("assistant", "sim"),
        ("user", "[[say=claro]] e agora?"),
        ("assistant", "claro"),
    ]
    assert [each["content"][0]["text"] for each in bedrock.requests[-1].body["messages"]][:2] == [
        "[[say=sim]] lembre-se disto",
        "sim",
    ]


def test_nobody_else_sees_a_conversation_or_learns_that_there_is_one(server: RomServer) -> None:
    """Another key, another user of the same key, a guess: the same answer, for every method and for a turn."""
    mine = ask(server, "[[say=ok]] segredo", store=True, user="u1")["conversation_id"]
    assert read(server, mine, user="u1").status_code == 200
    problems = []
    for who, user, id_ in (("rui", "u1", mine), ("ana", "u2", mine), ("ana", "", mine), ("ana", "u1", "conv_guess")):
        url, params = f"{server.url}/api/conversations/{id_}", {"user": user} if user else {}
        naming = {"conversation_id": id_} | params
        answers = [
            requests.get(url, headers=as_(who), params=params, timeout=60),
            requests.delete(url, headers=as_(who), params=params, timeout=60),
            requests.patch(url, headers=as_(who), json={"title": "x"} | params, timeout=60),
            requests.post(f"{server.url}/api/chat", json={"message": "e?"} | naming, headers=as_(who), timeout=60),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        problems += [answer.json()["detail"].replace(id_, "") for answer in answers]
    assert len(set(problems)) == 1
    assert read(server, mine, user="u1").json()["title"] == "[[say=ok]] segredo"


def test_the_list_is_the_owners_newest_first_in_pages_and_by_words_of_the_title(server: RomServer) -> None:
    """A page ends where the next one begins, also for conversations that change at one moment."""
    ids = [ask(server, f"[[say=ok]] assunto {n}", store=True, user="lista")["conversation_id"] for n in range(5)]
    ask(server, "[[say=ok]] de outra pessoa", "rui", store=True, user="lista")
    ask(server, "[[say=ok]] mais uma vez", conversation_id=ids[0], user="lista")
    seen: list[str] = []
    before: dict[str, str] = {}
    while True:
        page = listed(server, limit=2, user="lista", **before)
        seen += [each["id"] for each in page["conversations"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == [ids[0], *reversed(ids[1:])]
    found = listed(server, q="ASSUNTO 3", user="lista")
    assert [each["id"] for each in found["conversations"]] == [ids[3]]
    assert found["conversations"][0]["turns"] == 1
    bad = requests.get(f"{server.url}/api/conversations?before=x", headers=as_("ana"), timeout=60)
    assert (bad.status_code, bad.json()["error"]["param"]) == (422, "before")


def test_a_conversation_is_renamed_and_erased(server: RomServer) -> None:
    """What is erased is gone for turns as well."""
    mine = ask(server, "[[say=ok]] um", store=True)["conversation_id"]
    url = f"{server.url}/api/conversations/{mine}"
    renamed = requests.patch(url, headers=as_("ana"), json={"title": "  Apelação  da Maria "}, timeout=60)
    assert renamed.json()["title"] == "Apelação da Maria"
    too_long = requests.patch(url, headers=as_("ana"), json={"title": "x" * 61}, timeout=60)
    assert (too_long.status_code, too_long.json()["errors"][0]["name"]) == (422, "title")
    assert requests.delete(url, headers=as_("ana"), timeout=60).status_code == 204
    assert requests.delete(url, headers=as_("ana"), timeout=60).status_code == 404
    assert server.chat("e agora?", headers=as_("ana"), conversation_id=mine).status_code == 404
    assert mine not in [each["id"] for each in listed(server)["conversations"]]


def test_a_second_turn_at_once_is_refused_and_the_first_one_ends_well(server: RomServer, bedrock: LocalBedrock) -> None:
    """409 `conversation_busy`, and right after the first one's end the conversation goes on."""
    mine = ask(server, "[[say=ok]] um", store=True)["conversation_id"]
    with slow_turn(server, bedrock, "[[say=a b c]] [[delay=1]] dois", conversation_id=mine):
        busy = server.chat("três", headers=as_("ana"), conversation_id=mine)
        assert (busy.status_code, busy.json()["code"]) == (409, "conversation_busy")
    ask(server, "[[say=ok]] quatro", conversation_id=mine)
    assert [text for role, text in texts(read(server, mine).json()) if role == "user"] == [
        "[[say=ok]] um",
        "[[say=a b c]] [[delay=1]] dois",
        "[[say=ok]] quatro",
    ]


@BOTH
def test_a_turn_that_breaks_off_is_kept_as_far_as_it_came_and_the_next_one_goes_on(
    kept: dict[str, str], bedrock: LocalBedrock
) -> None:
    """Text that reached the client is kept and marked as cut; without any, the question is kept, marked as failed."""
    with serving(**kept, **BARE) as server:
        mine = ask(server, "[[say=ok]] um", store=True)["conversation_id"]
        broken = RequestStream(server, message="[[length=50]] [[fault=cut]] [[after=3]] dois", conversation_id=mine)
        assert broken.ended_with == "error"
        bedrock.script("[[fault=500]]")
        failed = server.chat("três", headers=as_("ana"), conversation_id=mine)
        assert failed.status_code == 502
        ask(server, "[[say=fim]] quatro", conversation_id=mine)
        messages = read(server, mine).json()["messages"]
    assert [(each["role"], each["state"]) for each in messages] == [
        ("user", "whole"),
        ("assistant", "whole"),
        ("user", "cut"),
        ("assistant", "cut"),
        ("user", "failed"),
        ("user", "whole"),
        ("assistant", "whole"),
    ]
    assert broken.text.strip()
    assert messages[3]["text"] == broken.text.strip()
    sent = bedrock.requests[-1].body["messages"]
    assert broken.text.strip() in json.dumps(sent, ensure_ascii=False)
    assert [each["role"] for each in sent] == ["user", "assistant", "user", "assistant", "user"]


def test_a_turn_that_is_refused_before_it_begins_leaves_nothing(kept: dict[str, str]) -> None:
    """Neither a conversation nor a question: the client asks again."""
    with serving(**kept, MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=0) as server:
        mine = ask(server, "[[say=ok]] um", store=True)["conversation_id"]
        slow = requests.post(
            f"{server.url}/api/chat",
            json={"message": "[[length=20000]] [[delay=0.05]] longo", "stream": True},
            headers=as_("ana"),
            timeout=60,
            stream=True,
        )
        refused = [
            server.chat("dois", headers=as_("ana"), conversation_id=mine),
            server.chat("novo", headers=as_("ana"), store=True),
        ]
        slow.close()
        assert {(each.status_code, each.json()["code"]) for each in refused} == {(503, "queue_full")}
        assert [each["id"] for each in listed(server)["conversations"]] == [mine]
        assert len(read(server, mine).json()["messages"]) == 2


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


@BOTH
def test_content_is_encrypted_with_the_key_of_the_environment(kept: dict[str, str], tmp_path: Path) -> None:
    """Nothing of it is in any file; another key refuses the start, a new one in front of the old one does not."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    with serving(**kept, CONTENT_KEY=old) as server:
        mine = ask(server, "[[say=resposta-marcada]] pergunta-marcada", store=True)["conversation_id"]
        assert all(
            mark not in path.read_bytes()
            for path in (tmp_path / "state").rglob("*")
            if path.is_file()
            for mark in (b"pergunta-marcada", b"resposta-marcada")
        )
    with pytest.raises(AssertionError, match="CONTENT_KEY does not hold"), serving(**kept, CONTENT_KEY=new):
        pass
    with serving(**kept, CONTENT_KEY=f"{new},{old}") as server:
        assert texts(read(server, mine).json())[1] == ("assistant", "resposta-marcada")
        ask(server, "[[say=ok]] mais", conversation_id=mine)
    with pytest.raises(AssertionError, match="CONTENT_KEY does not hold"), serving(**kept, CONTENT_KEY=new):
        pass


def test_when_it_is_erased_a_text_is_in_no_file_also_while_a_turn_runs(
    kept: dict[str, str], tmp_path: Path, bedrock: LocalBedrock
) -> None:
    """Titles, files, summaries and what a running turn has claimed: neither at the 204 nor when that turn has ended.

    Of the folder of the server's state; the good copy never held it. The files of a PostgreSQL are its own.
    """
    file = base64.b64encode(b"arquivo-marcado " * 100).decode()
    attached = [{"name": "marcado.txt", "data": f"data:text/plain;base64,{file}"}]
    with serving(**kept, **ADMIN, CONVERSATION_CONTEXT_SHARE=0.1) as server:
        mine, theirs = (
            ask(server, f"[[say=resposta-marcada]] pergunta-marcada {'x' * 80_000}", store=True, user=user)[
                "conversation_id"
            ]
            for user in ("ana", "maria")
        )
        for user, conversation_id in (("ana", mine), ("maria", theirs)):
            bedrock.script("[[say=resumo-marcado]]")
            more = {"conversation_id": conversation_id, "user": user, "attachments": attached}
            assert ask(server, "[[say=ok]] e isto?", **more)["compacted"] is True
        url = f"{server.url}/api/conversations/{mine}"
        titled = {"title": "título-marcado", "user": "ana"}
        assert requests.patch(url, headers=as_("ana"), json=titled, timeout=60).status_code == 200
        texts_kept = (b"pergunta-marcada", b"arquivo-marcado", b"resumo-marcado", "título-marcado".encode())
        assert all(any(text in each for each in contents(tmp_path)) for text in texts_kept)
        marked = "[[say=segunda-marcada a b]] [[delay=1]] mais-marcada"
        with slow_turn(server, bedrock, marked, conversation_id=mine, user="ana"):
            assert requests.delete(url, headers=as_("ana"), params={"user": "ana"}, timeout=60).status_code == 204
        with slow_turn(server, bedrock, marked, conversation_id=theirs, user="maria"):
            done = rom(server, "erase", "--user", "maria", "--yes", "--reason", "art. 18")
            assert done.stdout.strip() == "1 conversations erased, none left", done
            assert not any(b"-marcad" in each for each in contents(tmp_path))
        assert not any(b"-marcad" in each for each in contents(tmp_path))


@contextmanager
def slow_turn(server: RomServer, bedrock: LocalBedrock, message: str, **body: Any) -> Iterator[None]:
    """A turn that runs until this ends, and then ends well; the delays of `message` take as long as that."""
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(server.chat(message, headers=as_("ana"), **body)))
    before, go_on = len(bedrock.requests), threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "wait", lambda *_: go_on.wait(60))
        thread.start()
        try:
            assert until(lambda: len(bedrock.requests) > before)
            yield
            assert not answers
        finally:
            go_on.set()
            thread.join(60)
    assert answers[0].status_code == 200


def contents(tmp_path: Path) -> list[bytes]:
    """Of every file in the state folder."""
    return [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]


def test_switched_off_it_says_so_and_other_ids_are_echoed_as_ever(kept: dict[str, str]) -> None:
    """404 `plugin_disabled` for what needs it; a client's own conversation_id needs nothing."""
    with serving(**kept, CONVERSATIONS_ENABLED=False) as server:
        for body in ({"store": True}, {"conversation_id": "conv_1"}):
            refused = server.chat("um", headers=as_("ana"), **body)
            assert (refused.status_code, refused.json()["code"]) == (404, "plugin_disabled")
        assert requests.get(f"{server.url}/api/conversations", headers=as_("ana"), timeout=60).status_code == 404
        assert ask(server, "[[say=ok]] um", conversation_id="mine-1")["conversation_id"] == "mine-1"


def test_what_contradicts_itself_is_refused_with_every_problem(server: RomServer) -> None:
    """Two pasts at once, an id of one's own for a kept conversation, not keeping what is kept."""
    past = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for body, names in (
        ({"conversation_id": "conv_1", "messages": past}, {"messages"}),
        ({"conversation_id": "mine", "store": True}, {"conversation_id"}),
        ({"conversation_id": "conv_1", "store": False, "messages": past}, {"store", "messages"}),
        ({"store": "yes"}, {"store"}),
    ):
        refused = server.chat("um", headers=as_("ana"), **body)
        assert refused.status_code == 422
        assert {each["name"] for each in refused.json()["errors"]} == names


def test_a_name_or_an_id_that_a_database_refuses_is_no_fault_of_the_store(server: RomServer) -> None:
    """A NUL in `user` is 422, in an id 404; neither is 503."""
    refused = server.chat("um", headers=as_("ana"), store=True, user="a\0b")
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "user")
    assert read(server, "conv_%00").status_code == 404
    assert read(server, "conv_1", user="a\0").status_code == 422


def test_earlier_messages_may_come_along_when_a_conversation_begins(server: RomServer, bedrock: LocalBedrock) -> None:
    """They are kept with it."""
    past = [{"role": "user", "content": "meu nome é Ana"}, {"role": "assistant", "content": "olá, Ana"}]
    mine = ask(server, "[[say=ok]] um", store=True, messages=past)["conversation_id"]
    ask(server, "[[say=ok]] dois", conversation_id=mine)
    assert [each["content"][0]["text"] for each in bedrock.requests[-1].body["messages"]][:2] == [
        "meu nome é Ana",
        "olá, Ana",
    ]


def test_a_clients_own_tool_goes_on_in_a_kept_conversation(server: RomServer, bedrock: LocalBedrock) -> None:
    """Its result is all that is sent: the question before it comes from the store."""
    tools = [{"name": "buscar", "description": "busca", "input_schema": {"type": "object"}}]
    asked = ask(server, "[[tool=buscar]] [[tools=1]] procure", store=True, tools=tools)
    (use,) = asked["tool_uses"]
    url = f"{server.url}/api/chat"
    body = {
        "conversation_id": asked["conversation_id"],
        "tools": tools,
        "messages": [{"role": "user", "tool_results": [{"id": use["id"], "content": "achei"}]}],
    }
    answer = requests.post(url, json=body, headers=as_("ana"), timeout=60)
    assert answer.status_code == 200, answer.text
    kinds = [next(iter(each["content"][0])) for each in bedrock.requests[-1].body["messages"]]
    assert kinds == ["text", "toolUse", "toolResult"]


ADMIN = {"ADMIN_TOKEN": "ops=token-of-the-operator"}


def rom(server: RomServer, *words: str) -> subprocess.CompletedProcess[str]:
    """`rom conversations …` against a server, with its admin token."""
    environ = {"PATH": os.environ["PATH"], "ROM_URL": server.url, "ROM_ADMIN_TOKEN": "token-of-the-operator"}
    command = [sys.executable, "-m", "rom_core", "conversations", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@BOTH
def test_everything_of_a_person_is_exported_and_erased(kept: dict[str, str], tmp_path: Path) -> None:
    """Under whichever key it was said, files included, and nothing of anybody else's; both are in the log."""
    file = {"name": "um.txt", "data": "data:text/plain;base64," + base64.b64encode(b"texto do arquivo " * 100).decode()}
    with serving(**kept, **ADMIN) as server:
        ask(server, "[[say=ok]] primeiro", store=True, user="maria", attachments=[file])
        ask(server, "[[say=ok]] segundo", "rui", store=True, user="maria")
        other = ask(server, "[[say=ok]] de outro", store=True, user="joão")["conversation_id"]
        output = tmp_path / "maria.json"
        done = rom(server, "export", "--user", "maria", "--output", str(output))
        assert (done.returncode, done.stdout.startswith("2 conversations with 2 turns")) == (0, True), done
        assert output.stat().st_mode & 0o077 == 0
        exported = json.loads(output.read_text())["conversations"]
        assert [each["key_name"] for each in exported] == ["ana", "rui"]
        (content,) = exported[0]["turns"][0]["files"].values()
        assert base64.b64decode(content) == b"texto do arquivo " * 100
        assert "segundo" in json.dumps(exported[1]["turns"][0]["messages"])
        again = rom(server, "export", "--user", "maria", "--output", str(output))
        assert (again.returncode, "is there already" in again.stderr) == (1, True)
        one = rom(server, "erase", "--user", "maria", "--key-name", "rui", "--yes", "--reason", "art. 18")
        assert one.stdout.startswith("1 conversations erased"), one
        done = rom(server, "erase", "--user", "maria", "--yes", "--reason", "art. 18")
        assert (done.returncode, done.stdout.strip()) == (0, "1 conversations erased, none left")
        assert listed(server, user="maria")["conversations"] == []
        assert read(server, other, user="joão").status_code == 200
    assert [(line["by"], line["why"]) for line in server.events("conversations.erased")] == [("ops", "art. 18")] * 2
    assert len(server.events("conversation.exported")) == 2
    assert not any("primeiro" in line or "maria" in line for line in server.lines)


def test_a_key_of_ones_own_does_not_open_the_admin_routes(kept: dict[str, str]) -> None:
    """Everything of a person is for administrators."""
    with serving(**kept, **ADMIN) as server:
        for path in ("/admin/conversations?user=maria", "/admin/conversations/conv_1"):
            assert requests.get(server.url + path, headers=as_("ana"), timeout=60).status_code == 401


def test_a_new_key_is_one_that_the_server_takes() -> None:
    """And `rom conversations new-key` asks no server."""
    command = [sys.executable, "-m", "rom_core", "conversations", "new-key"]
    key = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    assert content_keys(key) == [key]
