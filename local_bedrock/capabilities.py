"""What a model can take at all: media, a schema for its answer, an answer that was begun, so long a conversation.

The limits of schemas are those of Anthropic's and AWS's pages about structured outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local_bedrock.citing import enabled
from local_bedrock.models import ModelInfo, Refusal
from local_bedrock.usage import prompt_tokens

_FROM_MODEL = "The model returned the following errors: "
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_MAX_OPTIONAL = 24
_MAX_UNIONS = 16
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_NOTES = ("title", "description", "default", "examples", "$schema", "$id", "$comment")
_TYPES = ("type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions")
_OF_TYPES = ("properties", "required", "additionalProperties", "format", "items", "minItems")
_KEYWORDS = frozenset((*_NOTES, *_TYPES, *_OF_TYPES))


def check_capabilities(model: ModelInfo, body: dict[str, Any]) -> Refusal | None:
    """Whether this model can do what the request, which keeps the rules of a conversation, asks for."""
    for problem in (*_prefill(body), *_media(model, body), *_output(model, body), *_length(model, body)):
        return Refusal(400, "ValidationException", problem)
    return None


def _prefill(body: dict[str, Any]) -> Iterator[str]:
    last = body["messages"][-1]
    if last["role"] != "assistant":
        return
    text = last["content"][-1].get("text")
    if text and text != text.rstrip():
        yield f"{_FROM_MODEL}messages: final assistant content cannot end with trailing whitespace"
    thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
    if thinking.get("type", "disabled") != "disabled":
        yield f"{_FROM_MODEL}messages: prefill is not supported while thinking is enabled"


def _media(model: ModelInfo, body: dict[str, Any]) -> Iterator[str]:
    for message in body["messages"]:
        for block in message["content"]:
            inner = (block.get("toolResult") or {}).get("content") or ()
            guarded = block.get("guardContent") or {}
            for one in (block, guarded, *inner):
                if one.get("image") and not model.images:
                    yield f"{_FROM_MODEL}This model doesn't support the image content block that you provided."
                if one.get("document") and not model.documents:
                    yield f"{_FROM_MODEL}This model doesn't support documents."
                if enabled(one.get("document") or {}) and not model.citations:
                    yield "This model doesn't support citations."


def _length(model: ModelInfo, body: dict[str, Any]) -> Iterator[str]:
    tokens = prompt_tokens(body)
    if tokens > model.context_tokens:
        yield f"{_FROM_MODEL}prompt is too long: {tokens} tokens > {model.context_tokens} maximum"


def _output(model: ModelInfo, body: dict[str, Any]) -> Iterator[str]:
    config = body.get("outputConfig") or {}
    effort, text_format = config.get("effort"), config.get("textFormat")
    if effort is not None and not model.effort:
        yield f"{_FROM_MODEL}This model does not support the effort parameter."
    elif effort is not None and effort not in _EFFORTS:
        yield f"{_FROM_MODEL}output_config.effort: Input should be {', '.join(_EFFORTS)}"
    if text_format is None:
        return
    if any(enabled(block.get("document") or {}) for message in body["messages"] for block in message["content"]):
        yield f"{_FROM_MODEL}output_format: citations cannot be used with structured outputs."
    if not model.structured_output:
        yield f"{_FROM_MODEL}This model does not support the outputConfig.textFormat parameter."
        return
    for problem in check_schema(text_format["structure"]["jsonSchema"]["schema"]):
        yield f"{_FROM_MODEL}output_config.format.schema: {problem}"


def check_schema(text: str) -> Iterator[str]:
    """What of a schema (as JSON text) structured outputs do not take."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        yield "is not JSON"
        return
    if not isinstance(schema, dict):
        yield "must be an object"
        return
    counts = {"optional": 0, "union": 0}
    for part in _parts(schema, counts):
        yield from _keywords(part)
    if counts["optional"] > _MAX_OPTIONAL:
        yield f"Schemas contain too many optional parameters ({counts['optional']}, limit: {_MAX_OPTIONAL})"
    if counts["union"] > _MAX_UNIONS:
        yield f"Schemas contain too many parameters with union types ({counts['union']}, limit: {_MAX_UNIONS})"
    if _recursive(schema):
        yield "Recursive schemas are not supported"


def _parts(schema: Any, counts: dict[str, int]) -> Iterator[dict[str, Any]]:
    """The schema and every schema in it; optional members and unions are counted on the way."""
    pending = [schema]
    while pending:
        part = pending.pop()
        if not isinstance(part, dict):
            continue
        yield part
        members = part.get("properties") or {}
        counts["optional"] += len(set(members) - set(part.get("required") or ()))
        counts["union"] += sum("anyOf" in one or isinstance(one.get("type"), list) for one in members.values())
        for name in ("properties", "$defs", "definitions"):
            pending += (part.get(name) or {}).values()
        pending += [*part.get("anyOf", ()), *part.get("allOf", ()), part.get("items")]


def _keywords(part: dict[str, Any]) -> Iterator[str]:
    if unknown := sorted(part.keys() - _KEYWORDS):
        yield f"For '{part.get('type', 'any')}' type, properties {', '.join(unknown)} are not supported"
    if (part.get("type") == "object" or "properties" in part) and part.get("additionalProperties") is not False:
        yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
    if part.get("minItems", 0) not in (0, 1):
        yield "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if any(isinstance(value, dict | list) for value in part.get("enum", ())):
        yield "Complex types within enums are not supported"
    if part.get("format", "date") not in _FORMATS:
        yield f"For 'string' type, the format {part['format']} is not supported"
    if not str(part.get("$ref", "#")).startswith("#"):
        yield "External references are not supported"
    if any("$ref" in one for one in part.get("allOf", ())):
        yield "allOf with $ref is not supported"


def _recursive(schema: Mapping[str, Any]) -> bool:
    """Whether a definition leads back to itself."""
    named = {
        f"#/{where}/{name}": part
        for where in ("$defs", "definitions")
        for name, part in (schema.get(where) or {}).items()
    }
    uses = {
        name: {one["$ref"] for one in _parts(part, {"optional": 0, "union": 0}) if "$ref" in one}
        for name, part in named.items()
    }
    if any(one.get("$ref") == "#" for one in _parts(schema, {"optional": 0, "union": 0})):
        return True
    pending = set(uses)
    while ready := {name for name in pending if not uses[name] & pending}:
        pending -= ready
    return bool(pending)
