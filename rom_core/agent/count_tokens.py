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
# A picture is at most some 1,600 tokens; a page of a PDF about as much, and of some 30 kB.
_FILE_TOKENS, _FILE_BYTES = 1600, 20
_TEXT_FORMATS: Final = ("csv", "html", "md", "txt")
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
    return count_next(turn, transport, ask=ask)


def count_next(turn: Turn, transport: object, *, ask: bool = True) -> Count:
    """The same of the next request of a turn, with the messages that it has now."""
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
    """Tokens by the length of the JSON; of files by their kind and size."""
    files = 0

    def without_bytes(value: Any) -> str:
        nonlocal files
        if isinstance(value, bytes | bytearray):
            files += max(_FILE_TOKENS, len(value) // _FILE_BYTES)
            return ""
        return str(value)

    written = json.dumps(_texts(conversation), ensure_ascii=False, separators=(",", ":"), default=without_bytes)
    return -(-len(written) // _CHARACTERS) + files


def _texts(value: Any) -> Any:
    """The same, with documents that are text as text."""
    if isinstance(value, Mapping):
        if "format" in value and isinstance(value.get("source"), Mapping):
            data = value["source"].get("bytes")
            if value["format"] in _TEXT_FORMATS and isinstance(data, bytes):
                return {**value, "source": data.decode("utf-8", "replace")}
        return {name: _texts(member) for name, member in value.items()}
    return [_texts(one) for one in value] if isinstance(value, list | tuple) else value


def base_model(model_id: str) -> str:
    """The model behind an inference profile: CountTokens takes no profile."""
    geography, _, rest = model_id.partition(".")
    return rest if geography in GEOGRAPHIES and rest else model_id
