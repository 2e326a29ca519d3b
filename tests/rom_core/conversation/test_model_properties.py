"""Whatever a conversation went through, no model of the local Bedrock refuses what the normaliser sends it."""

from __future__ import annotations

from typing import Any

import pytest
from conversation_support import as_body
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_bedrock.models import KNOWN_MODELS, ModelInfo
from local_bedrock.reasoning import signature
from local_bedrock.validation import validate
from rom_core.conversation import EmptyConversation, Message, ModelCapabilities, normalise, written_by

OWN, OTHER = "own", "other"
SYSTEM = [{"text": "You answer."}]
TOOLS = [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]
BEGINNING = {"system": SYSTEM, "toolConfig": {"tools": TOOLS}}
# One of each kind: always thinking, never between tools only, adaptive or off, both settings, budget or off, no media.
KINDS = (
    "anthropic.claude-sonnet-5-5",
    "anthropic.claude-opus-5-5",
    "anthropic.claude-haiku-5-5",
    "anthropic.claude-sonnet-4-6",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "amazon.nova-micro-v1:0",
)
MODELS = {model.model_id: model for model in KNOWN_MODELS if model.model_id in KINDS}

BLOCKS = st.one_of(
    st.sampled_from(["said", " ", ""]).map(lambda text: {"text": text}),
    st.sampled_from("abc").map(lambda name: {"toolUse": {"toolUseId": name, "name": "look", "input": {}}}),
    st.sampled_from(["shown", "hidden", "redacted", "unsigned"]).map(lambda kind: {"reasoning": kind}),
    st.just({"cachePoint": {"type": "default"}}),
)
ANSWERS = st.tuples(st.sampled_from([OWN, OTHER]), st.lists(BLOCKS, max_size=5))
IMAGE = {"image": {"format": "png", "source": {"bytes": b"PNG"}}}
DOCUMENT = {"document": {"name": "a", "format": "pdf", "source": {"bytes": b"PDF"}}}
QUESTIONS = st.lists(
    st.one_of(
        st.sampled_from(["asked", ""]).map(lambda text: {"text": text}),
        st.sampled_from("abc").map(lambda n: {"toolResult": {"toolUseId": n, "content": [{"text": "found"}]}}),
        st.sampled_from([IMAGE, DOCUMENT, {"toolResult": {"toolUseId": "a", "content": [IMAGE, DOCUMENT]}}]),
    ),
    max_size=3,
)
THINKING = st.fixed_dictionaries(
    {"type": st.sampled_from(["enabled", "disabled", "adaptive", "between_tools"])},
    optional={"budget_tokens": st.sampled_from([1024, 5000])},
)
SCHEMA = '{"type": "object", "properties": {}, "additionalProperties": false}'
FORMAT = {"type": "json_schema", "structure": {"jsonSchema": {"schema": SCHEMA}}}
REQUESTS = st.fixed_dictionaries(
    {"messages": st.lists(st.one_of(ANSWERS, QUESTIONS), max_size=7)},
    optional={
        "inferenceConfig": st.fixed_dictionaries(
            {},
            optional={
                "temperature": st.sampled_from([0, 0.5, 1]),
                "topP": st.sampled_from([0.5, 0.99]),
                "maxTokens": st.sampled_from([1, 2000, 9000]),
            },
        ),
        "additionalModelRequestFields": st.fixed_dictionaries(
            {}, optional={"thinking": THINKING, "temperature": st.just(1), "top_p": st.just(1), "top_k": st.just(5)}
        ),
        "outputConfig": st.sampled_from(
            [{"effort": "low"}, {"effort": "", "textFormat": FORMAT}, {"textFormat": FORMAT}]
        ),
        "toolChoice": st.sampled_from([{"auto": {}}, {"any": {}}, {"tool": {"name": "look"}}]),
    },
)


def capabilities(model: ModelInfo) -> ModelCapabilities:
    """What a row of MODELS would say of this model."""
    thinking = model.thinking or ()
    kind = "none"
    if thinking:
        kind = "budget" if "adaptive" not in thinking else "adaptive" if "disabled" in thinking else "always"
    return ModelCapabilities(
        max_tokens=model.max_tokens,
        prompt_caching=model.cache_minimum is not None,
        alias=OWN,
        sampling=model.sampling,
        forced_tool_choice=model.forced_tool_choice,
        thinking=kind,
        thinking_between_tools="between_tools" in thinking,
        prefill=model.prefill,
        structured_output=model.structured_output,
        documents=model.documents,
        images=model.images,
    )


def conversation(model: ModelInfo, messages: list[Any]) -> list[Message]:
    """The messages with reasoning as this model, or another one, would have signed it."""
    made: list[Message] = []
    for message in messages:
        if isinstance(message, tuple):
            writer, content = message
            author = model if writer == OWN else next(one for one in KNOWN_MODELS if one is not model)
            made.append(written_by(writer, [signed(author, block) for block in content]))
        else:
            made.append({"role": "user", "content": message})
    return made


def signed(author: ModelInfo, block: dict[str, Any]) -> dict[str, Any]:
    """A block as its author wrote it."""
    kind = block.get("reasoning")
    if kind is None:
        return block
    if kind == "redacted":
        return {"reasoningContent": {"redactedContent": b"secret"}}
    text = {"text": "" if kind == "hidden" else "hm"}
    if kind != "unsigned":
        text["signature"] = signature(author, BEGINNING, "hm")
    return {"reasoningContent": {"reasoningText": text}}


@pytest.mark.parametrize("model_id", MODELS)
@given(request=REQUESTS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_sequence_makes_a_request_that_the_model_refuses(model_id: str, request: dict[str, Any]) -> None:
    """Own and foreign reasoning in any order, any thinking setting, sampling and tool choice."""
    model = MODELS[model_id]
    choice = request.pop("toolChoice", None)
    tool_config: dict[str, Any] = {"tools": TOOLS, **({"toolChoice": choice} if choice else {})}
    asked = {**request, **BEGINNING, "toolConfig": tool_config}
    request["toolChoice"] = choice
    asked.pop("toolChoice", None)
    asked["messages"] = conversation(model, request["messages"])
    try:
        sent = normalise(asked, model=capabilities(model))
    except EmptyConversation:
        return
    refusal = validate(f"global.{model_id}", "ConverseStream", as_body(sent), KNOWN_MODELS)
    assert refusal is None
    assert normalise(sent, model=capabilities(model)) == sent


@pytest.mark.parametrize("model_id", MODELS)
@given(
    content=st.lists(
        st.one_of(
            st.just({"text": "said"}),
            st.sampled_from(["shown", "hidden", "redacted"]).map(lambda kind: {"reasoning": kind}),
        ),
        max_size=4,
    ),
    uses=st.integers(0, 2),
)
@settings(max_examples=50, deadline=None)
def test_what_this_model_may_have_said_goes_back_as_it_came(
    model_id: str, content: list[dict[str, Any]], uses: int
) -> None:
    """Reasoning first, an answer or tool uses last: not a byte of it is changed."""
    model = MODELS[model_id]
    tools: list[dict[str, Any]] = [
        {"toolUse": {"toolUseId": f"t{number}", "name": "look", "input": {}}} for number in range(uses)
    ]
    whole = [signed(model, block) for block in ({"reasoning": "hidden"}, *content)] + (tools or [{"text": "so"}])
    results: list[Any] = [
        {"toolResult": {"toolUseId": f"t{number}", "content": [{"text": "found"}]}} for number in range(uses)
    ]
    messages = [
        {"role": "user", "content": [{"text": "asked"}]},
        written_by(OWN, whole),
        {"role": "user", "content": results or [{"text": "next"}]},
    ]
    sent = normalise({"messages": messages, **BEGINNING}, model=capabilities(model))
    assert sent["messages"][1]["content"] == whole
