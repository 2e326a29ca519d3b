"""An office whose requests the local Bedrock counts: what was paid with caching, and what would have been without."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from settings_support import packaged_models

import local_bedrock.usage
from local_bedrock.models import ModelInfo, resolve_model
from local_bedrock.usage import UsageMeter
from local_bedrock.validation import validate
from plugins.prompt_caching.planner import Ask, Decided, Planner, tool_forced
from plugins.prompt_caching.prefixes import Reader
from rom_core.concurrency.clock import FakeClock
from rom_core.conversation import place_cache_points
from rom_core.settings import Model
from rom_core.telemetry.accounts import cost_usd, uncached_cost_usd
from rom_core.turn_values import Usage

_LIVE = [model for model in packaged_models().values() if not model.end_of_life]
_LONG = next(model for model in _LIVE if model.price_bands)
# The band is met by prompts of a size that a test can send often.
BANDED = replace(_LONG, price_bands=(replace(_LONG.price_bands[0], above_input_tokens=3000),))
MODELS = [BANDED if model is _LONG else model for model in _LIVE]


def message(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    """A message of these blocks."""
    return {"role": role, "content": list(blocks)}


def tools(count: int) -> list[dict[str, Any]]:
    """So many tools."""
    return [
        {"toolSpec": {"name": f"look{number}", "description": "d" * 400, "inputSchema": {"json": {"type": "object"}}}}
        for number in range(count)
    ]


@dataclass
class Talk:
    """A turn in progress: `messages` so far, what its model is asked with, how many calls it made."""

    model: Model
    system: str
    tools: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    reader: Reader = field(default_factory=Reader)
    calls: int = 0


@dataclass
class Flight:
    """A request on the wire: what was decided of it, what the service counts, and what it will have kept."""

    talk: Talk
    decided: Decided
    usage: Usage
    kept: OrderedDict[Any, Any]


class Office:
    """One process of caching in front of one local Bedrock. What a request writes can be read once it is answered."""

    def __init__(self, planner: Planner | None = None, advance: float = 0.0) -> None:
        self.clock, self.planner, self.advance = FakeClock(), planner or Planner(), advance
        self.kept: OrderedDict[Any, Any] = OrderedDict()
        self.paid = self.uncached = self.unforeseen = 0.0
        self.decided: list[tuple[Talk, Decided]] = []
        self.flying: list[Flight] = []

    def check(self) -> None:
        """The bound, that whatever credit is left could be lost without breaking it, and that no request lost more than
        was reserved for it."""
        assert self.unforeseen <= 1e-12
        credit = self.planner.status()["credit_usd"]
        assert credit >= 0
        assert self.paid <= 1.01 * self.uncached + self.advance - credit + 1e-6

    def send(self, talk: Talk, *, closing: bool = False, forced: bool = False) -> None:
        """Decide on the talk's next request and put it on the wire."""
        talk.calls += 1
        choice: dict[str, Any] = {"toolChoice": {"any": {}}} if forced and talk.model.forced_tool_choice else {}
        request: dict[str, Any] = {
            "system": [{"text": talk.system}],
            "toolConfig": {"tools": talk.tools, **choice},
            "messages": talk.messages,
        }
        reading = talk.reader.read(talk.model.id, request)
        ask = Ask(talk.model, reading, talk.calls, closing, tool_forced(request))
        decided = self.planner.decide(ask, self.clock.monotonic(), self.advance)
        self.decided.append((talk, decided))
        sent = dict(request)
        if choice and talk.model.thinking == "adaptive":
            # As the normaliser has it: a model that may think unasked does not where a tool is forced.
            sent["additionalModelRequestFields"] = {"thinking": {"type": "disabled"}}
        place_cache_points(sent, static=decided.plan.static, moving=decided.plan.moving)
        assert validate(talk.model.id, "ConverseStream", sent) is None
        meter = UsageMeter(self.clock)
        meter._cached = self.kept.copy()
        self.flying.append(Flight(talk, decided, count(meter, talk.model, sent), meter._cached))

    def answer(self, number: int = 0, *, outcome: str = "ok") -> None:
        """A request's end: "ok", "refused" (not billed), or "lost" (billed, but nobody says how much)."""
        flight = self.flying.pop(number)
        now = self.clock.monotonic()
        if outcome == "refused":
            self.planner.settle(flight.decided, None, now, billed=False)
            return
        for key, entry in flight.kept.items():
            if key not in self.kept or self.kept[key].expires < entry.expires:
                self.kept[key] = entry
        model, usage = flight.decided.ask.model, flight.usage
        self.planner.settle(flight.decided, usage if outcome == "ok" else None, now)
        self.paid += cost_usd(model, usage)
        self.uncached += uncached_cost_usd(model, usage)
        lost = cost_usd(model, usage) - uncached_cost_usd(model, usage)
        self.unforeseen = max(self.unforeseen, lost - flight.decided.reserved)

    def turn(self, model: Model, system: str, history: list[Any], calls: int, size: int) -> None:
        """A whole turn of so many calls; `history` grows by what a client keeps, question and answer."""
        talk = Talk(model, system, tools(1), [*history, message("user", {"text": "q" * size})])
        for _ in range(calls):
            self.send(talk)
            self.clock.advance(2.0)
            self.answer()
            look(talk, size)
        history += [message("user", {"text": "q" * size}), message("assistant", {"text": "a" * 200})]


def look(talk: Talk, size: int) -> None:
    """The model has asked for a tool, whose result has this size."""
    use = {"toolUseId": f"t{talk.calls}", "name": "look0", "input": {}}
    result = {"toolUseId": f"t{talk.calls}", "content": [{"text": "r" * size}]}
    talk.messages = [*talk.messages, message("assistant", {"toolUse": use}), message("user", {"toolResult": result})]


def count(meter: UsageMeter, model: Model, request: dict[str, Any]) -> Usage:
    """What the local Bedrock says of a request."""
    known = resolve_model(model.id)
    assert isinstance(known, ModelInfo)
    found = meter.measure(model.id, known, request, 60)
    hour = sum(part["inputTokens"] for part in found.get("cacheDetails", ()) if part["ttl"] == "1h")
    read, written = found["cacheReadInputTokens"], found["cacheWriteInputTokens"]
    return Usage(found["inputTokens"], found["outputTokens"], read, written, hour)


def count_otherwise(patch: pytest.MonkeyPatch, knee: int, preamble: int) -> None:
    """Four characters a token up to `knee` characters of a prompt, one a token beyond: no text has more. `preamble` is
    what the service adds to each prompt."""
    plain: Callable[[int], int] = local_bedrock.usage.tokens_of
    patch.setattr(local_bedrock.usage, "tokens_of", lambda n: preamble + plain(min(n, knee)) + max(0, n - knee))
