"""What turns cost, and what the same tokens would have cost otherwise. Pure arithmetic over recorded turns; USD."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rom_core.settings import Model
from rom_core.telemetry.accounts import cost_usd, uncached_cost_usd
from rom_core.turn_values import Usage

LIST_PRICES_DATE = "2026-11"
LIST_PRICES_SOURCE = "price map of LiteLLM 1.110.2, which cites the public price lists"
_KINDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_CLOSE = 1e-9


class ListPrice(NamedTuple):
    """USD per million tokens in the Claude API's list: input, output, read, write for five minutes and an hour."""

    input: float
    output: float
    read: float
    write: float
    write_1h: float


CLAUDE_API: Mapping[str, ListPrice] = {
    "claude-sonnet-4-5": ListPrice(3.00, 15.00, 0.30, 3.75, 6.00),
    "claude-sonnet-4-6": ListPrice(3.00, 15.00, 0.30, 3.75, 6.00),
    "claude-sonnet-5-5": ListPrice(2.00, 10.00, 0.10, 2.50, 4.00),
    "claude-haiku-4-5": ListPrice(1.00, 5.00, 0.10, 1.25, 2.00),
    "claude-opus-5-5": ListPrice(4.00, 20.00, 0.20, 5.00, 8.00),
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one model was used for in a turn: by how many requests, and which tokens."""

    model: Model
    usage: Usage
    requests: int = 1


@dataclass(frozen=True, slots=True)
class TurnCost:
    """One turn: when it ended (seconds since 1970), the model that was asked for, what each model used.

    `unknown` counts requests that were perhaps billed and whose usage never came; `rules` are those that decided about
    its cache points, one for each request.
    """

    at: float
    asked: Model
    parts: tuple[Part, ...]
    unknown: int = 0
    rules: tuple[str, ...] = ()


class NotTheSum(ArithmeticError):
    """A total is not the sum of its turns: the report would be wrong."""


def list_price(model: Model) -> Model | None:
    """The model at the Claude API's list price; None if it is not in the list."""
    for name, price in CLAUDE_API.items():
        if name in model.id:
            return replace(
                model,
                price_input=price.input,
                price_output=price.output,
                price_cache_read=price.read,
                price_cache_write=price.write,
                price_cache_write_1h=price.write_1h,
            )
    return None


def report(turns: Sequence[TurnCost], models: Mapping[str, Model], forgotten: int = 0) -> dict[str, Any]:
    """The answer of GET /admin/cost. Raises NotTheSum if any total differs from the sum of its turns."""
    parts = [part for turn in turns for part in turn.parts]
    total = _sum(turns, lambda part, _: cost_usd(part.model, part.usage))
    unlisted = sorted({part.model.alias for part in parts if list_price(part.model) is None})
    unknown = sum(turn.unknown for turn in turns)
    answer = {
        "turns": len(turns),
        "forgotten_turns": forgotten,
        "usage_unknown": unknown,
        "total": {**_tokens(parts), "usd": _rounded(total)},
        "by_model": {
            alias: {**_tokens(own), "usd": _rounded(math.fsum(cost_usd(part.model, part.usage) for part in own))}
            for alias in dict.fromkeys(part.model.alias for part in parts)
            if (own := [part for part in parts if part.model.alias == alias])
        },
        "cache_rules": dict(sorted(Counter(rule for turn in turns for rule in turn.rules).items())),
        "without_caching": _beside(total, _sum(turns, lambda part, _: uncached_cost_usd(part.model, part.usage))),
        "without_fallback": _beside(total, _sum(turns, lambda part, turn: cost_usd(turn.asked, part.usage))),
        "with_model": {
            alias: _beside(total, _sum(turns, lambda part, _, model=model: cost_usd(model, part.usage)))  # type: ignore[misc]
            for alias, model in models.items()
            if not model.end_of_life
        },
        "claude_api": {
            "date": LIST_PRICES_DATE,
            "source": LIST_PRICES_SOURCE,
            **(
                {"usd": None, "saved_usd": None, "saved_percent": None}
                if unlisted
                else _beside(
                    total, _sum(turns, lambda part, _: cost_usd(list_price(part.model) or part.model, part.usage))
                )
            ),
        },
        "checked": "every total is the sum of its turns, and of its tokens by model",
    }
    return answer | {"notes": _notes(turns, unlisted, unknown, forgotten)}


def _sum(turns: Sequence[TurnCost], price: Callable[[Part, TurnCost], float]) -> float:
    """The sum over turns, checked against the sum over all tokens by model, priced once."""
    by_turn = math.fsum(math.fsum(price(part, turn) for part in turn.parts) for turn in turns)
    gathered: dict[tuple[Model, Model], Usage] = {}
    asked: dict[tuple[Model, Model], TurnCost] = {}
    for turn in turns:
        for part in turn.parts:
            key = (part.model, turn.asked)
            gathered[key] = gathered.get(key, Usage()) + part.usage
            asked[key] = turn
    by_model = math.fsum(price(Part(key[0], usage), asked[key]) for key, usage in gathered.items())
    if not math.isclose(by_turn, by_model, rel_tol=_CLOSE, abs_tol=_CLOSE):
        raise NotTheSum(f"the turns come to {by_turn} USD, their tokens to {by_model}")
    return by_turn


def _tokens(parts: Sequence[Part]) -> dict[str, int]:
    usage = sum((part.usage for part in parts), Usage())
    counts = {kind: getattr(usage, kind) for kind in _KINDS}
    return {"requests": sum(part.requests for part in parts), **counts}


def _beside(total: float, other: float) -> dict[str, float | None]:
    percent = round(100 * (1 - total / other), 2) if other else None
    return {"usd": _rounded(other), "saved_usd": _rounded(other - total), "saved_percent": percent}


def _rounded(usd: float) -> float:
    return round(usd, 8)


def _notes(turns: Sequence[TurnCost], unlisted: Sequence[str], unknown: int, forgotten: int) -> list[str]:
    """What the figures do not show, in words."""
    notes = [
        "For the same model the list price of the Claude API and Bedrock's through a global. profile are the same: a "
        "large difference to the Claude API can be shown only for another model, at equal blind rating (rom blind).",
        "What is saved is meant against that line: a negative figure says that it would have been cheaper so.",
        "Another model would count and write other tokens; with_model and without_fallback price the same ones.",
    ]
    if not turns:
        notes.append("No turn in this time: nothing can be shown.")
    if unlisted:
        notes.append(f"No list price of the Claude API is known for {', '.join(unlisted)}: that claim cannot be shown.")
    if unknown:
        notes.append(f"{unknown} requests were perhaps billed and never said how much: they are in no figure.")
    if forgotten:
        notes.append(f"{forgotten} older turns are no longer in memory and in no figure.")
    return notes
