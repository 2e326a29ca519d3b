"""Running the tools of one iteration: in parallel, bounded, and never a reason for the turn to fail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

import structlog

from rom_core.concurrency.cancel import Deadline
from rom_core.concurrency.workers import Job, PoolSaturated, WorkerPool
from rom_core.events import ToolFinished, ToolStarted
from rom_core.markers import hookimpl
from rom_core.telemetry.ids import new_span_id
from rom_core.telemetry.tracing import traceparent
from rom_core.tools import ToolContext, ToolError, ToolResult
from rom_core.turn import Iteration, ToolCall
from rom_core.turn_values import ModelReply

logger = structlog.get_logger("rom.tools")


class ToolRuns:
    """The core's innermost `rom_tool_call`, and the pool it runs in."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    @hookimpl(trylast=True)
    def rom_tool_call(self, tool_call: ToolCall) -> ToolResult:
        """Validate the input against the tool's schema and run it; whatever happens becomes a ToolResult."""
        turn, tool = tool_call.turn, tool_call.tool
        if tool is None:
            known = ", ".join(turn.snapshot.tools.names) or "nenhuma"
            return ToolResult.error(
                f"A ferramenta {tool_call.name!r} não existe. Disponíveis: {known}.", "unknown_tool"
            )
        problems = tool.problems(tool_call.input)
        if problems:
            return ToolResult.error("Entrada inválida: " + "; ".join(problems), "invalid_input")
        context = ToolContext(
            tool_call.deadline,
            tool_call.cancel,
            turn.settings,
            turn.trace_id,
            turn.request_id,
            turn.tracestate,
            traceparent(turn.trace_id, tool_call.span_id),
        )
        return ToolResult.of(tool.run(tool_call.input, context))

    def run(self, iteration: Iteration, tool_uses: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Run what the model asked for; the `toolResult` blocks in the order of the requests.

        Raises what stands for the reason if the turn is cancelled or its deadline passes meanwhile; tools that still
        run are given up, keep their thread, and are counted.
        """
        running: list[tuple[ToolCall, Job[Any] | None]] = []
        try:
            for use in tool_uses:
                call = self._call(iteration, use)
                running.append((call, self._start(call)))
            for call, job in running:
                self._finish(call, job)
        finally:
            for _, job in running:
                if job is not None:
                    self._pool.abandon(job)
        return [call.result.block(call.id) for call, _ in running if call.result is not None]

    def _call(self, iteration: Iteration, use: dict[str, Any]) -> ToolCall:
        turn = iteration.turn
        tool = turn.snapshot.tools.get(use["name"])
        timeout = (tool.timeout if tool else None) or turn.settings.TOOL_TIMEOUT_SECONDS
        deadline = Deadline(turn.clock, min(timeout, turn.deadline.remaining()))
        call = ToolCall(
            turn,
            iteration.number,
            use["toolUseId"],
            use["name"],
            use["input"],
            tool,
            deadline,
            turn.cancel,
            span_id=new_span_id(),
        )
        turn.tool_calls.append(call)
        if turn.sink is not None:
            label = {"label": tool.label} if tool is not None and tool.label else {}
            turn.sink("tool_call", {"id": call.id, "name": call.name, **label})
        return call

    def _start(self, call: ToolCall) -> Job[Any] | None:
        call.turn.emit(ToolStarted(call))
        hook = call.turn.snapshot.pipeline.hook

        def run() -> Any:
            call.started_at = began = call.turn.clock.monotonic()
            try:
                return hook.rom_tool_call(tool_call=call)
            finally:
                # A tool that was given up may return later; what was told of it stays as it was told.
                if call.result is None:
                    call.duration = call.turn.clock.monotonic() - began

        try:
            return self._pool.submit(run)
        except PoolSaturated:
            return None

    def _finish(self, call: ToolCall, job: Job[Any] | None) -> None:
        turn = call.turn
        if job is not None and not self._pool.wait(job, turn.clock, turn.cancel, call.deadline.remaining()):
            # Given up at once: what stands in line must not run after the model was told that it did not.
            self._pool.abandon(job)
        result = _outcome(call, job).limited(turn.settings.MAX_TOOL_RESULT_CHARS)
        turn.check()
        call.result = result
        call.duration = call.duration or call.deadline.elapsed()
        turn.emit(ToolFinished(call))
        if turn.sink is not None:
            turn.sink("tool_result", dict(call.as_dict()))


def with_object_inputs(reply: ModelReply) -> ModelReply:
    """The reply, with a tool input that is the JSON text of an object as that object.

    Here, once, so that guardrails, the tool, and the model when it is asked again all see the same. Any other text
    stays, and the tool refuses it.
    """
    if not any(isinstance(use.get("input"), str) for use in reply.tool_uses):
        return reply
    return replace(reply, content=tuple(map(_with_object_input, reply.content)))


def _with_object_input(block: dict[str, Any]) -> dict[str, Any]:
    use = block.get("toolUse")
    if use is None or not isinstance(use.get("input"), str):
        return block
    try:
        given = json.loads(use["input"], parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return block
    return {"toolUse": {**use, "input": given}} if isinstance(given, dict) else block


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _outcome(call: ToolCall, job: Job[Any] | None) -> ToolResult:
    if job is None or (job.abandoned and not job.started):
        return ToolResult.error(
            "Ferramentas demais em execução agora; tente de novo com menos de uma vez.", "saturated"
        )
    if job.abandoned:
        return ToolResult.error(f"A ferramenta {call.name!r} não terminou no tempo permitido.", "timeout")
    try:
        result = job.value()
        return ToolResult.of(result) if result is not None else _no_result(call)
    except ToolError as error:
        return ToolResult.error(str(error) or "A ferramenta falhou.", "failed")
    except BaseException:
        logger.exception("tool.failed", tool=call.name, trace_id=call.turn.trace_id)
        return ToolResult.error(f"A ferramenta {call.name!r} falhou por um erro interno.", "failed")


def _no_result(call: ToolCall) -> ToolResult:
    """A wrapper that forgot to return what it was given."""
    logger.error("tool.no_result", tool=call.name, trace_id=call.turn.trace_id)
    return ToolResult.error(f"A ferramenta {call.name!r} não devolveu resultado.", "failed")
