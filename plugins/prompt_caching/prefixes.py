"""Prefixes of requests, recognised by their bytes: a digest over model, tools, system and messages.

No conversation_id is needed, and nothing of the text is kept.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

MAX_PREFIXES = 10_000
LOOKBACK_BLOCKS = 20
LIVES = {"5m": 300.0, "1h": 3600.0}
_PAUSES = 4
# What the service may put before the tools, in tokens, and what an image comes to at most.
_TOOLS_PREAMBLE = 1000
_IMAGE = 5000
# Pages of a document may become any number of tokens.
UNBOUNDED = 10**9
_WITHOUT_BOUND = ("document", "video", "audio")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr).encode


@dataclass(frozen=True, slots=True)
class Boundary:
    """The end of a message: the digest of all up to it, the most tokens that it can be, and the blocks up to it.

    A token is at least one byte of UTF-8, so that the bytes of a text are the most tokens that it can be.
    """

    digest: bytes
    at_most: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A request as prefixes: the static one (tools and system), and the ends of its messages."""

    static: Boundary
    ends: tuple[Boundary, ...]


@dataclass(slots=True)
class Reader:
    """Reads the requests of one turn; what the last one had already is not read again."""

    _model: str = ""
    _lists: tuple[list[Any], list[Any]] = ([], [])
    _static: Boundary | None = None
    _messages: list[Any] = field(default_factory=list)
    _ends: list[Boundary] = field(default_factory=list)
    _beginning: Any = None
    _running: Any = None

    def read(self, model_id: str, request: Mapping[str, Any]) -> Reading:
        """The prefixes of a normalised request."""
        tools = (request.get("toolConfig") or {}).get("tools") or []
        system = request.get("system") or []
        if self._static is None or model_id != self._model or self._lists != (tools, system):
            text = f"{model_id}\0{_encode(['tools', tools, 'system', system])}".encode("utf-8", "surrogatepass")
            self._beginning = blake2b(text, digest_size=16)
            self._running = self._beginning.copy()
            at_most = len(text) + (_TOOLS_PREAMBLE if tools else 0) + _beside_text(system)
            self._static = Boundary(self._running.digest(), at_most, len(tools) + len(system))
            self._model, self._lists = model_id, (tools, system)
            self._messages, self._ends = [], []
        messages = request["messages"]
        if len(messages) < len(self._messages) or any(
            one is not other for one, other in zip(self._messages, messages, strict=False)
        ):
            self._running = self._beginning.copy()
            self._messages, self._ends = [], []
        for message in messages[len(self._messages) :]:
            content = message["content"]
            text = _encode([message["role"], content]).encode("utf-8", "surrogatepass")
            self._running.update(text)
            before = self._ends[-1] if self._ends else self._static
            at_most = before.at_most + len(text) + _beside_text(content)
            self._ends.append(Boundary(self._running.digest(), at_most, before.blocks + len(content)))
            self._messages.append(message)
        return Reading(self._static, tuple(self._ends))


def _beside_text(content: Sequence[Mapping[str, Any]]) -> int:
    """The most tokens that blocks may come to beyond their bytes."""
    tokens = 0
    for block in content:
        if "image" in block:
            tokens += _IMAGE
        elif any(kind in block for kind in _WITHOUT_BOUND):
            tokens += UNBOUNDED
        elif "toolResult" in block:
            tokens += _beside_text(block["toolResult"].get("content") or ())
    return tokens


@dataclass(slots=True)
class Known:
    """What is known of a prefix: when it was last used, and until when the service keeps it (0: it does not).

    `kind` is the kind of point that wrote it. `pauses` are the last ones longer than five minutes, in seconds. `tokens`
    are the most that it has by what the service counted; None while it counted nothing.
    """

    last_use: float
    kept_until: float = 0.0
    life: float = 0.0
    kind: str = ""
    pauses: tuple[float, ...] = ()
    tokens: int | None = None

    def counted(self, tokens: int) -> None:
        """A request that begins with it had a prompt of so many tokens."""
        self.tokens = tokens if self.tokens is None else min(tokens, self.tokens)

    def used(self, now: float) -> None:
        """It is used now: its life is renewed."""
        pause = now - self.last_use
        if pause > LIVES["5m"]:
            self.pauses = (*self.pauses, pause)[-_PAUSES:]
        self.last_use = now
        if self.kept_until > now:
            self.kept_until = now + self.life

    @property
    def pauses_for_an_hour(self) -> bool:
        """Whether a life of an hour pays: of the last pauses that five minutes did not outlive, it would nearly all."""
        within = [pause <= LIVES["1h"] for pause in self.pauses]
        return len(within) >= _PAUSES - 1 and within[-1] and sum(within) >= _PAUSES - 1


class Memory:
    """The last MAX_PREFIXES prefixes that were used, by digest; not thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, digest: bytes) -> Known | None:
        """What is known of it."""
        return self._known.get(digest)

    def use(self, digest: bytes, now: float) -> Known:
        """It is used now; what is known of it, from now on."""
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = Known(now)
            if len(self._known) > MAX_PREFIXES:
                self._known.popitem(last=False)
        else:
            known.used(now)
            self._known.move_to_end(digest)
        return known
