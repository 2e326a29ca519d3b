"""What the tests of fallback share: models that fail one by one, and what is told about them."""

from __future__ import annotations

from typing import Any

from resilience import Bench
from support import make_turn, says

from rom_core.errors import (
    ModelNotServed,
    RomError,
)
from rom_core.events import FallbackExhausted
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


def by_model(**errors: RomError) -> Any:
    """A step in which each model named (first, second, third) fails with its error and the others answer."""

    def play(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        alias = attempt.model.alias
        error = errors.get(alias.removeprefix("anthropic."))
        if error is not None:
            raise error
        return ModelReply(({"text": f"from {alias}"},), "end_turn", alias, says("").usage)

    return play


def gone() -> ModelNotServed:
    """What the 404 for a model at the end of its life becomes."""
    return ModelNotServed("", kind="ResourceNotFoundException", http_status=404)


def stories(bench: Bench) -> list[tuple[tuple[str, str, str], ...]]:
    """What every fallback.exhausted tells, in order."""
    return [event.attempts for event in bench.recorder.events if isinstance(event, FallbackExhausted)]


def run(bench: Bench, **request: Any) -> Any:
    """Run a turn; its result, or its error."""
    try:
        return bench.runtime.run(make_turn(bench.runtime, **request))
    except RomError as error:
        return error
