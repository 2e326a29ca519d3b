"""The decision about cache points, and what became of it. No clock and no hooks: times are passed in.

Rules, of which exactly one explains each decision:

    model_without_caching   the model has no price for caching, or none that saves
    closing_call            nothing follows a closing call
    below_minimum           the request is too short for this model
    first_use               nobody used this beginning within its life: no second use is in sight
    no_credit               the ledger does not hold what the points might lose
    does_not_pay            such points have cost more than they saved, of late
    static_in_use           tools and system were used within their life: a point behind them, for five minutes
    static_hour             as before, for an hour: the pauses between uses say so
    second_call_certain     the model must ask for a tool, so the same beginning is sent again
    later_call              a turn's second call or later: a point at its end (and behind tools and system)
    living_conversation     a turn's first call, whose beginning was sent within five minutes: likewise
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plugins.prompt_caching.ledger import Ledger, Record, premium_usd
from plugins.prompt_caching.prefixes import LIVES, LOOKBACK_BLOCKS, UNBOUNDED, Boundary, Memory, Reading
from rom_core.settings import Model, PriceBand
from rom_core.telemetry.accounts import cost_usd, uncached_cost_usd
from rom_core.turn_values import CachePlan, Usage

RULES = (
    "model_without_caching",
    "closing_call",
    "below_minimum",
    "first_use",
    "no_credit",
    "does_not_pay",
    "static_in_use",
    "static_hour",
    "second_call_certain",
    "later_call",
    "living_conversation",
)
# Tokens of a byte while nothing was measured. It decides only whether a beginning is long enough for a point.
_TOKENS_PER_BYTE = 0.5
_MAX_CALL = 4
# What is written is to be read, by a point that has to be affordable as well.
_HEADROOM = 2.25
_MODELS = 1000


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to be decided on. `call` counts the model calls of the turn, from 1; 0 is one beside the answer."""

    model: Model
    reading: Reading
    call: int
    closing: bool = False
    tool_forced: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """A plan, what it may lose at most (USD, reserved), and what is needed to settle it.

    `source` is the kind of point that wrote the beginning which the service should have kept, None if it has none.
    """

    ask: Ask
    plan: CachePlan
    reserved: float = 0.0
    source: str | None = None


class Planner:
    """Decides and learns, for all turns of a process. Thread-safe; its memory is bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory = Memory()
        self._records: dict[tuple[str, str], Record] = {}
        self._per_byte: OrderedDict[str, float] = OrderedDict()
        self._ledger = Ledger()
        self._advanced = 0.0
        self.saved = 0.0
        self.decisions: dict[str, int] = dict.fromkeys(RULES, 0)

    def decide(self, ask: Ask, now: float, advance: float = 0.0) -> Decided:
        """The plan for a request that is sent at `now`. Each one is to be settled once."""
        with self._lock:
            # The setting may have grown since: only what is new is added.
            self._ledger.credit += max(0.0, advance - self._advanced)
            self._advanced = max(advance, self._advanced)
            decided = self._decide(ask, now)
            self.decisions[decided.plan.rule] += 1
            return decided

    def settle(self, decided: Decided, usage: Usage | None, now: float, *, billed: bool = True) -> None:
        """Book what came of it. Without usage, what was reserved is lost if it may have been `billed`."""
        with self._lock:
            ask, plan = decided.ask, decided.plan
            model = ask.model
            if usage is None:
                if not billed:
                    self._ledger.settle(decided.reserved, 0.0, 0.0)
                return
            cost, uncached = cost_usd(model, usage), uncached_cost_usd(model, usage)
            self.saved += uncached - cost
            self._ledger.settle(decided.reserved, cost, uncached)
            self._count(model.id, ask.reading, usage.prompt_tokens)
            if plan.static or plan.moving:
                self._learn(decided, usage, now)

    def status(self) -> dict[str, Any]:
        """For /admin/status."""
        with self._lock:
            return {
                "saved_usd": round(self.saved, 6),
                "credit_usd": round(self._ledger.credit, 6),
                "prefixes": len(self._memory),
                "decisions": dict(self.decisions),
            }

    # -- the decision ------------------------------------------------------------------------------------------------

    def _decide(self, ask: Ask, now: float) -> Decided:
        model, reading = ask.model, ask.reading
        static_known = self._memory.get(reading.static.digest)
        static_before = static_known.last_use if static_known is not None else None
        static = self._memory.use(reading.static.digest, now)
        alive = ask.call <= 1 and self._recently_sent(reading, now)
        source = self._source(reading, now)
        self._memory.use(reading.ends[-1].digest, now)
        bound = self._at_most(reading)
        prices = _possible_prices(model, bound)
        if not all(0 < one.price_cache_read < one.price_input and one.price_cache_write > 0 for one in prices):
            return Decided(ask, CachePlan("model_without_caching"))
        if ask.closing:
            return Decided(ask, CachePlan("closing_call"))
        per_byte = self._per_byte.get(model.id, _TOKENS_PER_BYTE)
        if self._expected(reading, per_byte) < model.cache_min_tokens:
            return Decided(ask, CachePlan("below_minimum"))
        long_enough = reading.static.at_most * per_byte >= model.cache_min_tokens
        hour = model.price_cache_write_1h > 0 and static.pauses_for_an_hour
        life: Literal["5m", "1h"] = "1h" if hour else "5m"
        wanted: list[CachePlan] = []
        if ask.call > 1 or alive:
            rule = "later_call" if ask.call > 1 else "living_conversation"
            wanted.append(CachePlan(rule, life if long_enough else "", moving=True))
        if long_enough and static_before is not None and now - static_before < LIVES[life]:
            wanted.append(CachePlan("static_hour" if hour else "static_in_use", life))
        elif long_enough and ask.tool_forced:
            wanted.append(CachePlan("second_call_certain", "5m"))
        if not wanted:
            return Decided(ask, CachePlan("first_use"))
        refusal = "does_not_pay"
        for plan in wanted:
            if not self._record(ask, plan).pays():
                continue
            kept = source if plan.moving else self._static_source(reading, now)
            worst = max(self._worst(reading, plan, one, bound) for one in prices)
            if self._ledger.reserve(worst, _HEADROOM if kept is None else 1.0):
                return Decided(ask, plan, worst, kept)
            refusal = "no_credit"
        return Decided(ask, CachePlan(refusal))

    def _worst(self, reading: Reading, plan: CachePlan, prices: PriceBand, bound: int) -> float:
        """The premium for all that stands before the points, as if the service had nothing of it."""
        static = 0
        if plan.static:
            known = self._memory.get(reading.static.digest)
            counted = known.tokens if known is not None else None
            static = min(reading.static.at_most, bound, *(() if counted is None else (counted,)))
        rest = max(0, bound - static) if plan.moving else 0
        return premium_usd(prices, static, hour=plan.static == "1h") + premium_usd(prices, rest)

    def _at_most(self, reading: Reading) -> int:
        """The most tokens that the prompt can have: what was counted of its beginning, and the bytes of the rest."""
        whole = reading.ends[-1].at_most
        for end in reversed(reading.ends):
            known = self._memory.get(end.digest)
            if known is not None and known.tokens is not None:
                return min(whole, known.tokens + whole - end.at_most)
        return whole

    def _expected(self, reading: Reading, per_byte: float) -> float:
        """The tokens that the prompt probably has."""
        return min(reading.ends[-1].at_most * per_byte, self._at_most(reading))

    def _recently_sent(self, reading: Reading, now: float) -> bool:
        """Whether an earlier request ended where one of this request's messages does, within five minutes."""
        known = (self._memory.get(end.digest) for end in reversed(reading.ends[:-1]))
        return any(one is not None and now - one.last_use < LIVES["5m"] for one in known)

    def _source(self, reading: Reading, now: float) -> str | None:
        """What wrote the longest beginning that the service should still have, within reach of a point at the end."""
        last = reading.ends[-1].blocks
        for end in reversed(reading.ends):
            if last - end.blocks > LOOKBACK_BLOCKS:
                return None
            known = self._memory.get(end.digest)
            if known is not None and known.kept_until > now:
                return known.kind
        return None

    def _static_source(self, reading: Reading, now: float) -> str | None:
        known = self._memory.get(reading.static.digest)
        return known.kind if known is not None and known.kept_until > now else None

    def _record(self, ask: Ask, plan: CachePlan) -> Record:
        return self._records.setdefault((ask.model.alias, _kind(ask, plan)), Record())

    # -- what it learns ----------------------------------------------------------------------------------------------

    def _learn(self, decided: Decided, usage: Usage, now: float) -> None:
        ask, plan = decided.ask, decided.plan
        model, reading = ask.model, ask.reading
        kind = _kind(ask, plan)
        prices = model.prices(usage.prompt_tokens)
        if usage.cache_write_tokens:
            premium = premium_usd(prices, usage.cache_write_tokens - usage.cache_write_1h_tokens)
            premium += premium_usd(prices, usage.cache_write_1h_tokens, hour=True)
            self._records.setdefault((model.alias, kind), Record()).wrote(premium)
        if usage.cache_read_tokens:
            saved = usage.cache_read_tokens * (prices.price_input - prices.price_cache_read) / 1_000_000
            self._records.setdefault((model.alias, decided.source or "static"), Record()).was_read(saved)
        if usage.cache_write_tokens or usage.cache_read_tokens:
            if plan.static:
                self._kept(reading.static, now, LIVES[plan.static], "static")
            if plan.moving:
                self._kept(reading.ends[-1], now, LIVES["5m"], kind)

    def _kept(self, boundary: Boundary, now: float, life: float, kind: str) -> None:
        known = self._memory.use(boundary.digest, now)
        known.life, known.kept_until = life, now + life
        known.kind = known.kind or kind

    def _count(self, model_id: str, reading: Reading, tokens: int) -> None:
        """The service counted this prompt."""
        if not tokens:
            return
        end = reading.ends[-1]
        for boundary in (reading.static, end):
            if (known := self._memory.get(boundary.digest)) is not None:
                known.counted(tokens)
        if end.at_most < UNBOUNDED:
            self._per_byte[model_id] = max(tokens / end.at_most, self._per_byte.get(model_id, 0.0))
            if len(self._per_byte) > _MODELS:
                self._per_byte.popitem(last=False)


def _possible_prices(model: Model, at_most: int) -> list[PriceBand]:
    """Those of every length of prompt up to this one."""
    return [model.prices(0), *(band for band in model.price_bands if band.above_input_tokens < at_most)]


def _kind(ask: Ask, plan: CachePlan) -> str:
    """Points whose chances are alike: static ones, and moving ones by their place in the turn."""
    if not plan.moving:
        return f"static {plan.static}"
    return f"{plan.rule} {min(ask.call, _MAX_CALL)}"


def tool_forced(request: Mapping[str, Any]) -> bool:
    """Whether the request's tool choice makes the model ask for a tool."""
    choice = (request.get("toolConfig") or {}).get("toolChoice") or {}
    return "any" in choice or "tool" in choice
