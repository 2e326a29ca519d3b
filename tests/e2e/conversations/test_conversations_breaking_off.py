"""What a kept conversation is left with when its process is killed, or a turn breaks off or is refused."""

from __future__ import annotations

import json

import requests
from e2e.conversing import BOTH, RequestStream, as_, ask, listed, read, texts
from e2e.serving import BARE, serving

from local_bedrock import LocalBedrock


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
