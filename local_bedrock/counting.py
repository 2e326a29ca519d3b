"""CountTokens: how many input tokens a conversation has, for models that Bedrock counts for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local_bedrock.models import KNOWN_MODELS, ModelInfo, Refusal
from local_bedrock.usage import prompt_tokens
from local_bedrock.validation import check_request

_COUNTED = "anthropic."


def count_tokens(model_id: str, body: dict[str, Any], models: Sequence[ModelInfo] = KNOWN_MODELS) -> int | Refusal:
    """The tokens that Converse would report as `inputTokens` if nothing was cached, or the error answer.

    As on AWS, no inference profile is taken, and only models of Anthropic are counted for.
    """
    if problems := check_request("CountTokens", body):
        return Refusal(400, "ValidationException", f"{len(problems)} validation errors detected: {'; '.join(problems)}")
    known = any(model.model_id == model_id and not model.end_of_life for model in models)
    if not known or not model_id.startswith(_COUNTED):
        return Refusal(400, "ValidationException", "The provided model doesn't support counting tokens.")
    if "converse" not in body["input"]:
        return Refusal(400, "ValidationException", "Local Bedrock: only input.converse is counted.")
    return prompt_tokens(body["input"]["converse"])
