"""The values of a turn: what is asked, answered, decided and returned. None of them changes once it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Literal, Protocol

from rom_core.answer_schemas import (
    CITATION,
    PENDING_RESULT,
    TOOL_CALL,
    TOOL_USE,
    USAGE,
    USAGE_FIELDS,
    WARNING,
    described,
)

Message = dict[str, Any]
"""As Converse has it; `rom_core.conversation` says more."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events (`rom_core.events`): what observers are told. `name` is dotted and stable."""

    name: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as Bedrock counts them: four disjoint kinds, their sum is what was billed.

    `cache_write_1h_tokens` are those of `cache_write_tokens` that are kept for an hour, at another price.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        )

    @property
    def prompt_tokens(self) -> int:
        """All input: plain, read from the cache, and written to it."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    def as_dict(self) -> dict[str, int]:
        """The `usage` object of an answer."""
        return {name: getattr(self, name) for name in USAGE_FIELDS}


@dataclass(frozen=True, slots=True)
class ClientTools:
    """Tools that the client runs: a model that asks for one ends the turn, and the client asks again with the result.

    `specs` are Converse tools ({"toolSpec": …}); `choice` is Converse's toolChoice for the first request of the turn,
    None for "auto". Without `parallel` only the first request for a tool is handed out; without `offered`, none.
    `with_server`: the server's own tools are offered beside them, and run here.
    """

    specs: tuple[dict[str, Any], ...]
    choice: Mapping[str, Any] | None = None
    parallel: bool = True
    offered: bool = True
    with_server: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The names of the client's tools."""
        return frozenset(spec["toolSpec"]["name"] for spec in self.specs)

    @property
    def forced(self) -> bool:
        """Whether the model must ask for a tool."""
        return self.choice is not None and "auto" not in self.choice

    def owns(self, name: str) -> bool:
        """Whether a request for this tool goes to the client; an unknown one does where all tools are the client's."""
        return not self.with_server or name in self.names


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What the answer is to be: a JSON object, or JSON that satisfies `schema`.

    `problems` says where a value breaks the schema, each with its `rule` and `text`, and raises
    `structured.checking.CannotCheck`. `name` and `description` are for the model.
    """

    kind: Literal["json_object", "json_schema"]
    schema: Mapping[str, Any]
    problems: Callable[[Any], list[Any]]
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a citation: `name` is what the client calls the document, "" if there is no such document.

    If the quote is in it, `block` is the citation as Converse has it, with the place where the quote was found, and
    `shown` as an answer has it; else both are None.
    """

    name: str = ""
    block: dict[str, Any] | None = None
    shown: dict[str, Any] | None = None


class Sources(Protocol):
    """The documents of a request, against which citations are checked (`documents.quotes.Sources`)."""

    def check(self, citation: Mapping[str, Any]) -> Checked:
        """Look up a citation of a model, as Converse has it, in the document that it names."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A validated request for one turn, whatever dialect it came in.

    `messages` are Converse messages, the last one the person's new question. `key_name` names the API key, never the
    key itself. `show_thinking`: what a model thinks is shown. `thinking` and `effort` are settings in the words of
    Anthropic's API, taken as far as the model's row says. `response_format`: what the answer is to be, None for text.
    `citations`: they are asked for on its documents, whose texts `sources` holds once they were looked into. `warnings`
    are of its attachments. `client_timeout` (seconds) and `client_retries`: what the client states of its patience and
    of how often it has asked. None means: as the settings say. `background`: the turn goes on by itself.
    `ignored` names the fields of the body that change nothing here, as the client wrote them. `fingerprint` is the same
    for the same key, route and body, "" where repeats are not looked for; `repeated`: the same question failed a moment
    ago, so a model call is one request. `stored`: a conversation is kept. `needs`: plugins it cannot do without.
    """

    messages: tuple[Message, ...]
    conversation_id: str
    system: str = ""
    model: str | None = None
    mode: Literal["standard", "exhaustive"] = "standard"
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: tuple[str, ...] = ()
    client_tools: ClientTools | None = None
    ignored: tuple[str, ...] = ()
    user: str | None = None
    show_thinking: bool = False
    response_format: ResponseFormat | None = None
    citations: bool = False
    sources: Sources | None = None
    warnings: tuple[Mapping[str, Any], ...] = ()
    thinking: Mapping[str, Any] | None = None
    effort: str | None = None
    key_name: str = ""
    client_timeout: float | None = None
    client_retries: int = 0
    fingerprint: str = ""
    repeated: bool = False
    restart: bool = False
    stored: Literal["", "begin", "continue"] = ""
    needs: tuple[str, ...] = ()
    background: bool = False


def text_of(block: Mapping[str, Any]) -> str:
    """What a content block of an answer says: the text of a text block, cited or not, "" of another."""
    if "text" in block:
        return str(block["text"])
    cited = block.get("citationsContent") or {}
    return "".join(part.get("text") or "" for part in cited.get("content") or ())


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
        """All text blocks together, cited ones too."""
        return "".join(map(text_of, self.content))

    @property
    def tool_uses(self) -> list[dict[str, Any]]:
        """The `toolUse` objects in order: {toolUseId, name, input}."""
        return [block["toolUse"] for block in self.content if "toolUse" in block]


def as_object(given: Any) -> dict[str, Any]:
    """The input of a tool as the object that its answer's schema says it is, and as the model sees it again."""
    return given if isinstance(given, dict) else {"value": given}


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
class CachePlan:
    """An answer to `rom_cache_points`: where the core sets cache points, and the one `rule` that says why.

    `static` ("", "5m" or "1h") is the life of a point behind tools and system; `moving` sets one of five minutes at the
    end of the last message.
    """

    rule: str
    static: Literal["", "5m", "1h"] = ""
    moving: bool = False


@dataclass(frozen=True, slots=True)
class IterationResult:
    """What one iteration came to: `stop` if the loop was stopped, `finished` if the model gave its answer.

    Also finished with `tool_uses`: those that the client runs, as Converse has them.
    """

    reply: ModelReply
    finished: bool
    stop: StopLoop | None = None
    tool_uses: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult:
    """The answer of a turn: the one definition of its fields, their order, and what they are in JSON.

    `as_dict` is the JSON of the HTTP contract, `schema` describes it.
    """

    id: str = field(metadata=described("string"))
    conversation_id: str = field(metadata=described("string"))
    reply: str = field(metadata=described("string", "all text of the turn, a blank line between iterations"))
    stop_reason: str = field(metadata=described("string", "Bedrock's own, or why the tool loop was stopped"))
    model: str = field(metadata=described("string", "the alias of the model that answered"))
    degraded: bool = field(
        metadata=described("boolean", "another model than asked for, a stopped tool loop, or no text of the model's")
    )
    iterations: int = field(metadata=described("integer", minimum=0))
    tool_calls: tuple[dict[str, Any], ...] = field(
        metadata=described("array", "the tools that ran, in order", items=TOOL_CALL)
    )
    usage: Usage = field(metadata={"schema": USAGE})
    trace_id: str = field(metadata=described("string"))
    request_id: str = field(metadata=described("string"))
    compacted: bool = field(
        default=False,
        metadata=described("boolean", "a summary stood in the place of a conversation's oldest turns", const=True),
    )
    stand_in: bool = field(
        default=False,
        metadata=described("boolean", "the bundled stand-in for a model answered; its content is made up", const=True),
    )
    structured: str = field(
        default="",
        metadata={
            "schema": {
                "enum": ["native", "tool", "instruction"],
                "description": "how the model was asked for `response_format`: by a schema, by a tool, or in words",
            }
        },
    )
    thinking: str = field(
        default="", metadata=described("string", "what the model thought, if that was asked for and the model shows it")
    )
    citations: tuple[dict[str, Any], ...] = field(
        default=(),
        metadata=described("array", "quotes from documents, each found in the document's own text", items=CITATION),
    )
    warnings: tuple[Mapping[str, Any], ...] = field(
        default=(), metadata=described("array", "what the person has to know beside the answer", items=WARNING)
    )
    ignored: tuple[str, ...] = field(
        default=(),
        metadata=described("array", "fields of the request that had no effect", items={"type": "string"}),
    )
    tool_uses: tuple[dict[str, Any], ...] = field(
        default=(),
        metadata=described(
            "array", "the client's tools that the model asks for, to be run by the client", items=TOOL_USE
        ),
    )
    pending_results: tuple[dict[str, Any], ...] = field(
        default=(),
        metadata=described(
            "array",
            "with tool_uses: what the server's tools returned, to be sent back beside the client's own results",
            items=PENDING_RESULT,
        ),
    )

    def as_dict(self) -> dict[str, Any]:
        """The fields in their order; those with a default only if they say something."""
        shown: dict[str, Any] = {}
        for name, optional in _RESULT_FIELDS:
            value = getattr(self, name)
            if value or not optional:
                shown[name] = list(value) if isinstance(value, tuple) else value
        return shown | {"usage": self.usage.as_dict()}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """The JSON Schema of `as_dict`."""
        return {
            "type": "object",
            "additionalProperties": False,
            "required": [name for name, optional in _RESULT_FIELDS if not optional],
            "properties": {one.name: one.metadata["schema"] for one in fields(cls)},
        }


# With a default: shown only if it says something.
_RESULT_FIELDS = tuple((one.name, one.default is not MISSING) for one in fields(TurnResult))
