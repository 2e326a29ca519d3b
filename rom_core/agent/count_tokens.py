"""How many tokens a request would have: counted by Bedrock where it does that for the model, else estimated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from rom_core.agent.model_call import amended_request, capabilities
from rom_core.concurrency.cancel import Deadline
from rom_core.conversation import normalise
from rom_core.errors import ModelError
from rom_core.settings.residency import GEOGRAPHIES
from rom_core.turn import Attempt, ModelCall, Turn

COUNT_SECONDS: Final = 10.0
# Of Portuguese prose Claude's tokenizers make a token of three to four characters, of JSON of fewer: rather too many.
_CHARACTERS: Final = 3
_COUNTED: tuple[str, ...] = ("messages", "system", "toolConfig", "additionalModelRequestFields")


@runtime_checkable
class Counter(Protocol):
    """A transport that can count: `bedrock.wire.Wire`."""

    def count_tokens(self, call: ModelCall, model_id: str, conversation: Mapping[str, Any]) -> int:
        """The input tokens of what Converse would get. Raises ModelError, or the error of the turn if that ended."""


@dataclass(frozen=True, slots=True)
class Count:
    """Input tokens; `estimated` says that nobody but this module has counted them, `error` why."""

    tokens: int
    estimated: bool
    error: ModelError | None = None


def count_tokens(turn: Turn, transport: object, *, ask: bool = True) -> Count:
    """What the first request of `turn`, which is not run, would have: with the server's own system text and tools.

    As plugins amend it (`rom_model_request`): what they keep from a model does not go out to be counted either.

    Without `ask`, or where the service cannot say it, an estimate. Raises the turn's own error if that has ended.
    """
    turn.messages = list(turn.request.messages)
    model = turn.settings.models[turn.model]
    call = ModelCall(turn, 1, turn.cancel, Deadline(turn.clock, min(COUNT_SECONDS, turn.deadline.remaining())))
    request = normalise(amended_request(Attempt(call, 1, model)), model=capabilities(model))
    conversation: dict[str, Any] = {name: request[name] for name in _COUNTED if name in request}
    error: ModelError | None = None
    if ask and isinstance(transport, Counter):
        try:
            return Count(transport.count_tokens(call, base_model(model.id), conversation), estimated=False)
        except ModelError as failure:
            error = failure
    return Count(estimate(conversation), estimated=True, error=error)


def estimate(conversation: Mapping[str, Any]) -> int:
    """Tokens by the length of the JSON."""
    return -(-len(json.dumps(conversation, ensure_ascii=False, separators=(",", ":"), default=str)) // _CHARACTERS)


def base_model(model_id: str) -> str:
    """The model behind an inference profile: CountTokens takes no profile."""
    geography, _, rest = model_id.partition(".")
    return rest if geography in GEOGRAPHIES and rest else model_id
