"""Whatever a conversation went through, the normalised request is accepted, by rules that others wrote down."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from conversation_properties_support import (
    CACHING,
    IDS,
    JUNK,
    MODELS,
    PLAIN,
    REQUESTS,
    TEXTS,
    THOROUGH,
    WORDS,
    said,
    sent_texts,
    valid_requests,
)
from conversation_support import assert_accepted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rom_core.conversation import Block, EmptyConversation, Message, ModelCapabilities, normalise
from rom_core.conversation.values import document


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
