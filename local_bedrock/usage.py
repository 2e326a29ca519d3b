"""Token accounting of the local Bedrock, with prompt caching.

A token is four characters of the compact JSON of a block, or of the text of an answer, rounded up; images and documents
that are not text count for far less than their bytes, as on Bedrock. A cachePoint closes
a prefix (tools, then system, then messages). A prefix that is long enough for the model is written when first seen and
read while its time to live, renewed by every read, has not passed. As on Bedrock a cached prefix is also found when
its cachePoint has moved on, up to 20 blocks before one of the request's points; and `inputTokens` excludes cached
tokens.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from local_bedrock.clock import Clock
from local_bedrock.models import ModelInfo, has_cache_point

_LOOKBACK = 20
_SECONDS = {"5m": 300.0, "1h": 3600.0}
_REMEMBERED = 10_000


class _Boundary(NamedTuple):
    digest: bytes
    tokens: int
    seconds: float | None  # time to live if a cachePoint stands here


class _Entry(NamedTuple):
    expires: float
    seconds: float


def tokens_of(characters: int) -> int:
    """Tokens of a text of so many characters."""
    return -(-characters // 4)


def prompt_tokens(body: dict[str, Any]) -> int:
    """Tokens of a whole request: tools, system, messages."""
    return tokens_of(sum(len(text) for text, _ in _blocks(body)))


class UsageMeter:
    """Counts tokens and remembers cached prefixes, per model id; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cached: OrderedDict[tuple[str, bytes], _Entry] = OrderedDict()

    def clear(self) -> None:
        """Forget all cached prefixes."""
        with self._lock:
            self._cached.clear()

    def measure(self, model_id: str, model: ModelInfo, body: dict[str, Any], output_tokens: int) -> dict[str, Any]:
        """The `usage` member for this request; the prefixes that it marks are cached from now on."""
        if model.cache_minimum is None or not has_cache_point(body):
            return _usage(prompt_tokens(body), output_tokens, 0, 0)
        boundaries = _boundaries(model_id, body)
        marked = [
            number
            for number, boundary in enumerate(boundaries)
            if boundary.seconds is not None and boundary.tokens >= model.cache_minimum
        ]
        with self._lock:
            read, written = self._look_up(model_id, boundaries, marked)
        usage = _usage(boundaries[-1].tokens - read - written, output_tokens, read, written)
        hours = [boundaries[number].tokens for number in marked if boundaries[number].seconds == _SECONDS["1h"]]
        hour = max(0, max(hours, default=0) - read)
        details = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in (("1h", hour), ("5m", written - hour))]
        return usage | {"cacheDetails": [detail for detail in details if detail["inputTokens"]]} if written else usage

    def _look_up(self, model_id: str, boundaries: list[_Boundary], marked: list[int]) -> tuple[int, int]:
        now, read = self._clock.monotonic(), 0
        reachable = {number for point in marked for number in range(max(0, point - _LOOKBACK), point + 1)}
        for number in sorted(reachable):
            key = (model_id, boundaries[number].digest)
            entry = self._cached.get(key)
            if entry is not None and entry.expires > now:
                read = boundaries[number].tokens
                self._remember(key, now, entry.seconds)
        for number in marked:
            key, seconds = (model_id, boundaries[number].digest), boundaries[number].seconds or 0.0
            # What is read is not paid for a longer life.
            if (entry := self._cached.get(key)) is not None and entry.expires > now:
                seconds = min(seconds, entry.seconds)
            self._remember(key, now, seconds)
        return read, max(0, boundaries[marked[-1]].tokens - read) if marked else 0

    def _remember(self, key: tuple[str, bytes], now: float, seconds: float) -> None:
        self._cached.pop(key, None)
        self._cached[key] = _Entry(now + seconds, seconds)
        if len(self._cached) > _REMEMBERED:
            self._cached.popitem(last=False)


def _usage(fresh: int, output: int, read: int, written: int) -> dict[str, int]:
    return {
        "inputTokens": fresh,
        "outputTokens": output,
        "totalTokens": fresh + output + read + written,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }


def _boundaries(model_id: str, body: dict[str, Any]) -> list[_Boundary]:
    """The ends of all blocks, in order; the digest covers everything up to there."""
    boundaries: list[_Boundary] = []
    running, characters = blake2b(model_id.encode(), digest_size=16), 0
    for text, point in _blocks(body):
        if point is None:
            running.update(text.encode("utf-8", "surrogatepass"))
            characters += len(text)
            boundaries.append(_Boundary(running.copy().digest(), tokens_of(characters), None))
        elif boundaries:
            boundaries[-1] = boundaries[-1]._replace(seconds=_SECONDS[point.get("ttl") or "5m"])
    return boundaries


def _blocks(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Compact JSON of each block with the list it belongs to, and the cachePoint if it is one (its text is empty)."""
    lists = [("tools", (body.get("toolConfig") or {}).get("tools") or []), ("system", body.get("system") or [])]
    lists += [(message["role"], message["content"]) for message in body["messages"]]
    for owner, blocks in lists:
        for block in blocks:
            if point := block.get("cachePoint"):
                yield "", point
            else:
                yield owner + _ENCODE(_without_bytes(block)), None


def _without_bytes(block: dict[str, Any]) -> dict[str, Any]:
    """The block with a short text in the place of the bytes of an image, a PDF or an office document."""
    kind, value = next(iter(block.items()))
    if kind == "toolResult":
        return {kind: {**value, "content": [_without_bytes(one) for one in value["content"]]}}
    if kind not in ("image", "document") or value.get("format") in _AS_TEXT:
        return block
    data = (value.get("source") or {}).get("bytes") or ""
    characters = _IMAGE_CHARACTERS if kind == "image" else len(data) // _BYTES_A_CHARACTER
    digest = blake2b(str(data).encode(), digest_size=16).hexdigest()
    return {kind: {**value, "source": {"bytes": digest + "." * characters}}}


_AS_TEXT = ("csv", "html", "md", "txt")
# 1,600 tokens: those of a picture of some 1,500 by 800 pixels.
_IMAGE_CHARACTERS = 6400
_BYTES_A_CHARACTER = 25
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
