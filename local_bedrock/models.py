"""The models that the local Bedrock serves, and how a model id, profile id or ARN leads to one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple


class Refusal(NamedTuple):
    """An error answer: HTTP status, the value of `x-amzn-ErrorType`, and the message of the body."""

    status: int
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the service knows of one foundation model.

    `max_tokens` is the largest `inferenceConfig.maxTokens`, `context_tokens` the longest prompt; `cache_minimum` the
    shortest prefix, in tokens, that is cached, or None where a cachePoint is refused; `on_demand` whether the bare id
    may be called, without an inference profile; `end_of_life` models are no longer served. `sampling`: temperature,
    top_p and top_k are taken; `forced_tool_choice`: the tool choices "any" and "tool" are; `prefill`: an assistant's
    message at the end is; `structured_output`: a schema for the text is; `effort`: outputConfig's is; `images` and
    `documents` are, and `citations` may be asked for on the latter. `thinking` lists the types of the thinking setting
    that are taken, None where nothing is known of it. `thinks`: it does so without being asked.
    `hides_thinking`: reasoning comes with an empty text, unless the setting's `display` asks for it; `binds_thinking`:
    what the model signed is refused from other models and after other beginnings.
    """

    model_id: str
    max_tokens: int
    cache_minimum: int | None = None
    on_demand: bool = False
    end_of_life: bool = False
    context_tokens: int = 200_000
    sampling: bool = True
    forced_tool_choice: bool = True
    prefill: bool = False
    structured_output: bool = False
    effort: bool = False
    images: bool = True
    documents: bool = True
    citations: bool = True
    thinking: tuple[str, ...] | None = None
    thinks: bool = False
    hides_thinking: bool = False
    binds_thinking: bool = False


def _newest(model_id: str, thinking: tuple[str, ...], *, forced_tool_choice: bool = False) -> ModelInfo:
    """A model of the newest kind: no sampling; adaptive thinking, not asked for, that is bound and not shown."""
    return ModelInfo(
        model_id,
        128_000,
        cache_minimum=512,
        context_tokens=1_000_000,
        sampling=False,
        forced_tool_choice=forced_tool_choice,
        structured_output=True,
        effort=True,
        thinking=thinking,
        thinks=True,
        hides_thinking=True,
        binds_thinking=True,
    )


def _budget(
    model_id: str,
    max_tokens: int = 64_000,
    *,
    cache_minimum: int = 1024,
    structured_output: bool = True,
    effort: bool = False,
) -> ModelInfo:
    """A model that thinks by a budget, if it is told to."""
    return ModelInfo(
        model_id,
        max_tokens,
        cache_minimum=cache_minimum,
        prefill=True,
        structured_output=structured_output,
        effort=effort,
        thinking=("enabled", "disabled"),
    )


KNOWN_MODELS: tuple[ModelInfo, ...] = (
    _newest("anthropic.claude-sonnet-5-5", ("adaptive", "between_tools")),
    _newest("anthropic.claude-opus-5-5", ("adaptive",)),
    _newest("anthropic.claude-haiku-5-5", ("adaptive", "disabled"), forced_tool_choice=True),
    ModelInfo(
        "anthropic.claude-sonnet-5",
        128_000,
        cache_minimum=1024,
        context_tokens=1_000_000,
        sampling=False,
        structured_output=True,
        effort=True,
        thinking=("adaptive", "disabled"),
        thinks=True,
        hides_thinking=True,
    ),
    ModelInfo(
        "anthropic.claude-sonnet-4-6",
        64_000,
        cache_minimum=1024,
        context_tokens=1_000_000,
        structured_output=True,
        effort=True,
        thinking=("enabled", "disabled", "adaptive"),
    ),
    _budget("anthropic.claude-sonnet-4-5-20250929-v1:0"),
    _budget("anthropic.claude-haiku-4-5-20251001-v1:0", cache_minimum=4096),
    _budget("anthropic.claude-opus-4-5-20251101-v1:0", cache_minimum=4096, effort=True),
    _budget("anthropic.claude-opus-4-1-20250805-v1:0", 32_000, structured_output=False),
    _budget("anthropic.claude-sonnet-4-20250514-v1:0", structured_output=False),
    ModelInfo("anthropic.claude-3-7-sonnet-20250219-v1:0", 64_000, cache_minimum=1024, prefill=True, end_of_life=True),
    ModelInfo("amazon.nova-pro-v1:0", 10_000, cache_minimum=1024, on_demand=True, citations=False),
    ModelInfo("amazon.nova-lite-v1:0", 10_000, cache_minimum=1024, on_demand=True, citations=False),
    ModelInfo(
        "amazon.nova-micro-v1:0",
        10_000,
        cache_minimum=1024,
        on_demand=True,
        images=False,
        documents=False,
        citations=False,
    ),
    ModelInfo("meta.llama3-3-70b-instruct-v1:0", 8192, images=False, citations=False),
    ModelInfo("mistral.mistral-large-2407-v1:0", 8192, on_demand=True, images=False, citations=False),
)

_WORDS: dict[str, Any] = {"true": True, "false": False, "none": None}


def read_change(text: str) -> tuple[str, dict[str, Any]]:
    """What a model is to refuse, as a command line says it: `anthropic.claude-sonnet-4-6:sampling=false,prefill=true`.

    A list has `+` between its members (`thinking=adaptive+disabled`). Model ids may hold a colon, so that the last one
    counts. Raises ValueError.
    """
    model_id, _, fields = text.rpartition(":")
    changes: dict[str, Any] = {}
    for field in fields.split(","):
        name, equals, value = field.partition("=")
        kind = _FIELDS.get(name)
        if not model_id or not equals or kind is None:
            raise ValueError(f"{text!r} is not MODEL:field=value, with a field of {', '.join(_FIELDS)}")
        read = _WORDS.get(value, int(value) if value.isdigit() else tuple(value.split("+")))
        if not isinstance(read, kind):
            raise ValueError(f"{name} cannot be {value!r}")
        changes[name] = read
    return model_id, changes


_KINDS: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "int | None": int | None,
    "tuple[str, ...] | None": tuple | None,
}
_FIELDS = {field.name: _KINDS[str(field.type)] for field in fields(ModelInfo) if field.name != "model_id"}
_ARN = re.compile(
    r"arn:aws(?:-[a-z-]+)?:bedrock:[a-z0-9-]{1,20}:(?:\d{12})?:"
    r"(?P<kind>foundation-model|inference-profile|application-inference-profile|provisioned-model)/(?P<rest>.+)"
)
_PROFILE = re.compile(r"(?:us|eu|apac|sa|ca|jp|au|us-gov|global)\.(?P<model>.+)")
_INVALID = Refusal(400, "ValidationException", "The provided model identifier is invalid.")


def resolve_model(model_id: str, models: Sequence[ModelInfo] = KNOWN_MODELS) -> ModelInfo | Refusal:
    """The model behind `model_id` (bare id, inference-profile id or ARN), or the answer that AWS gives instead.

    An application inference profile or provisioned model has an opaque id: it is served as the first known model that
    takes sampling and cache points.
    """
    name, profile, missing = model_id, False, _INVALID
    if arn := _ARN.fullmatch(model_id):
        name = arn["rest"]
        missing = Refusal(
            404,
            "ResourceNotFoundException",
            "Could not resolve the foundation model from the provided model identifier.",
        )
        if arn["kind"] in ("application-inference-profile", "provisioned-model"):
            return next((model for model in models if model.sampling and model.cache_minimum), missing)
    if prefixed := _PROFILE.fullmatch(name):
        name, profile = prefixed["model"], True
    found = next((model for model in models if model.model_id == name), None)
    if found is None:
        return missing
    if found.end_of_life:
        return Refusal(
            404,
            "ResourceNotFoundException",
            "This model version has reached the end of its life. "
            "Please refer to the AWS documentation for more details.",
        )
    if not profile and not found.on_demand:
        return Refusal(
            400,
            "ValidationException",
            f"Invocation of model ID {name} with on-demand throughput isn\u2019t supported. "
            "Retry your request with the ID or ARN of an inference profile that contains this model.",
        )
    return found


def check_capabilities(model: ModelInfo, body: dict[str, Any]) -> Refusal | None:
    """Whether this model can do what the (well-formed) request asks: prompt caching, length of the answer."""
    if model.cache_minimum is None and has_cache_point(body):
        return Refusal(
            403,
            "AccessDeniedException",
            "You invoked an unsupported model or your request did not allow prompt caching. "
            "See the documentation for more information.",
        )
    asked = (body.get("inferenceConfig") or {}).get("maxTokens")
    if asked is not None and asked > model.max_tokens:
        return Refusal(
            400,
            "ValidationException",
            f"The maximum tokens you requested exceeds the model limit of {model.max_tokens}. "
            f"Try again with a maximum tokens value that is lower than {model.max_tokens}.",
        )
    return None


def has_cache_point(body: dict[str, Any]) -> bool:
    """Whether any list of the request (tools, system, message content) holds a cachePoint."""
    lists = [(body.get("toolConfig") or {}).get("tools") or [], body.get("system") or []]
    lists += [message["content"] for message in body.get("messages") or []]
    return any(block.get("cachePoint") for blocks in lists for block in blocks)
