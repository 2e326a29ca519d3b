"""The tool loop: ask the model, run the tools it asks for, ask again, until it answers or is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from rom_core.agent.asking import ask, narrowed
from rom_core.agent.client_tools import NONE_NOW, earlier_rounds, for_client, presentable
from rom_core.agent.tool_run import ToolRuns, with_object_inputs
from rom_core.conversation import citing, claimed_by, written_by
from rom_core.errors import RomError
from rom_core.events import IterationFinished, IterationStarted, LoopStopped
from rom_core.markers import hookimpl
from rom_core.plugin.answers import answer_of, opinion_of
from rom_core.structured import StructuredAnswer
from rom_core.tools import ToolResult
from rom_core.turn import Iteration, ModelCall, Turn
from rom_core.turn_values import IterationResult, ModelReply, StopLoop, TurnResult

if TYPE_CHECKING:
    from rom_core.concurrency.watchdog import Watchdog

logger = structlog.get_logger("rom.loop")

# Stop reasons with which a model may ask for tools; some models say end_turn although they do.
_MAY_ASK_FOR_TOOLS = ("tool_use", "end_turn", "stop_sequence")
# What a person reads when an answer came without any text, by stop reason.
_TEXTS = {
    "max_tokens": "TEXT_MAX_TOKENS",
    "model_context_window_exceeded": "TEXT_CONTEXT_TOO_LONG",
    "content_filtered": "TEXT_FILTERED",
    "guardrail_intervened": "TEXT_FILTERED",
}
# With these an answer ends that came through a tool: to whoever asked, no tool was used.
_END = "end_turn"
LOOP_CAP = "loop_cap"
# A closing request ends this long before the turn's deadline, so that our own text can still be handed over; with no
# more than that left for itself it is not worth a request.
_CLOSING_RESERVE_SECONDS = 1.0


class ToolLoop:
    """The core's innermost `rom_turn` and `rom_iteration`."""

    def __init__(self, tools: ToolRuns, watchdog: Watchdog, check_enabled: Callable[[], None]) -> None:
        """`check_enabled` raises BedrockDisabled while the kill switch is off."""
        self._tools = tools
        self._watchdog = watchdog
        self._check_enabled = check_enabled

    @hookimpl(trylast=True)
    def rom_turn(self, turn: Turn) -> TurnResult:
        """Iterate until the model has answered, a plugin stops the loop, or MAX_LOOPS_ABSOLUTE is reached."""
        if turn.request.response_format is not None:
            turn.structured = StructuredAnswer(turn.request.response_format, turn.tool_specs, turn.trace_id)
        turn.messages = [claimed_by(turn.model, message) for message in turn.request.messages]
        while True:
            turn.check()
            self._check_enabled()
            turn.iterations += 1
            iteration = Iteration(turn, turn.iterations)
            result = self._run_iteration(iteration)
            if result.stop is not None:
                turn.emit(LoopStopped(iteration, result.stop))
                return self._close(turn, result.stop)
            if result.finished and result.tool_uses:
                turn.tool_uses = result.tool_uses
                return turn.result("tool_use")
            if result.finished:
                if (sought := _sought(turn)) is not None:
                    if sought.found(result.reply):
                        turn.say(sought.text, sought.check)
                        return turn.result(_END if result.reply.tool_uses else result.reply.stop_reason)
                    limit = 1 if turn.request.repeated else turn.settings.MAX_MODEL_REQUESTS
                    turn.messages.append(sought.ask_again(result.reply, limit))
                    continue
                if not turn.text.strip():
                    turn.say(getattr(turn.settings, _TEXTS.get(result.reply.stop_reason, "TEXT_EMPTY_REPLY")))
                    turn.degraded = True
                reason = result.reply.stop_reason
                # A client that reads of calls looks for them.
                return turn.result(_END if reason == "tool_use" and turn.request.client_tools is not None else reason)

    @hookimpl(trylast=True)
    def rom_iteration(self, iteration: Iteration) -> IterationResult:
        """One model call and, if it asks for them and nobody objects, its tools; those of the client end the turn."""
        turn = iteration.turn
        sought = _sought(turn)
        call = ModelCall(turn, iteration.number, turn.cancel, turn.deadline, requests=sought.requests if sought else 0)
        reply = self._call_model(call)
        clients = turn.request.client_tools
        uses = reply.tool_uses if reply.stop_reason in _MAY_ASK_FOR_TOOLS else []
        if clients is not None and not clients.offered:
            if uses and sought is None and iteration.number == 1:
                self._refuse(turn, uses, NONE_NOW)
                return IterationResult(reply, finished=False)
            uses = []
        if sought is not None and sought.among(uses):
            uses = []
        if sought is not None:
            sought.requests = 0 if uses else call.requests
        if not uses:
            return IterationResult(reply, finished=True)
        hook = turn.snapshot.pipeline.hook
        decision = hook.rom_tools_requested(iteration=iteration, tool_uses=uses)
        stop = opinion_of("rom_tools_requested", decision, StopLoop)
        rounds = iteration.number + len(earlier_rounds(turn.request))
        if stop is None and rounds >= turn.settings.MAX_LOOPS_ABSOLUTE:
            stop = StopLoop(LOOP_CAP)
        if stop is not None:
            self._refuse(turn, uses, stop.instruction or turn.settings.CLOSING_INSTRUCTION)
            return IterationResult(reply, finished=False, stop=stop)
        theirs, ours = for_client(clients, uses)
        if ours:
            turn.messages.append({"role": "user", "content": self._tools.run(iteration, ours)})
        return IterationResult(reply, finished=bool(theirs), tool_uses=tuple(theirs))

    @staticmethod
    def _refuse(turn: Turn, uses: Sequence[Mapping[str, Any]], instruction: str) -> None:
        """Answer the model's requests for tools with an instruction instead."""
        result = ToolResult.error(instruction)
        turn.messages.append({"role": "user", "content": [result.block(use["toolUseId"]) for use in uses]})

    def _run_iteration(self, iteration: Iteration) -> IterationResult:
        turn = iteration.turn
        turn.emit(IterationStarted(iteration))
        began = turn.clock.monotonic()
        result: IterationResult | None = None
        try:
            given = turn.snapshot.pipeline.hook.rom_iteration(iteration=iteration)
            result = answer_of("rom_iteration", given, IterationResult)
        finally:
            turn.emit(IterationFinished(iteration, result, turn.clock.monotonic() - began))
        return result

    def _call_model(self, call: ModelCall) -> ModelReply:
        """Ask the model, take its text into the answer and its message into the conversation."""
        turn = call.turn
        self._check_enabled()
        turn.next_paragraph()
        try:
            reply = citing.verified(turn, with_object_inputs(ask(call, self._check_enabled)))
            if turn.request.client_tools is not None:
                reply = presentable(reply, turn.messages)
            if turn.structured is None:
                citing.say(call, reply)
        finally:
            # PERF: attempts and their call refer to each other, and would keep the whole turn until it is collected.
            call.attempts.clear()
        turn.messages.append(written_by(reply.model, list(reply.content)))
        return reply

    def _close(self, turn: Turn, stop: StopLoop) -> TurnResult:
        """Ask once more, for an answer from what there is; our own text after it, or in its place, if it is not whole.

        Bedrock has no "no tools" choice and refuses a history of tool blocks without `toolConfig`, so the tools stay in
        the request and a reply that asks for them counts as none.
        """
        turn.degraded = True
        said = len(turn.unfiltered_text)
        reply = self._closing_reply(turn, stop)
        if (sought := _sought(turn)) is not None:
            if reply is None or not sought.found(reply):
                raise sought.failure(reply)
            turn.say(sought.text, sought.check)
            return turn.result(stop.reason)
        if reply is None or not _whole(reply):
            turn.next_paragraph()
            turn.say(stop.text or turn.settings.TEXT_CUT_SHORT)
            if reply is not None:
                turn.messages.pop()
            turn.messages.append({"role": "assistant", "content": [{"text": turn.unfiltered_text[said:].strip()}]})
        return turn.result(stop.reason)

    def _closing_reply(self, turn: Turn, stop: StopLoop) -> ModelReply | None:
        """What the model answers to the closing request; None if that fails or there is no time for it.

        Part of an answer may have reached the client when it fails. Raises only what ends the turn itself: the client
        gone, its deadline, the end of the server.
        """
        seconds = turn.deadline.remaining() - _CLOSING_RESERVE_SECONDS
        if seconds <= _CLOSING_RESERVE_SECONDS:
            logger.warning("loop.closing_skipped", reason=stop.reason, seconds=seconds, trace_id=turn.trace_id)
            return None
        turn.iterations += 1
        try:
            with narrowed(turn, seconds, self._watchdog) as (cancel, deadline):
                return self._call_model(ModelCall(turn, turn.iterations, cancel, deadline, closing=True))
        except RomError as error:
            turn.check()
            logger.warning("loop.closing_failed", reason=stop.reason, error=error.code, trace_id=turn.trace_id)
        except Exception:  # A defect in some plugin costs the model's words, not the answer.
            turn.check()
            logger.exception("loop.closing_failed", reason=stop.reason, error="internal_error", trace_id=turn.trace_id)
        return None


def _sought(turn: Turn) -> StructuredAnswer | None:
    """The structured answer that the turn seeks."""
    return turn.structured if isinstance(turn.structured, StructuredAnswer) else None


def _whole(reply: ModelReply) -> bool:
    """Whether a closing reply is an answer from beginning to end, and nothing but one."""
    asks = bool(reply.tool_uses) or reply.cut_tool_use
    return not asks and reply.stop_reason not in _TEXTS and bool(reply.text.strip())
