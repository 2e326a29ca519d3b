"""Cache points: at most four, after something that can be cached, for models that know them."""

from __future__ import annotations

import json
from typing import Any

from conversation_support import POINT, assistant, messages, reasoning, sent, spec, user

from rom_core.conversation import Block, ModelCapabilities, place_cache_points


def test_at_most_four_cache_points() -> None:
    """The oldest points of messages go first, then those of system, then those of tools."""
    history = [user("a", POINT), assistant("b", POINT), user("c", POINT), assistant("d", POINT), user("e", POINT)]
    tools = {"tools": [spec(), POINT]}
    request = sent(*history, system=[{"text": "s"}, POINT], toolConfig=tools)
    assert [POINT in message["content"] for message in request["messages"]] == [False, False, False, True, True]
    assert POINT in request["system"]
    assert POINT in request["toolConfig"]["tools"]
    many = [part for number in range(4) for part in ({"text": f"s{number}"}, POINT)]
    request = sent(user("a", POINT), system=many, toolConfig=tools)
    assert request["messages"] == [user("a")]
    assert request["system"] == [{"text": "s0"}, *many[2:]]
    assert request["toolConfig"] == tools


def test_several_points_of_one_message_may_be_too_many() -> None:
    """Of one message's points the first ones go, and nothing else of it."""
    points = user("a", POINT, "b", POINT, "c", POINT, "d", POINT, "e", POINT, "f", POINT)
    assert messages(points) == [user("a", "b", "c", POINT, "d", POINT, "e", POINT, "f", POINT)]


def test_cache_points_stand_after_something() -> None:
    """No point comes first, directly after another, or after reasoning."""
    given = [user(POINT, "a", POINT, {"text": " "}, POINT), assistant(reasoning(), POINT, "b"), user("c")]
    assert messages(*given) == [user("a", POINT), assistant(reasoning(), "b"), user("c")]


def test_a_point_follows_a_pdf_and_no_other_document() -> None:
    """Bedrock refuses one directly behind a document that it turns into text."""
    text: Block = {"document": {"name": "d", "format": "txt", "source": {"bytes": b"x"}}}
    pdf: Block = {"document": {"name": "e", "format": "pdf", "source": {"bytes": b"x"}}}
    for document, moving in ((text, False), (pdf, True)):
        request: dict[str, Any] = {"messages": [user("a", document)]}
        place_cache_points(request, static="", moving=True)
        assert (request["messages"][0]["content"][-1] == POINT) is moving


def test_no_cache_points_for_a_model_without_caching() -> None:
    """A fallback model that knows no prompt caching refuses cache points: all go."""
    request = sent(
        user("a", POINT),
        system=[{"text": "s"}, POINT],
        toolConfig={"tools": [spec(), POINT]},
        model=ModelCapabilities(max_tokens=100),
    )
    assert "cachePoint" not in json.dumps(request)


def test_longer_cache_lives_come_first() -> None:
    """A point of one hour may not follow one of five minutes in the order tools, system, messages."""
    hour: Block = {"cachePoint": {"type": "default", "ttl": "1h"}}
    request = sent(user("a", hour), system=[{"text": "s"}, POINT], toolConfig={"tools": [spec(), hour]})
    assert request["toolConfig"]["tools"][1] == hour
    assert request["messages"][0]["content"][1] == {"cachePoint": {"type": "default", "ttl": "5m"}}
