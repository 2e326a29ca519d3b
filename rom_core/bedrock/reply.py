"""Reading a ConverseStream: events in, one complete reply out.

A stream is complete when `messageStop` was seen; boto3 itself ends a broken one silently, and hands over an event whose
payload did not parse as one with nothing in it. Usage and latency come in the `metadata` event after `messageStop`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol, TypeVar

from rom_core.conversation.values import clean_text
from rom_core.errors import ModelMalformedReply, ModelStreamTruncated
from rom_core.turn_values import ModelReply, Usage

MALFORMED = ("malformed_model_output", "malformed_tool_use")
# Stop reasons for which the last block may have ended before its first piece.
_OUT_OF_ROOM = ("max_tokens", "model_context_window_exceeded")


def _nobody(_piece: Mapping[str, Any]) -> None:
    """Where nobody wants to know that a model thinks."""


class Cited(Protocol):
    """Whoever checks citations (`conversation.citing.CitedBlocks`)."""

    def begin(self) -> None:
        """A text block begins."""

    def end(self, citations: list[Mapping[str, Any]], text: str) -> list[dict[str, Any]]:
        """It has ended; those of its citations that stay."""


class ReplyBuilder:
    """Collects the events of one stream. `on_text` is called with every piece of text as it arrives.

    `on_thinking` is called with the pieces of reasoning, as Converse has them, and first with nothing as soon as a
    model that `thinks` by itself has begun. Citations stay as far as `cited` lets them. `usage` and `latency_ms` are
    None until, and unless, Bedrock says; `stop_reason` is None until `messageStop`.
    """

    def __init__(
        self,
        model: str,
        on_text: Callable[[str], None],
        on_thinking: Callable[[Mapping[str, Any]], None] = _nobody,
        *,
        thinks: bool = False,
        cited: Cited | None = None,
    ) -> None:
        """`model` is the alias that the reply carries."""
        self.model = model
        self.usage: Usage | None = None
        self.latency_ms: int | None = None
        self.stop_reason: str | None = None
        self._on_text = on_text
        self._on_thinking = on_thinking
        self._thinks = thinks
        self._cited = cited
        self._blocks: dict[int, _Block] = {}

    def feed(self, event: Mapping[str, Any]) -> None:
        """Take one event as boto3 yields it; what is unknown is passed over.

        Raises ModelStreamTruncated for an event that lost its payload or contradicts the ones before it, and whatever
        `on_text` raises.
        """
        try:
            text = self._take(event)
        except (AttributeError, KeyError, TypeError) as error:
            raise ModelStreamTruncated(
                kind="bad_event", upstream_message=f"{', '.join(event)}: {type(error).__name__}"
            ) from error
        if text:
            self._on_text(text)

    def build(self) -> ModelReply:
        """The reply.

        Raises ModelStreamTruncated without a `messageStop`; ModelMalformedReply if the model says so, asks for tools
        and names none, or asks for one with an input that is not JSON although it was not cut short.
        """
        if self.stop_reason is None:
            raise ModelStreamTruncated(kind="no_message_stop")
        if self.stop_reason in MALFORMED:
            raise ModelMalformedReply(kind=self.stop_reason)
        content: list[dict[str, Any]] = []
        cut = False
        for index in sorted(self._blocks):
            block = self._blocks[index]
            if isinstance(block, _ToolUse) and not block.whole(may_be_cut=self._may_be_cut(index)):
                if self.stop_reason == "tool_use":
                    raise ModelMalformedReply(kind="malformed_tool_input")
                cut = True
            elif (made := block.made()) is not None:
                content.append(made)
        if self.stop_reason == "tool_use" and not any("toolUse" in block for block in content):
            raise ModelMalformedReply(kind="no_tool_use")
        return ModelReply(tuple(content), self.stop_reason, self.model, self.usage, self.latency_ms, cut)

    def _may_be_cut(self, index: int) -> bool:
        return self.stop_reason in _OUT_OF_ROOM and index == max(self._blocks)

    def _take(self, event: Mapping[str, Any]) -> str:
        """Keep what the event says; the text it brings for the client."""
        if "contentBlockDelta" in event:
            body = event["contentBlockDelta"]
            return self._delta(body["contentBlockIndex"], body["delta"])
        if "contentBlockStart" in event:
            self._start(event["contentBlockStart"]["contentBlockIndex"], event["contentBlockStart"].get("start", {}))
        elif "contentBlockStop" in event:
            self._end(self._blocks.get(event["contentBlockStop"]["contentBlockIndex"]))
        elif "messageStart" in event:
            if self._thinks:
                self._on_thinking({})
        elif "messageStop" in event:
            for block in self._blocks.values():
                self._end(block)
            self.stop_reason = _string(event["messageStop"]["stopReason"])
        elif "metadata" in event:
            self._metadata(event["metadata"])
        return ""

    def _start(self, index: int, start: Mapping[str, Any]) -> None:
        if "toolUse" in start:
            if index in self._blocks:
                raise KeyError(index)
            use = start["toolUse"]
            self._blocks[index] = _ToolUse(clean_text(_string(use["toolUseId"])), clean_text(_string(use["name"])))

    def _delta(self, index: int, delta: Mapping[str, Any]) -> str:
        if "text" in delta:
            return self._text(index).add(delta["text"])
        if "citation" in delta:
            self._text(index).citations.append(dict(delta["citation"]))
            return ""
        if "toolUse" in delta:
            block = self._blocks[index]
            if not isinstance(block, _ToolUse):
                raise TypeError("not a tool use")
            block.add(delta["toolUse"]["input"])
        elif "reasoningContent" in delta:
            self._block(index, _Reasoning).add(delta["reasoningContent"])
            self._on_thinking(delta["reasoningContent"])
        return ""

    def _text(self, index: int) -> _Text:
        if self._cited is not None and index not in self._blocks:
            self._cited.begin()
        return self._block(index, _Text)

    def _end(self, block: _Block | None) -> None:
        """Check the citations of a text block that has ended, once."""
        if isinstance(block, _Text) and block.citations:
            given, block.citations = block.citations, []
            if self._cited is not None:
                block.held += self._cited.end(given, "".join(block.pieces))

    def _block(self, index: int, kind: type[_B]) -> _B:
        block = self._blocks.setdefault(index, kind())
        if not isinstance(block, kind):
            raise TypeError("another kind of block")
        return block

    def _metadata(self, event: Mapping[str, Any]) -> None:
        if "usage" in event:
            usage = event["usage"]
            self.usage = Usage(
                usage.get("inputTokens", 0),
                usage.get("outputTokens", 0),
                usage.get("cacheReadInputTokens", 0),
                usage.get("cacheWriteInputTokens", 0),
                _kept_for_an_hour(usage),
            )
        self.latency_ms = event.get("metrics", {}).get("latencyMs", self.latency_ms)


class _Text:
    """A text block; empty ones are not part of a reply, since Bedrock refuses to take them back."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.citations: list[Mapping[str, Any]] = []
        self.held: list[dict[str, Any]] = []
        self._half = ""

    def add(self, piece: Any) -> str:
        # A character outside the BMP may arrive as two escapes in two pieces; half of one is no text yet.
        text = self._half + _string(piece)
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self.pieces.append(clean_text(text.removesuffix(self._half)))
        return self.pieces[-1]

    def made(self) -> dict[str, Any] | None:
        text = "".join(self.pieces)
        if text and self.held:
            return {"citationsContent": {"content": [{"text": text}], "citations": self.held}}
        return {"text": text} if text else None


class _Reasoning:
    """A reasoning block: text with a signature, or redacted bytes."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.signature: list[str] = []
        self.redacted: list[bytes] = []

    def add(self, piece: Mapping[str, Any]) -> None:
        if "text" in piece:
            self.text.append(_string(piece["text"]))
        elif "signature" in piece:
            self.signature.append(_string(piece["signature"]))
        elif "redactedContent" in piece:
            self.redacted.append(piece["redactedContent"])

    def made(self) -> dict[str, Any] | None:
        if self.redacted:
            return {"reasoningContent": {"redactedContent": b"".join(self.redacted)}}
        if not self.text and not self.signature:
            return None
        text = {"text": "".join(self.text)}
        if self.signature:
            text["signature"] = "".join(self.signature)
        return {"reasoningContent": {"reasoningText": text}}


class _ToolUse:
    """A request for a tool, whose input arrives as pieces of JSON; one without arguments may send none at all."""

    def __init__(self, tool_use_id: str, name: str) -> None:
        self.tool_use_id = tool_use_id
        self.name = name
        self.pieces: list[str] = []

    def add(self, piece: Any) -> None:
        self.pieces.append(_string(piece))

    def whole(self, *, may_be_cut: bool) -> bool:
        """Whether the input is JSON. No input is `{}`, unless the reply `may_be_cut` right here."""
        if not self._json:
            return not may_be_cut
        try:
            self.made()
        except (ValueError, RecursionError):
            return False
        return True

    def made(self) -> dict[str, Any]:
        given = json.loads(self._json, parse_constant=_not_json) if self._json else {}
        return {"toolUse": {"toolUseId": self.tool_use_id, "name": self.name, "input": given}}

    @property
    def _json(self) -> str:
        return "".join(self.pieces).strip()


_Block = _Text | _Reasoning | _ToolUse
_B = TypeVar("_B", _Text, _Reasoning)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _kept_for_an_hour(usage: Mapping[str, Any]) -> int:
    details = usage.get("cacheDetails") or ()
    hour = sum(detail.get("inputTokens", 0) for detail in details if detail.get("ttl") == "1h")
    return int(min(hour, usage.get("cacheWriteInputTokens", 0)))
