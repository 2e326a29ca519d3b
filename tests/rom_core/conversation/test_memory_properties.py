"""A memory of what was normalised gives what a fresh look gives, whatever happens between two requests."""

from __future__ import annotations

import copy
from typing import Any

from conversation_properties_support import CACHING, PLAIN, REQUESTS, THOROUGH, valid_requests
from hypothesis import example, given
from hypothesis import strategies as st

from rom_core.conversation import EmptyConversation, Memo, Message, ModelCapabilities, normalise

# Few kinds of blocks, so that what must come together does: ids that meet, media where none may stand, blank texts.
TELLING = st.builds(
    lambda role, content, notes: {"role": role, "content": content, **notes},
    st.sampled_from(["user", "assistant"]),
    st.lists(
        st.sampled_from(
            [
                {"text": "hi"},
                {"text": " "},
                *({"toolUse": {"toolUseId": name, "name": "search", "input": {}}} for name in "ab"),
                *({"toolResult": {"toolUseId": name, "content": [{"text": "found"}]}} for name in "ab"),
                {"image": {"format": "png", "source": {"bytes": b"x"}}},
                {"document": {"format": "pdf", "name": "d", "source": {"bytes": b"x"}}},
                {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
                {"cachePoint": {"type": "default"}},
            ]
        ),
        max_size=3,
    ),
    st.sampled_from([{}, {"_model": "first"}, {"_model": "second"}]),
)
CACHED_TOOLS = {
    "tools": [{"toolSpec": {"name": "search", "inputSchema": {}}}, {"cachePoint": {"type": "default"}}],
}
REASONED: list[Message] = [
    {"role": "user", "content": [{"text": "hi"}]},
    {
        "role": "assistant",
        "content": [{"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}}, {"text": "hi"}],
        "_model": "first",
    },
    {"role": "user", "content": [{"text": "hi"}]},
]
STEPS = st.lists(
    st.one_of(
        st.sampled_from(["the same again", "the other model", "other tools", "no tools", "the last is lost"]),
        st.tuples(st.just("a message more"), TELLING),
        st.tuples(st.just("one is replaced by its equal"), st.integers(0, 9)),
        st.tuples(st.just("one is blanked"), st.integers(0, 9)),
    ),
    max_size=8,
)


@given(
    st.one_of(valid_requests(), REQUESTS, st.builds(lambda m: {"messages": m}, st.lists(TELLING, max_size=6))), STEPS
)
@example(request={"messages": REASONED}, steps=["the other model", "the other model"])
@example(request={"messages": REASONED, "toolConfig": CACHED_TOOLS}, steps=["the other model", "the other model"])
@THOROUGH
def test_a_memory_changes_nothing(request: dict[str, Any], steps: list[Any]) -> None:
    """Whatever a conversation goes through between two requests, the memory gives what a fresh look gives.

    It grows message by message, is asked again as it is, goes to another model and back, loses its closing message,
    gets other tools, and has messages replaced.
    """
    memo = Memo()
    messages: list[Any] = []
    models = [CACHING, PLAIN]

    def ask() -> None:
        nonlocal request
        request = {**request, "messages": list(messages)}
        assert _outcome(request, models[0], memo) == _outcome(request, models[0], None)

    for message in request.get("messages") or ():
        messages.append(message)
        ask()
    for step in steps:
        what, detail = step if isinstance(step, tuple) else (step, None)
        if what == "a message more":
            messages.append(detail)
        elif what == "the other model":
            models.reverse()
        elif what == "other tools":
            request = {**request, "toolConfig": {"tools": [{"toolSpec": {"name": "other", "inputSchema": {}}}]}}
        elif what == "no tools":
            request = {name: value for name, value in request.items() if name != "toolConfig"}
        elif what == "the last is lost":
            del messages[-1:]
        elif detail is not None and detail < len(messages):
            equal = copy.deepcopy(messages[detail])
            messages[detail] = equal if what == "one is replaced by its equal" else {**equal, "content": [{"text": ""}]}
        ask()


def test_a_memory_does_not_take_the_equal_for_the_same() -> None:
    """1 and True are equal to Python and not to the model: a message that was replaced is looked at again."""

    def asked(number: Any) -> list[Message]:
        return [
            {"role": "user", "content": [{"text": "hi"}]},
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "a", "name": "search", "input": {"n": number}}}],
            },
            {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "found"}]}}]},
        ]

    memo = Memo()
    for number in (1, True, 1.0):
        request = {"messages": asked(number)}
        assert _outcome(request, CACHING, memo) == _outcome(request, CACHING, None)


def _outcome(request: dict[str, Any], model: ModelCapabilities, memo: Memo | None) -> Any:
    try:
        return repr(normalise(request, model=model, memo=memo))
    except EmptyConversation:
        return None
