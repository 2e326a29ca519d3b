"""What a turn is made of while it runs: turn, iteration, model call, attempt, tool call.

Each object holds the state of its own level and a reference to the one above; nothing of an attempt survives it.
Plugins read all of them; what a plugin wants to remember goes into the `stash` of the level it belongs to, under the
plugin's own name.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from rom_core.answer_text import AnswerText, Passage
from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.concurrency.clock import Clock
from rom_core.request_names import request_name
from rom_core.span import NOWHERE, Span
from rom_core.turn_snapshot import Snapshot, Structured
from rom_core.turn_speech import Sink, Speech
from rom_core.turn_values import CachePlan, ChatRequest, Event, Message, ModelReply, TurnResult, Usage, as_object

if TYPE_CHECKING:
    from rom_core.settings import Model, Settings
    from rom_core.tools import Tool, ToolResult


@dataclass(eq=False, slots=True)
class Turn(Speech):
    """One message of a person and everything done to answer it.

    `model` is the alias the next model call goes to; a fallback changes it for the rest of the turn and sets
    `degraded`. `stand_in` is set once anything came from a stand-in for a model. `messages` grows; one that has gone
    on the wire is not changed any more. `deadline` counts from the acceptance of the request. `sink` takes the events
    of a streamed answer. `tool_uses` are those that the client is to run, as Converse has them. `queue_wait` is how
    long it waited for a slot, in seconds. `normalised` is what the normaliser remembers of the messages. `ignored`
    names, in the words of requests, what was asked for and the model that answered does not take. `structured` is the
    answer of a certain form that is sought, None where text is. `citations` and `warnings` are those of the answer so
    far, the latter without the request's own, as in TurnResult. `tracestate` is the header that came with the trace,
    for those whom tools ask. `text_failure` is what a filter of the answer raised: nothing more is said then.
    `span` is the turn's own in its trace.
    """

    id: str
    request: ChatRequest
    snapshot: Snapshot
    clock: Clock
    deadline: Deadline
    model: str
    trace_id: str = ""
    span: Span = NOWHERE
    tracestate: str = ""
    request_id: str = ""
    route: str = ""
    cohort: str = "stable"
    sink: Sink | None = None
    cancel: CancelToken = field(default_factory=CancelToken)
    messages: list[Message] = field(default_factory=list)
    iterations: int = 0
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_uses: tuple[dict[str, Any], ...] = ()
    usage: Usage = field(default_factory=Usage)
    usage_unknown: int = 0
    model_requests: int = 0
    degraded: bool = False
    stand_in: bool = False
    queue_wait: float = 0.0
    stash: dict[str, Any] = field(default_factory=dict)
    normalised: Any = None
    ignored: list[str] = field(default_factory=list)
    structured: Structured | None = None
    citations: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    text_failure: Exception | None = None
    _answer: AnswerText = field(default_factory=AnswerText)

    @property
    def settings(self) -> Settings:
        """The settings this turn sees from start to end."""
        return self.snapshot.settings

    @property
    def tool_specs(self) -> tuple[dict[str, Any], ...]:
        """What the model may ask for, as Converse has it; of a client that brings tools only those, unless it asks."""
        clients = self.request.client_tools
        if clients is None:
            return self.snapshot.tools.specs
        return (*clients.specs, *self.snapshot.tools.specs) if clients.with_server else clients.specs

    def emit(self, event: Event) -> None:
        """Hand an event to the observers of this turn's pipeline."""
        self.snapshot.pipeline.emit(event)

    def check(self) -> None:
        """Raise what stands for the reason if the turn was cancelled or its deadline has passed."""
        self.cancel.check(self.deadline)

    def ignore(self, names: Iterable[str]) -> None:
        """Remember that these parameters, by their names in Bedrock or in requests, had no effect."""
        for name in names:
            known = request_name(name, self.route)
            if known not in self.ignored:
                self.ignored.append(known)

    @property
    def thoughts(self) -> str:
        """What models thought in this turn and have shown, a blank line between iterations."""
        said = self.messages[len(self.request.messages) :]
        blocks = [block.get("reasoningContent", {}) for message in said for block in message["content"]]
        texts = [block.get("reasoningText", {}).get("text", "") for block in blocks]
        return "\n\n".join(text for text in texts if text)

    def result(self, stop_reason: str) -> TurnResult:
        """The turn's answer as it stands."""
        return TurnResult(
            id=self.id,
            conversation_id=self.request.conversation_id,
            reply=self.text,
            stop_reason=stop_reason,
            model=self.model,
            degraded=self.degraded,
            iterations=self.iterations,
            tool_calls=tuple(call.as_dict() for call in self.tool_calls),
            usage=self.usage,
            trace_id=self.trace_id,
            request_id=self.request_id,
            stand_in=self.stand_in,
            structured=self.structured.way if self.structured else "",
            thinking=self.thoughts if self.request.show_thinking else "",
            citations=tuple(self.citations),
            warnings=(*self.request.warnings, *self.warnings),
            ignored=tuple(dict.fromkeys((*self.request.ignored, *self.ignored))),
            tool_uses=tuple(
                {"id": use["toolUseId"], "name": use["name"], "input": as_object(use["input"])}
                for use in self.tool_uses
            ),
            pending_results=tuple(call.pending() for call in self.tool_calls if call.result) if self.tool_uses else (),
        )


@dataclass(eq=False, slots=True)
class Iteration:
    """One round of the loop: a model call and the tools it asked for. `number` counts from 1."""

    turn: Turn
    number: int
    stash: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class ModelCall:
    """One logical question to a model, all its attempts. `requests` counts what went on the wire.

    `closing` marks the last request of a stopped loop. `cancel` and `deadline` are the turn's, or narrower.
    `fallback_candidates` are the models (aliases) that may still take over, set by whoever would let them: time and
    requests are kept for them. `span_id` is the call's own. `attempts` are forgotten once it is over.
    """

    turn: Turn
    iteration: int
    cancel: CancelToken
    deadline: Deadline
    closing: bool = False
    fallback_candidates: tuple[str, ...] = ()
    requests: int = 0
    span_id: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    stash: dict[str, Any] = field(default_factory=dict)

    @property
    def emitted(self) -> bool:
        """Whether any attempt handed text to the client."""
        return any(attempt.emitted for attempt in self.attempts)

    def say(self, text: str) -> None:
        """The call has its reply, of this text: say what of it has not been said as it arrived."""
        attempt = self.attempts[-1] if self.attempts else None
        if attempt is not None and attempt.passage is not None and (attempt.emitted or attempt.passage.text == text):
            attempt.emitted = attempt.passage.close() or attempt.emitted
        elif not self.emitted:
            self.turn.say(text)

    def check(self) -> None:
        """As Turn.check, for the narrower limits of this call."""
        turn = self.turn
        turn.cancel.check(turn.deadline)
        if self.cancel is not turn.cancel or self.deadline is not turn.deadline:
            self.cancel.check(self.deadline)


@dataclass(eq=False, slots=True)
class Attempt:
    """One request on the wire to one model. `number` counts from 1 within the call.

    `probe` marks the one request that shows whether a model is back: whoever retries leaves it alone. `began`: the
    model has begun to answer. `retry_declined`: why a failure worth a retry got none, as in RetryDeclined; "" if
    nobody declined. `started_at`, `first_delta_at` and `finished_at` are on the turn's monotonic clock; None until they
    happen. So is `silent_since`: since when the model is waited for, None while nothing was asked or its output is
    processed. `left_out` names the parameters that were asked for and that this model does not take, as Bedrock calls
    them ("temperature"). `thinking_announced`: the client knows that the model thinks. `cache_plan` is where its cache
    points stand and why, None while nobody decided. `passage` is its text on the way through the filters of plugins:
    `emitted` is what has come out, not what they hold back.

    `on_wire`: its request was sent. `answered_by` is "wire" or "plugin" once it has its `reply`, "" before; `error` is
    what failed, of one that a plugin answered afterwards too. `outgoing` is the request itself, for the core alone.
    """

    call: ModelCall
    number: int
    model: Model
    emitted: bool = False
    on_wire: bool = False
    probe: bool = False
    started_at: float | None = None
    first_delta_at: float | None = None
    finished_at: float | None = None
    silent_since: float | None = None
    began: bool = False
    retry_declined: str = ""
    usage: Usage | None = None
    error: Exception | None = None
    left_out: tuple[str, ...] = ()
    thinking_announced: bool = False
    cache_plan: CachePlan | None = None
    passage: Passage | None = None
    outgoing: dict[str, Any] | None = None
    reply: ModelReply | None = None
    answered_by: Literal["", "wire", "plugin"] = ""
    _request: Mapping[str, Any] | None = None
    stash: dict[str, Any] = field(default_factory=dict)

    @property
    def turn(self) -> Turn:
        """The turn this attempt works for."""
        return self.call.turn

    @property
    def request(self) -> Mapping[str, Any]:
        """A copy of the request as it goes on the wire, the arguments of `converse_stream`, for plugins to read.

        Empty before `rom_model_send`.
        """
        if self._request is None and self.outgoing is not None:
            self._request = MappingProxyType(copy.deepcopy(self.outgoing))
        return MappingProxyType({}) if self._request is None else self._request

    def begin(self) -> None:
        """The model has begun to answer; who waits for a structured answer hears from now on that it comes."""
        self.began = True
        if self.call.turn.structured is not None:
            self.call.turn.hold()

    def text(self, piece: str) -> None:
        """A piece of text arrived: note the time, and hand it on if the client asked for a stream."""
        turn = self.call.turn
        if self.first_delta_at is None:
            self.first_delta_at = turn.clock.monotonic()
        if turn.sink is None or turn.structured is not None or not piece:
            return
        if self.passage is None and turn.snapshot.pipeline.filters_text:
            self.passage = turn.passage()
        if self.passage is None:
            turn.hand_on(piece)
        elif not self.passage.feed(piece):
            turn.hold()
            return
        self.emitted = True
        self.thinking_announced = False

    def thinking(self, piece: Mapping[str, Any]) -> None:
        """The model thinks: tell a client that asked for a stream, and show it what if it asked for that.

        `piece` is reasoning as it arrives: nothing yet, or `text`, `signature` or `redactedContent`. The first one, and
        one after text, come after an event without any. Nothing is emitted by that: the attempt may be repeated.
        """
        turn = self.call.turn
        if turn.sink is None:
            return
        if not self.thinking_announced:
            turn.sink("thinking", {})
        if turn.request.show_thinking and piece:
            turn.sink("thinking", dict(piece))
        self.thinking_announced = True


@dataclass(eq=False, slots=True)
class ToolCall:
    """One run of one tool. `input` is what the model sent, not yet validated; `tool` is None for an unknown name.

    `started_at` is on the turn's monotonic clock, None until a thread of the pool has taken it. `span_id` is the run's.
    """

    turn: Turn
    iteration: int
    id: str
    name: str
    input: Any
    tool: Tool | None
    deadline: Deadline
    cancel: CancelToken
    result: ToolResult | None = None
    started_at: float | None = None
    duration: float = 0.0
    span_id: str = ""
    stash: dict[str, Any] = field(default_factory=dict)

    def pending(self) -> dict[str, Any]:
        """The entry in an answer's `pending_results`: what was asked, and what came of it."""
        content = self.result.as_json() if self.result else []
        status = self.result.status if self.result else "error"
        return {"id": self.id, "name": self.name, "input": as_object(self.input), "content": content, "status": status}

    def as_dict(self) -> dict[str, Any]:
        """The entry in an answer's `tool_calls`."""
        status = self.result.status if self.result else "error"
        card = self.tool.card_of(status, self.result.content) if self.tool and self.result else None
        return {
            "id": self.id,
            "name": self.name,
            "status": status,
            "duration_ms": round(self.duration * 1000),
            **({"card": card} if card else {}),
        }
