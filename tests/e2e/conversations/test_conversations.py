"""Conversations that are kept, in a real server with both databases."""

from __future__ import annotations

import itertools
import json

import requests
from e2e.conversing import as_, ask, listed, read, slow_turn, texts, without_marks
from e2e.serving import RomServer, serving

from local_bedrock import LocalBedrock


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
