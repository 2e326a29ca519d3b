"""The conversation normaliser: whatever happened before, Bedrock accepts what comes out of here.

Models cut tool calls short, tools return NaN, guardrails blank texts, plugins and clients add messages. Each broken
rule is a ValidationException that poisons the conversation for good, so the request is put in order before every
attempt. Content that may not stand where it is moves or becomes text.

The modules: `values` (texts, names, JSON documents), `media` and `blocks` (one content block), `exchange` (roles and
tool pairs), `options` (system, inference, tools), `reasoning` (extended thinking), `citations`, `cache_points`. The
other way, from a model to a person, is `citing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rom_core.conversation.attached import fit_media
from rom_core.conversation.cache_points import has_cache_point, limit_cache_points, place_cache_points
from rom_core.conversation.citations import asks_for_citations, fit_citations
from rom_core.conversation.exchange import Memo, exchange, identify, tool_names
from rom_core.conversation.model import (
    Block,
    EmptyConversation,
    Message,
    ModelCapabilities,
    author,
    claimed_by,
    written_by,
)
from rom_core.conversation.options import (
    clean_fields,
    clean_inference,
    clean_output,
    clean_system,
    clean_tools,
)
from rom_core.conversation.reasoning import fit_reasoning, fit_sampling, speaks_of_signature, without_reasoning
from rom_core.conversation.values import clean_name

NORMALISED: Final = frozenset(
    ("messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "outputConfig")
)
"""The arguments of `converse_stream` that come out of `normalise` as Bedrock accepts them, whatever they were."""

__all__ = [
    "NORMALISED",
    "Block",
    "EmptyConversation",
    "Memo",
    "Message",
    "ModelCapabilities",
    "author",
    "claimed_by",
    "clean_name",
    "has_cache_point",
    "identify",
    "left_out",
    "normalise",
    "place_cache_points",
    "speaks_of_signature",
    "without_reasoning",
    "written_by",
]


def normalise(request: Mapping[str, Any], *, model: ModelCapabilities, memo: Memo | None = None) -> dict[str, Any]:
    """A Converse request that Bedrock accepts from this model, with all that could be kept of `request`.

    `request` holds the arguments of `converse_stream`, with or without modelId. It is not changed; what needed no
    change is shared with the result, so neither may be changed afterwards. A normalised request comes out equal.
    Members other than those of NORMALISED pass as they are, unless they are None or our own notes (leading underscore).

    A `memo`, kept by the caller from one request of a growing conversation to the next, saves looking at the same
    messages again; a message that it has seen must not be changed any more.

    Raises EmptyConversation if no message has any content.
    """
    messages, known = exchange(request.get("messages"), model, memo)
    fit_media(messages)
    fit_citations(messages)
    system = clean_system(request.get("system"))
    tool_config = clean_tools(
        request.get("toolConfig"), tool_names(messages), memo, forced_choice=model.forced_tool_choice
    )
    tools: list[Block] = tool_config["tools"] if tool_config else []
    limit_cache_points(tools, system, messages[known:], supported=model.prompt_caching)
    fields = clean_fields(request.get("additionalModelRequestFields"), sampling=model.sampling)
    inference = clean_inference(request.get("inferenceConfig"), model)
    fields = fit_reasoning(fields or {}, messages, inference, tool_config, model)
    fit_sampling(inference, fields)
    cleaned = {
        "messages": messages,
        "system": system,
        "inferenceConfig": inference,
        "toolConfig": tool_config,
        "additionalModelRequestFields": fields,
        "outputConfig": clean_output(request.get("outputConfig"), model),
    }
    result: dict[str, Any] = {}
    for name, value in {**request, **cleaned}.items():
        if value is not None and not name.startswith("_") and not (name in cleaned and not value):
            result[name] = value
    return result


def left_out(asked: Mapping[str, Any], sent: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters of the request `asked` that its normalised form `sent` does not have, by their names in Bedrock.

    They are what the model would have refused: of inferenceConfig, of additionalModelRequestFields, `toolChoice` and
    `effort`. A setting of thinking that the model takes only in another form is one of them.
    """
    names: list[str] = []
    if asks_for_citations(asked.get("messages")) and not asks_for_citations(sent.get("messages")):
        names.append("citations")
    for part in ("inferenceConfig", "additionalModelRequestFields", "toolConfig", "outputConfig"):
        given, kept = asked.get(part), sent.get(part) or {}
        if isinstance(given, Mapping):
            names += [name for name, value in given.items() if value is not None and _lost(name, value, kept)]
    return tuple(names)


def _lost(name: str, value: Any, kept: Mapping[str, Any]) -> bool:
    return name != "textFormat" and (name not in kept or (name == "thinking" and kept[name] != value))
