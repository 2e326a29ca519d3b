"""The gen_ai.* metrics of the conventions, v0.1.0, and those that they had before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.metrics import Histogram, MeterProvider

from plugins.telemetry import conventions
from rom_core import __version__
from rom_core.turn import ModelCall
from rom_core.turn_values import ModelReply, Usage

Attributes = Mapping[str, Any]
_SECONDS = tuple(0.01 * 2**power for power in range(14))
_AGENT_SECONDS = tuple(0.1 * 2**power for power in range(13))
_TOKENS = tuple(4**power for power in range(14))
_CALLS = tuple(2**power for power in range(8))
_USAGE = {
    "input_tokens": "Input tokens, those read from the cache and written to it included.",
    "output_tokens": "Output tokens.",
    "cache_read.input_tokens": "Input tokens read from the cache.",
    "cache_write.input_tokens": "Input tokens written to the cache.",
}


class Meters:
    """The instruments; safe from any thread."""

    def __init__(self, provider: MeterProvider) -> None:
        self._meter = provider.get_meter("rom_agent", __version__)
        self._inference = self._seconds("gen_ai.client.inference.duration", "How long model calls take.")
        self._first_chunk = self._seconds(
            "gen_ai.client.inference.time_to_first_chunk", "From the first request of a model call to its first text."
        )
        self._usage = {
            name: self._meter.create_counter(f"gen_ai.client.inference.usage.{name}", "{token}", text)
            for name, text in _USAGE.items()
        }
        self._input = self._tokens("gen_ai.client.inference.operation.input_tokens", "Input tokens of a model call.")
        self._output = self._tokens("gen_ai.client.inference.operation.output_tokens", "Output tokens of a model call.")
        self._agent = self._seconds("gen_ai.invoke_agent.duration", "How long turns take.", _AGENT_SECONDS)
        self._agent_inferences = self._histogram(
            "gen_ai.invoke_agent.inference_calls", "{inference_call}", "Model calls of a turn.", _CALLS
        )
        self._agent_tools = self._histogram(
            "gen_ai.invoke_agent.tool_calls", "{tool_call}", "Runs of tools of a turn.", _CALLS
        )
        self._tool = self._seconds("gen_ai.execute_tool.duration", "How long tools take.")
        self._old: tuple[Histogram, Histogram, Histogram] | None = None

    def inference(
        self, call: ModelCall, reply: ModelReply | None, duration: float, attributes: Attributes, *, old_names: bool
    ) -> None:
        """One model call."""
        self._inference.record(duration, attributes)
        usage = conventions.usage_of(call)
        first = conventions.time_to_first_chunk(call) if reply is not None else None
        if first is not None:
            self._first_chunk.record(first, attributes)
        same = {name: value for name, value in attributes.items() if name != "error.type"}
        self._count(call, same, usage)
        if usage is not None:
            self._input.record(usage.prompt_tokens, same)
            self._output.record(usage.output_tokens, same)
        if old_names:
            self._under_old_names(duration, first, usage, attributes, same)

    def turn(self, duration: float, calls: int, tools: int, attributes: Attributes) -> None:
        """One turn, with how many model calls and tools it had."""
        same = {"gen_ai.agent.name": attributes["gen_ai.agent.name"]}
        self._agent.record(duration, attributes)
        self._agent_inferences.record(calls, same)
        self._agent_tools.record(tools, same)

    def tool(self, duration: float, attributes: Attributes) -> None:
        """One run of a tool."""
        self._tool.record(duration, attributes)

    def _count(self, call: ModelCall, attributes: Attributes, usage: Usage | None) -> None:
        """A request whose usage never arrived counts 0: it is one, and nobody knows of what."""
        if usage is None:
            for name in ("input_tokens", "output_tokens"):
                self._usage[name].add(0, {**attributes, "gen_ai.token.modality": "unknown"})
            return
        # Bedrock does not say which input tokens were those of a picture or a document.
        given = "unknown" if _has_media(call) else "text"
        for name, count, modality in (
            ("input_tokens", usage.prompt_tokens, given),
            ("output_tokens", usage.output_tokens, "text"),
            ("cache_read.input_tokens", usage.cache_read_tokens, given),
            ("cache_write.input_tokens", usage.cache_write_tokens, given),
        ):
            if count or "." not in name:
                self._usage[name].add(count, {**attributes, "gen_ai.token.modality": modality})

    def _under_old_names(
        self, duration: float, first: float | None, usage: Usage | None, attributes: Attributes, same: Attributes
    ) -> None:
        if self._old is None:
            self._old = (
                self._seconds("gen_ai.client.operation.duration", "How long model calls take."),
                self._seconds("gen_ai.client.operation.time_to_first_chunk", "From a request to its first text."),
                self._tokens("gen_ai.client.token.usage", "Tokens of a model call."),
            )
        seconds, first_chunk, tokens = self._old
        seconds.record(duration, attributes)
        if first is not None:
            first_chunk.record(first, attributes)
        if usage is not None:
            tokens.record(usage.prompt_tokens, {**same, "gen_ai.token.type": "input"})
            tokens.record(usage.output_tokens, {**same, "gen_ai.token.type": "output"})

    def _seconds(self, name: str, text: str, bounds: Sequence[float] = _SECONDS) -> Histogram:
        return self._histogram(name, "s", text, bounds)

    def _tokens(self, name: str, text: str) -> Histogram:
        return self._histogram(name, "{token}", text, _TOKENS)

    def _histogram(self, name: str, unit: str, text: str, bounds: Sequence[float]) -> Histogram:
        return self._meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=list(bounds))


def _has_media(call: ModelCall) -> bool:
    return any("image" in block or "document" in block for said in call.turn.messages for block in said["content"])
