"""Conversations of every kind, for properties that hold of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rom_core.conversation import Block, Message, ModelCapabilities
from rom_core.conversation.values import clean_text

CACHING = ModelCapabilities(max_tokens=4096, prompt_caching=True, alias="first")
PLAIN = ModelCapabilities(max_tokens=512, alias="second", temperature_with_top_p=True)
MODELS = st.sampled_from([CACHING, PLAIN])
THOROUGH = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


BLANKS = st.sampled_from(["", " ", "\n", "\u2003", "\t "])
CHARACTERS = st.characters(codec=None)
SURROGATES = st.sampled_from(["\ud800", "a\udfff", "\ud83d\ude00", "\ude00\ud83d"])
TEXTS = st.one_of(st.text(CHARACTERS, max_size=8), BLANKS, SURROGATES, st.sampled_from(["hi", "é"]))
WORDS = st.text("abcé ", min_size=1, max_size=8).filter(str.strip)
IDS = st.one_of(st.sampled_from(["a", "b", "a-2", "a b", "a_b", "", "tool", "x" * 64, "x" * 70, None, 5]), TEXTS)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.binary(max_size=3),
    st.sampled_from([2**4000, Decimal("sNaN"), object()]),
    TEXTS,
)
KEYS = st.one_of(TEXTS, st.integers(), st.none(), st.booleans())
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.frozensets(st.one_of(st.integers(), st.text(max_size=3)), max_size=3),
    ),
    max_leaves=6,
)
# Values of kinds that JSON, Python or botocore tell apart, where another kind is wanted.
WRONG = st.sampled_from([5, True, 0.5, Decimal("0.5"), "text", b"x", ["text"], ("text",), {"text": "text"}, [b"x"]])
CUT_JSON = st.sampled_from(['{"q": "unfin', '{"q": 1}', "[1]", "", "null", "NaN"])


def mostly(good: st.SearchStrategy[Any], *others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """About nine times of ten `good`, else one of the others; `one_of` would not count it nine times."""
    return st.integers(0, 9).flatmap(lambda number: st.one_of(*others) if number == 9 else good)


def optional(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Dicts of which any member may be missing, and some are junk."""
    return st.fixed_dictionaries({}, optional={name: mostly(good, WRONG, JUNK) for name, good in members.items()})


POINTS = st.sampled_from(
    [{"cachePoint": point} for point in ({"type": "default"}, {"type": "default", "ttl": "1h"}, {"type": "x"}, None)]
)
SOURCES = st.one_of(
    optional(bytes=st.binary(max_size=2), s3Location=optional(uri=st.sampled_from(["s3://abc/d", "http://x"]))),
    st.just({"bytes": b"x"}),
)
IMAGES = st.builds(lambda value: {"image": value}, optional(format=st.sampled_from(["png", "bmp"]), source=SOURCES))
DOCUMENTS = st.builds(
    lambda value: {"document": value}, optional(format=st.sampled_from(["pdf", "x"]), name=TEXTS, source=SOURCES)
)
RESULT_CONTENT = st.one_of(
    st.builds(lambda text: {"text": text}, TEXTS),
    st.builds(lambda value: {"json": value}, JUNK),
    IMAGES,
    DOCUMENTS,
    JUNK,
)
BLOCKS = st.one_of(
    st.builds(lambda text: {"text": text}, TEXTS),
    st.builds(
        lambda use: {"toolUse": use},
        optional(toolUseId=IDS, name=IDS, input=st.one_of(st.dictionaries(st.text(max_size=3), JUNK), CUT_JSON)),
    ),
    st.builds(
        lambda result: {"toolResult": result},
        optional(
            toolUseId=IDS,
            content=st.lists(RESULT_CONTENT, max_size=3),
            status=st.sampled_from(["success", "error", "failed"]),
        ),
    ),
    st.builds(
        lambda text: {"reasoningContent": text},
        optional(reasoningText=optional(text=TEXTS, signature=TEXTS), redactedContent=st.binary(max_size=2)),
    ),
    st.builds(lambda value: {"guardContent": value}, optional(text=optional(text=TEXTS, qualifiers=JUNK), image=JUNK)),
    st.builds(
        lambda kind, value: {kind: value}, st.sampled_from(["audio", "searchResult", "citationsContent", "x"]), JUNK
    ),
    POINTS,
    IMAGES,
    DOCUMENTS,
    JUNK,
)
HISTORIES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "assistant", "user", "system", None])},
        optional={
            "content": st.one_of(st.lists(BLOCKS, max_size=4), TEXTS, JUNK),
            "_model": st.sampled_from(["first", "second"]),
        },
    ),
    max_size=8,
)
SPECS = st.builds(
    lambda value: {"toolSpec": value},
    optional(name=IDS, description=TEXTS, inputSchema=optional(json=JUNK), strict=st.booleans()),
)
REQUESTS = st.fixed_dictionaries(
    {"messages": HISTORIES},
    optional={
        "system": st.one_of(st.lists(st.one_of(st.builds(lambda text: {"text": text}, TEXTS), POINTS, JUNK)), JUNK),
        "toolConfig": optional(
            tools=st.lists(st.one_of(SPECS, POINTS, JUNK), max_size=4),
            toolChoice=optional(auto=st.just({}), any=st.just({}), tool=optional(name=IDS)),
        ),
        "inferenceConfig": optional(
            maxTokens=st.integers(), temperature=st.floats(), topP=st.floats(), stopSequences=st.lists(TEXTS), topK=JUNK
        ),
        "additionalModelRequestFields": JUNK,
        "_note": JUNK,
    },
)


@st.composite
def valid_requests(draw: st.DrawFn) -> dict[str, Any]:
    """Requests that keep every rule: whole tool rounds, texts that say something, ids that are unique."""
    number = iter(range(1000))
    blocks = st.lists(st.builds(lambda text: {"text": text}, WORDS), min_size=1, max_size=2)
    values = st.dictionaries(WORDS, st.recursive(st.one_of(st.none(), st.integers(), WORDS), st.lists, max_leaves=3))
    messages: list[Message] = [{"role": "user", "content": draw(blocks)}]
    for _ in range(draw(st.integers(0, 4))):
        calls = [f"call-{next(number)}" for _ in range(draw(st.integers(0, 2)))]
        uses = [{"toolUse": {"toolUseId": call, "name": "search", "input": draw(values)}} for call in calls]
        messages.append({"role": "assistant", "content": draw(blocks) + uses})
        results: list[Block] = [
            {"toolResult": {"toolUseId": call, "content": [{"json": draw(values)}], "status": "success"}}
            for call in calls
        ]
        messages.append({"role": "user", "content": results or draw(blocks)})
    tool = {"toolSpec": {"name": "search", "description": "s", "inputSchema": {"json": {"type": "object"}}}}
    return {"messages": messages, "system": draw(blocks), "toolConfig": {"tools": [tool]}}


def user_texts(messages: list[Any]) -> Iterator[str]:
    """The texts that users wrote, as plain blocks or as plain content."""
    for message in messages:
        content = message.get("content")
        if message["role"] == "assistant":
            continue
        if isinstance(content, str):
            yield content
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict) and isinstance(block.get("text"), str):
                yield block["text"]


def sent_texts(messages: list[Message]) -> Iterator[str]:
    """The texts of users' messages as they go out, on their own or inside a tool result."""
    for message in messages:
        for block in message["content"] if message["role"] == "user" else ():
            inside = block["toolResult"]["content"] if "toolResult" in block else [block]
            yield from (item["text"] for item in inside if "text" in item)


def said(messages: list[Any]) -> Counter[str]:
    """What users said, each text as often as it was said, blank ones left out."""
    return Counter(text for text in map(clean_text, user_texts(messages)) if text.strip())
