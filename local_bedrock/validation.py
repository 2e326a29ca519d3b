"""What the local Bedrock refuses, in the order in which the service looks: shape, model, conversation, capabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local_bedrock import capabilities, reasoning
from local_bedrock.models import (
    KNOWN_MODELS,
    ModelInfo,
    Refusal,
    check_capabilities,
    resolve_model,
)
from local_bedrock.rules import check_conversation
from local_bedrock.shapes import Problem, model_id_pattern, operation_check


def check_request(operation: str, body: Any) -> list[str]:
    """Violations of the service's own description of "Converse" or "ConverseStream"; empty if there are none.

    `body` is the JSON as sent, without the modelId, which travels in the path.
    """
    return [problem.text for problem in _problems(operation, body)]


def validate(model_id: str, operation: str, body: Any, models: Sequence[ModelInfo] = KNOWN_MODELS) -> Refusal | None:
    """The error answer (status, error name, message) to this request, or None if the service would run it."""
    if problems := _problems(operation, body):
        malformed = next((problem.text for problem in problems if problem.malformed), None)
        if malformed is not None:
            return Refusal(400, "SerializationException", malformed)
        noun = "error" if len(problems) == 1 else "errors"
        texts = "; ".join(problem.text for problem in problems)
        return Refusal(400, "ValidationException", f"{len(problems)} validation {noun} detected: {texts}")
    if not model_id_pattern().fullmatch(model_id):
        return Refusal(400, "ValidationException", "The provided model identifier is invalid.")
    model = resolve_model(model_id, models)
    if isinstance(model, Refusal):
        return model
    if messages := check_conversation(body, prefill=model.prefill):
        return Refusal(400, "ValidationException", messages[0])
    return (
        check_capabilities(model, body)
        or reasoning.check_capabilities(model, body)
        or capabilities.check_capabilities(model, body)
    )


def _problems(operation: str, body: Any) -> list[Problem]:
    problems: list[Problem] = []
    operation_check(operation)(body, "", problems)
    return problems
