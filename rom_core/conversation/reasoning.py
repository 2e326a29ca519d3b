"""Extended thinking: what of its settings a model takes, and what of a message that a model signed goes back to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rom_core.conversation.model import Block, ModelCapabilities

# The names that models on Bedrock give the setting, in additionalModelRequestFields.
_SETTINGS: Final = ("thinking", "reasoning_config", "reasoningConfig", "reasoning_effort")
_WITHOUT_BUDGET: Final = ("adaptive", "between_tools", "disabled")
_OF_BUDGET: Final = ("type", "budget_tokens")
_OF_SIGNATURES: Final = ("signature", "bound to", "different model")
_LEAST_TOP_P: Final = 0.95


def fit_reasoning(
    fields: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    inference: Mapping[str, Any],
    tool_config: Mapping[str, Any] | None,
    model: ModelCapabilities,
) -> dict[str, Any] | None:
    """The additionalModelRequestFields with the thinking settings as `model` takes them; None for none left.

    The other arguments are the rest of a normalised request. A setting goes if the model has none, if a tool is forced,
    if the model is to go on from its own message, or if its budget does not fit maxTokens. A budget goes also where the
    model would have to go on from a tool use that was not preceded by its own reasoning: Anthropic's models refuse such
    a history with thinking switched on, and it is what a fallback in the middle of a tool loop leaves. Adaptive
    thinking does not ask for that, and takes the place of a budget where a model decides itself how much it thinks.
    Such a model, which may think unasked, is told not to where a tool is forced: the two exclude each other.
    """
    forced = "auto" not in ((tool_config or {}).get("toolChoice") or {"auto": {}})
    if not any(name in fields for name in _SETTINGS) and not (forced and model.thinking == "adaptive"):
        return dict(fields) or None
    unusable = model.thinking == "none" or forced or messages[-1]["role"] == "assistant"
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        fitted = value
        if name in _SETTINGS:
            fitted = None if unusable else _fitted(value, messages, inference.get("maxTokens"), model)
        if fitted is not None:
            kept[name] = fitted
    if forced and model.thinking == "adaptive":
        kept["thinking"] = {"type": "disabled"}
    return kept or None


def fit_sampling(inference: dict[str, Any], fields: dict[str, Any] | None) -> None:
    """With a thinking budget only a temperature of 1, a topP from 0.95 and no top_k are taken: others go, in place."""
    if fields is None or not any(_has_budget(fields.get(name)) for name in _SETTINGS):
        return
    if inference.get("temperature", 1) != 1:
        del inference["temperature"]
    if inference.get("topP", 1) < _LEAST_TOP_P:
        del inference["topP"]
    fields.pop("top_k", None)


def fit_signed(content: list[Block], *, whole: bool) -> list[Block]:
    """The content of an assistant's message, with the reasoning in it as its model wrote it, or without any.

    Reasoning is signed together with what precedes it, and it comes first in a message and never last: where that does
    not hold, or the message is not `whole` (some of its reasoning had to go, or it was joined from several), none goes
    back. Without reasoning texts come before tool uses, so that nothing stands between those and their results.
    """
    if not any("reasoningContent" in block for block in content):
        return _tool_uses_last(content)
    first = next(block for block in content if "cachePoint" not in block)
    if whole and "reasoningContent" in first:
        end = max((index for index, block in enumerate(content) if not _is_mark(block)), default=-1)
        return [block for index, block in enumerate(content) if index <= end or "reasoningContent" not in block]
    return _tool_uses_last([block for block in content if "reasoningContent" not in block])


def without_reasoning(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message without what was thought in it."""
    return {**message, "content": [block for block in message["content"] if "reasoningContent" not in block]}


def speaks_of_signature(refusal: str) -> bool:
    """Whether a model's refusal is about a signed block: one of another model, or bound to another conversation."""
    return "thinking" in refusal and any(word in refusal for word in _OF_SIGNATURES)


def _is_mark(block: Block) -> bool:
    return "reasoningContent" in block or "cachePoint" in block


def _tool_uses_last(content: list[Block]) -> list[Block]:
    use = next((index for index, block in enumerate(content) if "toolUse" in block), len(content))
    texts = [block for block in content[use:] if _is_said(block)]
    if not texts:
        return content
    return [*content[:use], *texts, *(block for block in content[use:] if not _is_said(block))]


def _is_said(block: Block) -> bool:
    return "text" in block or "citationsContent" in block


def _fitted(setting: Any, messages: Sequence[Mapping[str, Any]], tokens: int | None, model: ModelCapabilities) -> Any:
    """The setting, or the nearest one that the model takes; None if there is none."""
    kind = setting.get("type", "enabled") if isinstance(setting, Mapping) else None
    if kind is None:
        return setting
    if model.thinking == "budget":
        if kind not in ("enabled", "disabled"):
            return None
        refused = _has_budget(setting) and (not _fits(setting, tokens) or _continues_without_reasoning(messages))
        return None if refused else setting
    taken = ("adaptive", "between_tools") if model.thinking_between_tools else ("adaptive",)
    if kind in taken or (kind == "disabled" and model.thinking != "always"):
        return setting
    if kind == "disabled":
        return {"type": "between_tools"} if model.thinking_between_tools else None
    if kind not in ("enabled", "between_tools"):
        return None
    return {"type": "adaptive"} | {name: value for name, value in setting.items() if name not in _OF_BUDGET}


def _has_budget(setting: Any) -> bool:
    return isinstance(setting, Mapping) and setting.get("type") not in _WITHOUT_BUDGET


def _fits(setting: Mapping[str, Any], tokens: int | None) -> bool:
    budget = setting.get("budget_tokens")
    return tokens is None or not isinstance(budget, int | float) or budget < tokens


def _continues_without_reasoning(messages: Sequence[Mapping[str, Any]]) -> bool:
    if len(messages) < 2 or not any("toolResult" in block for block in messages[-1]["content"]):
        return False
    return "reasoningContent" not in messages[-2]["content"][0]
