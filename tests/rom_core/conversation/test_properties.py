"""Whatever a conversation went through, the normalised request is accepted, by rules that others wrote down."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from conversation_support import assert_accepted
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rom_core.conversation import Block, EmptyConversation, Memo, Message, ModelCapabilities, normalise
from rom_core.conversation.values import clean_text, document

CACHING = ModelCapabilities(max_tokens=4096, prompt_caching=True, alias="first")
PLAIN = ModelCapabilities(max_tokens=512, alias="second", temperature_with_top_p=True)
MODELS = st.sampled_from([CACHING, PLAIN])
THOROUGH = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


# -- strategies ------------------------------------------------------------------------------------------------------

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


# -- properties ------------------------------------------------------------------------------------------------------


@given(REQUESTS, MODELS)
@THOROUGH
def test_anything_becomes_acceptable(request: dict[str, Any], model: ModelCapabilities) -> None:
    """The service accepts what comes out, no user text is lost, a second pass changes nothing."""
    try:
        normalised = normalise(request, model=model)
    except EmptyConversation:
        assert not said(request["messages"])
        return
    assert_accepted(normalised)
    assert said(request["messages"]) <= Counter(sent_texts(normalised["messages"]))
    again = normalise(normalised, model=model)
    assert again == normalised
    assert repr(again) == repr(normalised)


@given(REQUESTS, MODELS)
@THOROUGH
def test_the_input_is_not_changed(request: dict[str, Any], model: ModelCapabilities) -> None:
    """Messages are the turn's own, shared by all its attempts: normalising one request leaves them alone."""
    before = repr(request)
    try:
        normalised = normalise(request, model=model)
    except EmptyConversation:
        assert repr(request) == before
        return
    for message in normalised["messages"]:
        message["content"].append({"text": "later"})
    assert repr(request) == before


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


@given(valid_requests(), MODELS)
@THOROUGH
def test_a_valid_request_is_not_touched(request: dict[str, Any], model: ModelCapabilities) -> None:
    """What keeps the rules goes out byte for byte as it came."""
    assert_accepted(request)
    assert json.dumps(normalise(request, model=model)) == json.dumps(request)


@given(JUNK)
@THOROUGH
def test_documents_are_json_and_stay_so(value: Any) -> None:
    """Every value becomes JSON that Bedrock reads, and is then left alone."""
    safe = document(value)
    json.dumps(safe, allow_nan=False, ensure_ascii=False).encode()
    assert document(safe) is safe


class LongConversation(RuleBasedStateMachine):
    """Turns as they happen: replies, cut replies, tools that fail, fallbacks, lost messages. Always sendable."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.calls = 0

    @initialize(text=WORDS)
    def begin(self, text: str) -> None:
        self.messages.append({"role": "user", "content": [{"text": text}]})

    @rule(text=TEXTS)
    def person_writes(self, text: str) -> None:
        self.messages.append({"role": "user", "content": [{"text": text}]})

    @rule(text=TEXTS, model=st.sampled_from(["first", "second"]), reasons=st.booleans())
    def model_answers(self, text: str, model: str, reasons: bool) -> None:
        thought = {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}}
        content = [thought, {"text": text}] if reasons else [{"text": text}]
        self.messages.append({"role": "assistant", "content": content, "_model": model})

    @rule(text=TEXTS, names=st.lists(IDS, min_size=1, max_size=3), reused=st.booleans(), cut=st.booleans())
    def model_asks_for_tools(self, text: str, names: list[Any], reused: bool, cut: bool) -> None:
        uses: list[Block] = []
        for name in names:
            self.calls += not reused
            uses.append({"toolUse": {"toolUseId": f"call-{self.calls}", "name": name, "input": {"q": 1}}})
        if cut:
            uses[-1]["toolUse"]["input"] = '{"q": "unfin'
        self.messages.append({"role": "assistant", "content": [{"text": text}, *uses], "_model": "first"})

    @rule(
        failing=st.lists(st.sampled_from(["ok", "error", "missing", "twice"]), max_size=4),
        value=JUNK,
        warn=st.booleans(),
    )
    def tools_answer(self, failing: list[str], value: Any, warn: bool) -> None:
        last = self.messages[-1]["content"] if self.messages else []
        uses = [block["toolUse"] for block in last if "toolUse" in block]
        content: list[Block] = []
        for use, how in zip(uses, [*failing, *["ok"] * len(uses)], strict=False):
            block = {"toolUseId": use["toolUseId"], "content": [{"json": value}], "status": "success"}
            if how == "error":
                block.update(content=[{"text": ""}], status="error")
            content += [{"toolResult": block}] * {"missing": 0, "twice": 2}.get(how, 1)
        if warn:
            content.append({"text": "few iterations left"})
        self.messages.append({"role": "user", "content": content})

    @rule(count=st.integers(1, 3))
    def history_is_cut(self, count: int) -> None:
        self.messages = self.messages[count:]

    @rule(index=st.integers(0, 20))
    def a_message_is_lost(self, index: int) -> None:
        if index < len(self.messages):
            del self.messages[index]

    @rule(index=st.integers(0, 20))
    def a_guardrail_blanks_a_message(self, index: int) -> None:
        if index < len(self.messages):
            self.messages[index] = {**self.messages[index], "content": [{"text": ""}]}

    @invariant()
    def can_be_sent(self) -> None:
        """Both models accept the conversation as it is now, tools withheld."""
        before = repr(self.messages)
        for model in (CACHING, PLAIN):
            try:
                request = normalise({"messages": self.messages}, model=model)
            except EmptyConversation:
                assert not said(self.messages)
                continue
            assert_accepted(request)
            assert normalise(request, model=model) == request
            assert said(self.messages) <= Counter(sent_texts(request["messages"]))
        assert repr(self.messages) == before


LongConversation.TestCase.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLongConversation = LongConversation.TestCase
