"""The values of a turn: what is asked, answered, decided and returned. None of them changes once it is made.

What lives while a turn runs is in `rom_core.turn`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Message = dict[str, Any]
"""As Converse has it; `rom_core.conversation` says more."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events (`rom_core.events`): what observers are told. `name` is dotted and stable."""

    name: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as Bedrock counts them: four disjoint kinds, their sum is what was billed."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )

    def as_dict(self) -> dict[str, int]:
        """The `usage` object of an answer."""
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cache_read_tokens": self.cache_read_tokens,
            "cache_write_tokens": self.cache_write_tokens,
        }


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A validated request for one turn, whatever dialect it came in.

    `messages` are Converse messages, the last one the person's new question. `key_name` names the API key, never the
    key itself. `client_timeout` (seconds) and `client_retries` are what the client itself states of its patience and of
    how often it has asked already. None means: as the settings say.
    """

    messages: tuple[Message, ...]
    conversation_id: str
    system: str = ""
    model: str | None = None
    mode: Literal["standard", "exhaustive"] = "standard"
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    user: str | None = None
    key_name: str = ""
    client_timeout: float | None = None
    client_retries: int = 0


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One complete answer of a model: Converse content blocks, the stop reason, and what it cost.

    `usage` is None when Bedrock did not say. A toolUse whose input was cut off is not among the blocks; `cut_tool_use`
    tells that there was one.
    """

    content: tuple[dict[str, Any], ...]
    stop_reason: str
    model: str
    usage: Usage | None = None
    latency_ms: int | None = None
    cut_tool_use: bool = False

    @property
    def text(self) -> str:
        """All text blocks together."""
        return "".join(block["text"] for block in self.content if "text" in block)

    @property
    def tool_uses(self) -> list[dict[str, Any]]:
        """The `toolUse` objects in order: {toolUseId, name, input}."""
        return [block["toolUse"] for block in self.content if "toolUse" in block]


@dataclass(frozen=True, slots=True)
class StopLoop:
    """An answer to `rom_tools_requested`: do not run these tools, end the turn.

    The core answers the open toolUses with `instruction`, asks the model once more, and falls back to `text`.
    `reason` becomes the turn's stop_reason. None: the settings CLOSING_INSTRUCTION and TEXT_CUT_SHORT.
    """

    reason: str
    instruction: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """An answer to `rom_model_failed`: make another attempt after `after_seconds`, on `model` (an alias) if given."""

    after_seconds: float = 0.0
    model: str | None = None


@dataclass(frozen=True, slots=True)
class IterationResult:
    """What one iteration came to: `stop` if the loop was stopped, `finished` if the model gave its answer."""

    reply: ModelReply
    finished: bool
    stop: StopLoop | None = None


@dataclass(frozen=True, slots=True)
class TurnResult:
    """The answer of a turn; `as_dict` is the JSON of the HTTP contract."""

    id: str
    conversation_id: str
    reply: str
    stop_reason: str
    model: str
    degraded: bool
    iterations: int
    tool_calls: tuple[dict[str, Any], ...]
    usage: Usage
    trace_id: str
    request_id: str

    def as_dict(self) -> dict[str, Any]:
        """In the order of the documentation."""
        return {
            "id": self.id,
            "conversation_id": self.conversation_id,
            "reply": self.reply,
            "stop_reason": self.stop_reason,
            "model": self.model,
            "degraded": self.degraded,
            "iterations": self.iterations,
            "tool_calls": list(self.tool_calls),
            "usage": self.usage.as_dict(),
            "trace_id": self.trace_id,
            "request_id": self.request_id,
        }
