"""Prefixes of requests, recognised by their bytes: a digest over model, tools, system and messages.

No conversation_id is needed, and nothing of the text is kept.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

MAX_PREFIXES = 10_000
LOOKBACK_BLOCKS = 20
LIVES = {"5m": 300.0, "1h": 3600.0}
_PAUSES = 4
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr).encode


@dataclass(frozen=True, slots=True)
class Boundary:
    """The end of a message: the digest of all up to it, its characters, and the number of blocks up to it."""

    digest: bytes
    characters: int
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
    _running: Any = None

    def read(self, model_id: str, request: Mapping[str, Any]) -> Reading:
        """The prefixes of a normalised request."""
        tools = (request.get("toolConfig") or {}).get("tools") or []
        system = request.get("system") or []
        if self._static is None or model_id != self._model or self._lists != (tools, system):
            text = _encode(["tools", tools, "system", system])
            self._running = blake2b(f"{model_id}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16)
            self._static = Boundary(self._running.digest(), len(text), len(tools) + len(system))
            self._model, self._lists = model_id, (tools, system)
            self._messages, self._ends = [], []
        messages = request["messages"]
        if len(messages) < len(self._messages) or any(
            one is not other for one, other in zip(self._messages, messages, strict=False)
        ):
            self._running = blake2b(self._static.digest, digest_size=16)
            self._messages, self._ends = [], []
        for message in messages[len(self._messages) :]:
            text = _encode([message["role"], message["content"]])
            self._running.update(text.encode("utf-8", "surrogatepass"))
            before = self._ends[-1] if self._ends else self._static
            blocks = before.blocks + len(message["content"])
            self._ends.append(Boundary(self._running.digest(), before.characters + len(text), blocks))
            self._messages.append(message)
        return Reading(self._static, tuple(self._ends))


@dataclass(slots=True)
class Known:
    """What is known of a prefix: when it was last used, and until when the service keeps it (0: it does not).

    `kind` is the kind of point that wrote it. `pauses` are the last ones longer than five minutes, in seconds.
    """

    last_use: float
    kept_until: float = 0.0
    life: float = 0.0
    kind: str = ""
    pauses: tuple[float, ...] = ()

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
