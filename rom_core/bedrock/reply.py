"""Reading a ConverseStream: events in, one complete reply out.

A stream is complete when `messageStop` was seen; boto3 itself ends a broken one silently. Usage and latency come in the
`metadata` event after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rom_core.errors import ModelMalformedReply, ModelStreamTruncated
from rom_core.turn import ModelReply, Usage

MALFORMED = ("malformed_model_output", "malformed_tool_use")


class ReplyBuilder:
    """Collects the events of one stream. `on_text` is called with every piece of text as it arrives."""

    def __init__(self, model: str, on_text: Callable[[str], None]) -> None:
        self.model = model
        self.usage: Usage | None = None
        self.latency_ms: int | None = None
        self.stop_reason: str | None = None
        self._on_text = on_text
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}

    def feed(self, event: dict[str, Any]) -> None:
        """Take one event as boto3 yields it; what is unknown is passed over."""
        if "contentBlockDelta" in event:
            self._delta(event["contentBlockDelta"])
        elif "contentBlockStart" in event:
            start = event["contentBlockStart"]
            if "toolUse" in start.get("start", {}):
                use = start["start"]["toolUse"]
                index = start.get("contentBlockIndex", len(self._blocks))
                self._blocks[index] = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"], "input": {}}}
                self._inputs[index] = []
        elif "messageStop" in event:
            self.stop_reason = event["messageStop"].get("stopReason") or "unknown"
        elif "metadata" in event:
            self._metadata(event["metadata"])

    def build(self) -> ModelReply:
        """The reply. Raises ModelStreamTruncated without a `messageStop`, ModelMalformedReply if the model says so."""
        if self.stop_reason is None:
            raise ModelStreamTruncated(kind="no_message_stop")
        if self.stop_reason in MALFORMED:
            raise ModelMalformedReply(kind=self.stop_reason)
        content: list[dict[str, Any]] = []
        cut = False
        for index in sorted(self._blocks):
            block = self._blocks[index]
            if "toolUse" in block:
                complete, block["toolUse"]["input"] = self._input(index)
                if not complete:
                    cut = True
                    continue
            elif not block.get("text", "x"):
                continue
            content.append(block)
        return ModelReply(tuple(content), self.stop_reason, self.model, self.usage, self.latency_ms, cut)

    def _delta(self, event: dict[str, Any]) -> None:
        delta = event.get("delta", {})
        index = event.get("contentBlockIndex", 0)
        if "text" in delta:
            block = self._blocks.setdefault(index, {"text": ""})
            block["text"] = block.get("text", "") + delta["text"]
            self._on_text(delta["text"])
        elif "toolUse" in delta:
            self._inputs.setdefault(index, []).append(delta["toolUse"].get("input", ""))
        elif "reasoningContent" in delta:
            self._reasoning(index, delta["reasoningContent"])

    def _reasoning(self, index: int, piece: dict[str, Any]) -> None:
        block = self._blocks.setdefault(index, {"reasoningContent": {}})["reasoningContent"]
        if "redactedContent" in piece:
            block["redactedContent"] = block.get("redactedContent", b"") + piece["redactedContent"]
            return
        text = block.setdefault("reasoningText", {"text": ""})
        text["text"] += piece.get("text", "")
        if "signature" in piece:
            text["signature"] = piece["signature"]

    def _input(self, index: int) -> tuple[bool, Any]:
        """Whether a toolUse arrived whole, and its input; a tool without arguments sends no pieces at all."""
        text = "".join(self._inputs.get(index, ()))
        if not text.strip():
            return self.stop_reason != "max_tokens" or index != max(self._blocks), {}
        try:
            return True, json.loads(text)
        except ValueError:
            return False, {}

    def _metadata(self, event: dict[str, Any]) -> None:
        usage = event.get("usage")
        if usage is not None:
            self.usage = Usage(
                usage.get("inputTokens", 0),
                usage.get("outputTokens", 0),
                usage.get("cacheReadInputTokens", 0),
                usage.get("cacheWriteInputTokens", 0),
            )
        self.latency_ms = event.get("metrics", {}).get("latencyMs", self.latency_ms)
