"""Extended thinking: not every model takes the setting, and none takes it in the middle of another's tool loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

# The names that models on Bedrock give the setting, in additionalModelRequestFields.
_FIELDS: Final = ("thinking", "reasoning_config", "reasoningConfig", "reasoning_effort")


def fit_reasoning(request: Mapping[str, Any], *, supported: bool) -> dict[str, Any]:
    """A normalised request without the reasoning settings that its model would refuse; `request` is not changed.

    They go if the model has no reasoning, if the budget does not fit maxTokens (which the normaliser may have lowered),
    or if the model would have to go on from a tool use that was not preceded by its own reasoning: with thinking on,
    Anthropic's models refuse such a history, and it is what a fallback in the middle of a tool loop leaves.
    """
    fields = request.get("additionalModelRequestFields")
    if not isinstance(fields, Mapping) or not any(name in fields for name in _FIELDS):
        return dict(request)
    tokens = (request.get("inferenceConfig") or {}).get("maxTokens")
    if supported and not _continues_without_reasoning(request["messages"]):
        kept = {name: value for name, value in fields.items() if name not in _FIELDS or _fits(value, tokens)}
    else:
        kept = {name: value for name, value in fields.items() if name not in _FIELDS}
    result = {name: value for name, value in request.items() if name != "additionalModelRequestFields"}
    if kept:
        result["additionalModelRequestFields"] = kept
    return result


def _fits(setting: Any, tokens: int | None) -> bool:
    budget = setting.get("budget_tokens") if isinstance(setting, Mapping) else None
    return tokens is None or not isinstance(budget, int | float) or budget < tokens


def _continues_without_reasoning(messages: Sequence[Mapping[str, Any]]) -> bool:
    if len(messages) < 2 or not any("toolResult" in block for block in messages[-1]["content"]):
        return False
    return "reasoningContent" not in messages[-2]["content"][0]
