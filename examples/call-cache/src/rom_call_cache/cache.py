"""Answers that are remembered for a while, within a number of bytes. Nothing here knows of hooks."""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from rom_core.turn_values import ModelReply

_LASTING = frozenset({"end_turn", "stop_sequence"})


def digest(request: Mapping[str, Any], whose: str) -> str:
    """The same for what a model would answer alike, of the same API key, however its fields are ordered."""
    text = json.dumps([whose, _without_cache_points(request)], sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _without_cache_points(request: Mapping[str, Any]) -> dict[str, Any]:
    """They say what the service is to remember, and change from call to call; the model does not see them."""
    messages = [{**message, "content": _without(message["content"])} for message in request.get("messages", ())]
    plain = {**request, "messages": messages, "system": _without(request.get("system", ()))}
    if "toolConfig" in request:
        plain["toolConfig"] = {**request["toolConfig"], "tools": _without(request["toolConfig"]["tools"])}
    return plain


def _without(blocks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [block for block in blocks if "cachePoint" not in block]


def _plain(value: object) -> Any:
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def may_be_kept(reply: ModelReply) -> bool:
    """A whole answer of text alone: to repeat a request for a tool would run the tool again, with its effects."""
    return (
        reply.stop_reason in _LASTING and bool(reply.content) and all(set(block) == {"text"} for block in reply.content)
    )


class Cache:
    """The replies that were used last. All methods may be called from any thread; times are monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[ModelReply, float, int]] = OrderedDict()
        self._bytes = self._hits = self._misses = 0

    def get(self, key: str, now: float) -> ModelReply | None:
        """The reply, unless its time is over; without usage, for it costs nothing now."""
        with self._lock:
            reply, until, _ = self._kept.get(key, (None, 0.0, 0))
            if reply is not None and now < until:
                self._kept.move_to_end(key)
                self._hits += 1
                return dataclasses.replace(reply, content=copy.deepcopy(reply.content), usage=None, latency_ms=None)
            self._drop(key)
            self._misses += 1
            return None

    def put(self, key: str, reply: ModelReply, until: float, max_bytes: int) -> None:
        """Keep it until then; what was used longest ago goes as soon as all have more than `max_bytes` together."""
        size = len(key) + sum(len(block["text"].encode("utf-8", "surrogatepass")) for block in reply.content)
        with self._lock:
            self._drop(key)
            if size <= max_bytes:
                self._kept[key] = dataclasses.replace(reply, content=copy.deepcopy(reply.content)), until, size
                self._bytes += size
            while self._bytes > max_bytes:
                self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def figures(self) -> dict[str, int]:
        """How many answers are kept, their bytes, and how often one was found or not."""
        with self._lock:
            return {"kept": len(self._kept), "bytes": self._bytes, "hits": self._hits, "misses": self._misses}

    def _drop(self, key: str) -> None:
        if key in self._kept:
            self._bytes -= self._kept.pop(key)[2]
