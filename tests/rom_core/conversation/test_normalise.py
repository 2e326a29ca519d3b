"""The whole request: what is in order is shared, what is ours stays here, nothing to say is an error."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from conversation_support import MODEL, POINT, assistant, reasoning, result, sent, spec, use, user

from rom_core.conversation import EmptyConversation, normalise


def test_a_valid_request_comes_out_equal_and_shared() -> None:
    """A request in order is not touched, and its blocks are not copied."""
    request: dict[str, Any] = {
        "modelId": "m",
        "messages": [
            user("a"),
            assistant(reasoning(), "b", use("t1", q=[1]), use("t2")),
            user(result("t1", {"json": {"n": 1}}, status="success"), result("t2", "x", status="error"), POINT),
        ],
        "system": [{"text": "s"}, POINT],
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.2, "stopSequences": ["END"]},
        "toolConfig": {"tools": [spec(), POINT], "toolChoice": {"auto": {}}},
    }
    before = deepcopy(request)
    normalised = normalise(request, model=MODEL)
    assert json.dumps(normalised) == json.dumps(request) == json.dumps(before)
    pairs = zip(request["messages"], normalised["messages"], strict=True)
    assert all(
        one is other
        for was, now in pairs
        for one, other in zip(was["content"], now["content"], strict=True)
        if "reasoningContent" not in one and "cachePoint" not in one
    )


def test_our_own_notes_do_not_go_out() -> None:
    """Members that start with an underscore, and those that are None, are not the service's."""
    request = sent(user("a", _trace="x"), _note=1, guardrailConfig=None, performanceConfig={"latency": "standard"})
    assert request == {"messages": [user("a")], "performanceConfig": {"latency": "standard"}}


@pytest.mark.parametrize(
    "given",
    [None, [], [user()], [user(" ")], [assistant(reasoning())], [user(POINT)], ["text"], [None], [{}]],
)
def test_nothing_to_say_is_an_error(given: Any) -> None:
    """A conversation without any content is not sent at all."""
    with pytest.raises(EmptyConversation, match="no message with content"):
        normalise({"messages": given}, model=MODEL)
