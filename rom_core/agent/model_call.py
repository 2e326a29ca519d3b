"""The attempt loop: one logical model call, as many requests on the wire as plugins decide and the core allows.

The same loop serves streamed and unstreamed turns, retry and fallback. The core holds the ceilings whatever a plugin
answers: MAX_MODEL_REQUESTS on the wire, a bounded number of refusals before it, the deadline, and that nothing is
tried again once text of the attempt has reached the client, unless the client agreed to have it taken back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

import structlog

from rom_core.conversation import (
    Memo,
    ModelCapabilities,
    has_cache_point,
    left_out,
    normalise,
    place_cache_points,
    speaks_of_signature,
    without_reasoning,
)
from rom_core.errors import ModelError, ModelRefused, RomError, WireSaturated
from rom_core.events import (
    AnswerRestarted,
    AttemptAnswered,
    AttemptFinished,
    AttemptStarted,
    FallbackUsed,
    RetryScheduled,
)
from rom_core.markers import hookimpl
from rom_core.plugin.answers import opinion_of, reply_of
from rom_core.settings import Model
from rom_core.structured import StructuredAnswer
from rom_core.turn import Attempt, ModelCall, Turn
from rom_core.turn_values import CachePlan, ModelReply, TryAgain

logger = structlog.get_logger("rom.model_call")

# Attempts that a plugin refused before the wire cost nothing, but a plugin could refuse and try again for ever.
_REFUSALS_PER_REQUEST = 4


class Transport(Protocol):
    """What carries a request to the model; the real one is `bedrock.wire.Wire`."""

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        """Send one request, pass text to `attempt.text`, return the complete reply or raise a RomError."""


class LateTransport:
    """The Transport that `find` gives, looked up at each request: it is opened after the pipeline is built."""

    def __init__(self, find: Callable[[], Transport]) -> None:
        self._find = find

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        """As Transport."""
        return self._find().converse(attempt, request)


class ModelCalls:
    """The core's innermost `rom_model_call`, `rom_model_attempt` and `rom_model_send`."""

    def __init__(self, transport: Transport, check_enabled: Callable[[], None]) -> None:
        """`check_enabled` raises BedrockDisabled while the kill switch is off, whatever the turn's snapshot says."""
        self._transport = transport
        self._check_enabled = check_enabled

    @hookimpl(trylast=True)
    def rom_model_call(self, call: ModelCall) -> ModelReply:
        """Attempt until a reply is complete or nobody wants to try again; raises the last attempt's error."""
        turn = call.turn
        hook = turn.snapshot.pipeline.hook
        limit = 1 if turn.request.repeated else turn.settings.MAX_MODEL_REQUESTS
        mark = turn.mark()
        while True:
            call.check()
            # Before the plugins: an open circuit must not answer in its place.
            self._check_enabled()
            attempt = Attempt(call, len(call.attempts) + 1, turn.settings.models[turn.model])
            call.attempts.append(attempt)
            try:
                reply = reply_of("rom_model_attempt", hook.rom_model_attempt(attempt=attempt))
                if attempt.answered_by != "wire":
                    self._answered_in_place(attempt, reply)
            except ModelError as error:
                attempt.error = error
                error.emitted = attempt.emitted
                spent = call.requests >= limit or len(call.attempts) >= limit * _REFUSALS_PER_REQUEST
                if (attempt.emitted and not turn.request.restart) or spent or call.cancel.cancelled:
                    raise
                if isinstance(error, ModelRefused) and (_forget_thinking(turn, error) or _in_another_way(turn, error)):
                    continue
                opinion = hook.rom_model_failed(call=call, attempt=attempt, error=error)
                decision = opinion_of("rom_model_failed", opinion, TryAgain)
                if decision is None or not self._carry_out(call, error, decision):
                    raise
                if attempt.emitted:
                    attempt.emitted = False
                    turn.take_back(mark, error.code)
                    turn.emit(AnswerRestarted(call, error))
            else:
                turn.ignore(attempt.left_out)
                return reply

    @hookimpl(trylast=True)
    def rom_model_attempt(self, attempt: Attempt) -> ModelReply:
        """Build the request for this attempt's model, and send it."""
        call, turn = attempt.call, attempt.turn
        call.check()
        self._check_enabled()
        before = amended_request(attempt)
        if turn.normalised is None:
            turn.normalised = Memo()
        # What plugins change in a copy for this attempt alone must not be remembered.
        memo: Memo | None = None if turn.snapshot.pipeline.amends_requests else turn.normalised
        request = normalise(before, model=capabilities(attempt.model), memo=memo)
        attempt.left_out = left_out(before, request)
        request["modelId"] = attempt.model.id
        if attempt.model.prompt_caching and not has_cache_point(request, amended=memo is None):
            plan = turn.snapshot.pipeline.hook.rom_cache_points(attempt=attempt, request=request)
            attempt.cache_plan = plan = opinion_of("rom_cache_points", plan, CachePlan)
            if plan is not None:
                place_cache_points(request, static=plan.static, moving=plan.moving)
        attempt.outgoing = request
        if not turn.snapshot.pipeline.wraps_sending:
            return self.rom_model_send(attempt)
        return reply_of("rom_model_send", turn.snapshot.pipeline.hook.rom_model_send(attempt=attempt))

    @hookimpl(trylast=True)
    def rom_model_send(self, attempt: Attempt) -> ModelReply:
        """Put the request on the wire, and tell the observers how it went."""
        call, turn = attempt.call, attempt.turn
        call.check()
        self._check_enabled()
        call.requests += 1
        turn.model_requests += 1
        attempt.on_wire = True
        attempt.started_at = turn.clock.monotonic()
        turn.emit(AttemptStarted(attempt))
        try:
            attempt.reply = self._transport.converse(attempt, attempt.outgoing or {})
        except ModelError as error:
            self._finished(attempt, error.outcome, error)
            raise
        except RomError as error:
            self._finished(attempt, "cancelled", error)
            raise
        attempt.answered_by = "wire"
        self._finished(attempt, "ok", None)
        return attempt.reply

    def _finished(self, attempt: Attempt, outcome: str, error: RomError | None) -> None:
        turn = attempt.turn
        attempt.error = error
        attempt.finished_at = turn.clock.monotonic()
        if attempt.usage is not None:
            turn.usage += attempt.usage
        elif not isinstance(error, WireSaturated):
            turn.usage_unknown += 1
        turn.emit(AttemptFinished(attempt, outcome, error, attempt.finished_at - (attempt.started_at or 0.0)))

    def _answered_in_place(self, attempt: Attempt, reply: ModelReply) -> None:
        """Take what a plugin answered in the place of the wire, and show it to the client as if the model had said it.

        Raises what ended the turn meanwhile, and the failure of the wire if text had reached the client before it.
        """
        if attempt.error is not None and attempt.emitted:
            raise attempt.error
        attempt.call.check()
        self._check_enabled()
        attempt.reply, attempt.answered_by = reply, "plugin"
        if attempt.error is not None:
            # What it said was held back, and never seen.
            attempt.passage = attempt.first_delta_at = None
        if attempt.first_delta_at is None:
            for block in reply.content:
                for piece in _thought(block.get("reasoningContent", {})):
                    attempt.thinking(piece)
            # The text itself is said with the reply, its citations beside it.
            attempt.first_delta_at = attempt.turn.clock.monotonic() if reply.text else None
        attempt.turn.emit(AttemptAnswered(attempt))

    def _carry_out(self, call: ModelCall, error: ModelError, decision: TryAgain) -> bool:
        """Wait and switch as decided; False if the deadline would cut the wait short or the model is unknown."""
        turn = call.turn
        model = decision.model or turn.model
        if decision.after_seconds >= call.deadline.remaining() or model not in turn.settings.models:
            return False
        turn.emit(RetryScheduled(call, error, decision.after_seconds, model))
        if decision.after_seconds > 0:
            turn.clock.sleep(decision.after_seconds, call.cancel.event)
        call.check()
        if model != turn.model:
            turn.emit(FallbackUsed(call, turn.model, model))
            turn.model = model
            turn.degraded = True
        return True


@lru_cache
def capabilities(model: Model) -> ModelCapabilities:
    """What the normaliser has to know of a model."""
    return ModelCapabilities(
        max_tokens=model.max_tokens,
        prompt_caching=model.prompt_caching,
        alias=model.alias,
        sampling=model.sampling,
        forced_tool_choice=model.forced_tool_choice,
        thinking=model.thinking,
        thinking_between_tools=model.thinking_between_tools,
        prefill=model.prefill,
        structured_output=model.structured_output,
        documents=model.documents,
        images=model.images,
        citations=model.citations,
    )


def _thought(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A block of reasoning in the pieces in which it would have come."""
    if "redactedContent" in content:
        yield {"redactedContent": content["redactedContent"]}
    text = content.get("reasoningText", {})
    yield from ({name: text[name]} for name in ("text", "signature") if name in text)


def _forget_thinking(turn: Turn, error: ModelRefused) -> bool:
    """Whether the model refused what was thought before, and the turn goes on without it.

    A client may bring what another model signed, or what this one did under another system prompt or with other tools;
    who looks at that is the model alone.
    """
    signed = any("reasoningContent" in block for message in turn.messages for block in message["content"])
    if not (signed and speaks_of_signature(error.upstream_message)):
        return False
    logger.warning("model_call.thinking_forgotten", model=turn.model, trace_id=turn.trace_id)
    turn.messages = [without_reasoning(message) for message in turn.messages]
    return True


def _in_another_way(turn: Turn, error: ModelRefused) -> bool:
    """Whether the model refused the way in which it was asked for a structured answer, and there is another."""
    sought = turn.structured
    return isinstance(sought, StructuredAnswer) and sought.refused(turn.model, error.upstream_message)


def amended_request(attempt: Attempt) -> dict[str, Any]:
    """The arguments of `converse_stream` as plugins want them, before the normaliser; a copy if any has a say."""
    request = build_request(attempt)
    pipeline = attempt.turn.snapshot.pipeline
    if pipeline.amends_requests:
        request = copy.deepcopy(request)
        pipeline.hook.rom_model_request(attempt=attempt, request=request)
    return request


def build_request(attempt: Attempt) -> dict[str, Any]:
    """The arguments of `converse_stream` for one attempt, before plugins and the normaliser see them.

    Shares the turn's messages: whoever changes it works on a copy.
    """
    turn = attempt.turn
    chat, settings = turn.request, turn.settings
    system = [{"text": text} for text in (settings.SYSTEM_PROMPT, chat.system) if text.strip()]
    inference: dict[str, Any] = {"maxTokens": chat.max_tokens or settings.MAX_TOKENS}
    if chat.temperature is not None:
        inference["temperature"] = chat.temperature
    if chat.top_p is not None:
        inference["topP"] = chat.top_p
    if chat.stop_sequences:
        inference["stopSequences"] = list(chat.stop_sequences)
    request: dict[str, Any] = {"messages": turn.messages, "system": system, "inferenceConfig": inference}
    if chat.thinking is not None:
        request["additionalModelRequestFields"] = {"thinking": dict(chat.thinking)}
    elif chat.show_thinking and attempt.model.thinking in ("adaptive", "always"):
        shown = {"type": "adaptive", "display": "summarized"}
        request["additionalModelRequestFields"] = {"thinking": shown}
    if chat.effort is not None:
        request["outputConfig"] = {"effort": chat.effort}
    specs, clients = turn.tool_specs, chat.client_tools
    if specs:
        request["toolConfig"] = {"tools": list(specs)}
        # Once: a model that must ask for a tool again and again would never answer.
        if clients is not None and clients.choice is not None and attempt.call.iteration == 1:
            request["toolConfig"]["toolChoice"] = dict(clients.choice)
    if isinstance(turn.structured, StructuredAnswer):
        turn.structured.ask(request, attempt.model, closing=attempt.call.closing, client_tools=clients is not None)
    return request
