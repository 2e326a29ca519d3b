"""Extended thinking: signed blocks, where they may stand, and which settings of it a model takes.

The rules are those that users of Claude on Bedrock have reported, and the ones of Anthropic's migration guides. The
newest models bind what they sign to themselves and to the beginning of the conversation; here to its system prompt and
its tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from local_bedrock.models import ModelInfo, Refusal

_FROM_MODEL = "The model returned the following errors: "
_SAMPLING = ("temperature", "top_p", "top_k", "topP", "topK")
_LEAST_TOP_P = 0.95


def signature(model: ModelInfo, body: dict[str, Any], text: str) -> str:
    """What stands for the signature of a reasoning block that `model` writes in answer to `body`."""
    return f"{_binding(model, body)}.{_digest(text)}"


def check_order(messages: list[dict[str, Any]]) -> Iterator[str]:
    """The rules for the blocks of assistants' messages, which hold for every model that reasons."""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        content = [block for block in message["content"] if not block.get("cachePoint")]
        kinds = ["reasoningContent" if block.get("reasoningContent") else _kind(block) for block in content]
        if "reasoningContent" in kinds:
            yield from _reasoning_order(kinds, f"messages.{index}")
        elif "toolUse" in kinds and "text" in kinds[kinds.index("toolUse") :]:
            yield (
                f"{_FROM_MODEL}messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately "
                "after. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )
        for number, block in enumerate(content):
            text = (block.get("reasoningContent") or {}).get("reasoningText")
            if text and not text.get("signature"):
                yield f"{_FROM_MODEL}messages.{index}.content.{number}.thinking.signature: Field required"


def check_capabilities(model: ModelInfo, body: dict[str, Any]) -> Refusal | None:
    """Whether the model takes the sampling, the tool choice, the thinking settings and the signed blocks of `body`.

    `body` must have passed the rules of a conversation.
    """
    for problem in (*_sampling(model, body), *_choice(model, body), *_thinking(model, body), *_bound(model, body)):
        return Refusal(400, "ValidationException", _FROM_MODEL + problem)
    return None


def _kind(block: dict[str, Any]) -> str:
    return next((kind for kind, value in block.items() if value is not None), "")


def _reasoning_order(kinds: list[str], where: str) -> Iterator[str]:
    if set(kinds) == {"reasoningContent"}:
        yield f"{_FROM_MODEL}This model does not support assistant message prefill."
    elif kinds[0] != "reasoningContent":
        yield (
            f"{_FROM_MODEL}{where}.content.0: If an assistant message contains any thinking blocks, the first block "
            f"must be `thinking` or `redacted_thinking`. Found `{kinds[0]}`."
        )
    elif kinds[-1] == "reasoningContent":
        yield f"{_FROM_MODEL}{where}: The final block in an assistant message cannot be `thinking`."


def _sampling(model: ModelInfo, body: dict[str, Any]) -> Iterator[str]:
    if model.sampling:
        return
    for part in ("inferenceConfig", "additionalModelRequestFields"):
        for name in _SAMPLING:
            if (body.get(part) or {}).get(name) is not None:
                yield f"`{name}` is deprecated for this model."


def _choice(model: ModelInfo, body: dict[str, Any]) -> Iterator[str]:
    if _forced(body) and not model.forced_tool_choice:
        yield "tool_choice: forced tool use is not supported for this model."


def _forced(body: dict[str, Any]) -> bool:
    choice = (body.get("toolConfig") or {}).get("toolChoice") or {}
    return choice.get("any") is not None or choice.get("tool") is not None


def _thinking(model: ModelInfo, body: dict[str, Any]) -> Iterator[str]:
    fields = body.get("additionalModelRequestFields")
    setting = fields.get("thinking") if isinstance(fields, dict) else None
    if _forced(body) and model.thinks and (setting or {}).get("type", "adaptive") != "disabled":
        yield "Thinking may not be enabled when tool_choice forces tool use."
    if setting is None or model.thinking is None:
        return
    kind = setting.get("type") if isinstance(setting, dict) else None
    if kind not in model.thinking:
        yield f'"thinking.type.{kind}" is not supported for this model. Supported: {", ".join(model.thinking)}.'
    elif kind == "enabled" and isinstance(fields, dict):
        yield from _budget(setting, fields, body)


def _budget(setting: dict[str, Any], fields: dict[str, Any], body: dict[str, Any]) -> Iterator[str]:
    inference = body.get("inferenceConfig") or {}
    budget = setting.get("budget_tokens")
    if budget is not None and budget >= inference.get("maxTokens", budget + 1):
        yield "`max_tokens` must be greater than `thinking.budget_tokens`."
    if _forced(body):
        yield "Thinking may not be enabled when tool_choice forces tool use."
    if inference.get("temperature", 1) != 1:
        yield "`temperature` may only be set to 1 when thinking is enabled."
    if inference.get("topP", 1) < _LEAST_TOP_P:
        yield "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
    if fields.get("top_k") is not None:
        yield "`top_k` must be unset when thinking is enabled."
    messages = body["messages"]
    if any(block.get("toolResult") for block in messages[-1]["content"]) and len(messages) > 1:
        first = messages[-2]["content"][0]
        if not first.get("reasoningContent"):
            yield (
                f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                f"`{_kind(first)}`. When `thinking` is enabled, a final `assistant` message must start with a "
                "thinking block."
            )


def _bound(model: ModelInfo, body: dict[str, Any]) -> Iterator[str]:
    """Signed blocks that another model wrote, or this one under another system prompt or with other tools."""
    if not model.binds_thinking:
        return
    own = _binding(model, body)
    for index, message in enumerate(body["messages"]):
        for number, block in enumerate(message["content"]):
            text = (block.get("reasoningContent") or {}).get("reasoningText")
            if not text:
                continue
            where = f"messages.{index}.content.{number}: Invalid `signature` in `thinking` block."
            author, _, beginning = text["signature"].partition(".")[0].partition("/")
            if author != own.partition("/")[0]:
                yield f"{where} The block was written by a different model."
            elif beginning != own.partition("/")[2]:
                yield f"{where} The block is bound to a different conversation."


def _binding(model: ModelInfo, body: dict[str, Any]) -> str:
    lists = (body.get("system") or [], (body.get("toolConfig") or {}).get("tools") or [])
    beginning = [[block for block in blocks if not block.get("cachePoint")] for blocks in lists]
    return f"{_digest(model.model_id)}/{_digest(json.dumps(beginning, sort_keys=True))}"


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
