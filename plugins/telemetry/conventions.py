"""The GenAI conventions of OpenTelemetry, v0.1.0: which of their attributes say what of a turn.

https://github.com/open-telemetry/semantic-conventions-genai. What has no name there begins with `rom.`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from rom_core.errors import ModelError, RomError, TurnCancelled
from rom_core.settings import Model, Settings
from rom_core.turn import ModelCall, ToolCall, Turn
from rom_core.turn_values import ModelReply, Usage

Attributes = dict[str, Any]
AGENT = "rom-agent"
PROVIDER = "aws.bedrock"
UNKNOWN_TOOL = "unknown"
INTERNAL = "internal_error"
_HTTPS = 443


def error_type(error: RomError | None) -> str:
    """A word of a small set for what went wrong: the kind of a model's failure, else the code of the error."""
    if error is None:
        return INTERNAL
    return error.kind if isinstance(error, ModelError) else error.code


def is_failure(error: RomError | None) -> bool:
    """Whether an operation that ended so has failed; that the client left is nobody's fault."""
    return not isinstance(error, TurnCancelled)


def tool_name(call: ToolCall) -> str:
    """The tool's name; of one that does not exist none, for that is the model's own invention."""
    return call.tool.name if call.tool is not None else UNKNOWN_TOOL


def asked_model(call: ModelCall) -> Model:
    """The model that a call asked first."""
    return call.attempts[0].model if call.attempts else call.turn.settings.models[call.turn.model]


def answering_model(call: ModelCall, reply: ModelReply | None) -> Model | None:
    """The model that answered, None where none did."""
    if reply is None:
        return None
    return call.turn.settings.models.get(reply.model) or (call.attempts[-1].model if call.attempts else None)


def server(settings: Settings) -> Attributes:
    """The address of the model service; of the one in this process there is none."""
    endpoint: str = settings.BEDROCK_ENDPOINT_URL
    if endpoint == "local":
        return {}
    if not endpoint:
        return {"server.address": f"bedrock-runtime.{settings.AWS_REGION}.amazonaws.com", "server.port": _HTTPS}
    parts = urlsplit(endpoint)
    return {
        "server.address": parts.hostname or "",
        "server.port": parts.port or (_HTTPS if "s:" in endpoint[:6] else 80),
    }


def inference(call: ModelCall, reply: ModelReply | None, error: RomError | None) -> Attributes:
    """What spans and metrics both say of a model call."""
    said: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": asked_model(call).id,
        **server(call.turn.settings),
    }
    model = answering_model(call, reply)
    if model is not None:
        said["gen_ai.response.model"] = model.id
    if reply is None:
        said["error.type"] = error_type(error)
    return said


def inference_span(call: ModelCall, reply: ModelReply | None) -> Attributes:
    """What a span says of a model call, besides."""
    turn, request = call.turn, call.turn.request
    said: Attributes = {
        "gen_ai.conversation.id": request.conversation_id,
        # The wire is streamed whatever the client asked for.
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": min(request.max_tokens or turn.settings.MAX_TOKENS, asked_model(call).max_tokens),
        "gen_ai.response.finish_reasons": [reply.stop_reason if reply is not None else "error"],
        "rom.iteration": call.iteration,
        "rom.model_requests": sum(attempt.on_wire for attempt in call.attempts),
    }
    left_out = call.attempts[-1].left_out if call.attempts else ()
    for name, field, value in (
        ("temperature", "temperature", request.temperature),
        ("topP", "top_p", request.top_p),
        ("stopSequences", "stop_sequences", list(request.stop_sequences) or None),
    ):
        if value is not None and name not in left_out:
            said[f"gen_ai.request.{field}"] = value
    if request.effort is not None:
        said["gen_ai.request.reasoning.level"] = request.effort
    if request.response_format is not None:
        said["gen_ai.output.type"] = "json"
    if call.closing:
        said["rom.closing"] = True
    seconds = time_to_first_chunk(call)
    if reply is not None and seconds is not None:
        said["gen_ai.response.time_to_first_chunk"] = seconds
    usage = usage_of(call)
    return said if usage is None else said | tokens(usage) | cached(usage)


def time_to_first_chunk(call: ModelCall) -> float | None:
    """Seconds from the call's first request to the first text of the attempt that was kept, None without text."""
    started, first = call.attempts[0].started_at if call.attempts else None, None
    if call.attempts:
        first = call.attempts[-1].first_delta_at
    return None if started is None or first is None else max(0.0, first - started)


def usage_of(call: ModelCall) -> Usage | None:
    """What all attempts of a call used, None if Bedrock told of none."""
    known = [attempt.usage for attempt in call.attempts if attempt.usage is not None]
    return sum(known[1:], known[0]) if known else None


def tokens(usage: Usage) -> Attributes:
    """Input and output; the conventions' input includes what was read from the cache and written to it."""
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
    }


def cached(usage: Usage) -> Attributes:
    """The parts of the input that the cache had and got, as far as there are any."""
    parts = {
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
    }
    return {name: count for name, count in parts.items() if count}


def invocation(error: RomError | None, *, failed: bool) -> Attributes:
    """What spans and metrics both say of a turn."""
    said: Attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": AGENT}
    return said | {"error.type": error_type(error)} if failed else said


def invocation_span(turn: Turn, stop_reason: str | None) -> Attributes:
    """What a span says of a turn, besides."""
    request = turn.request
    said: Attributes = {
        "gen_ai.conversation.id": request.conversation_id,
        "gen_ai.request.model": turn.settings.models[request.model or turn.settings.MODEL_PRIMARY].id,
        "gen_ai.response.finish_reasons": [stop_reason or "error"],
        "rom.turn.id": turn.id,
        "rom.request.id": turn.request_id,
        "rom.route": turn.route,
        "rom.cohort": turn.cohort,
        "rom.mode": request.mode,
        "rom.stream": request.stream,
        "rom.flags_version": turn.snapshot.version,
        "rom.iterations": turn.iterations,
        "rom.model_requests": turn.model_requests,
        "rom.degraded": turn.degraded,
    }
    if request.key_name:
        said["rom.api_key"] = request.key_name
    if turn.stand_in:
        said["rom.stand_in"] = True
    return said | tokens(turn.usage) if turn.model_requests else said


def tool_run(call: ToolCall, error: str) -> Attributes:
    """What spans and metrics both say of one run of a tool; `error` is the reason of an error result, else ""."""
    said: Attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool_name(call),
        "gen_ai.tool.type": "function",
    }
    return said | {"error.type": error} if error else said
