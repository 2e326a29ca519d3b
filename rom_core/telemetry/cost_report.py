"""What turns cost, and what the same tokens would have cost otherwise. Pure arithmetic over recorded turns; USD."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rom_core.settings import Model
from rom_core.telemetry.accounts import cost_usd, uncached_cost_usd
from rom_core.telemetry.list_prices import CLAUDE_API, DATE, SOURCE, list_price
from rom_core.turn_values import Usage

_KINDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_CLOSE = 1e-9
_LISTED_EDGES = {band.above_input_tokens for bands in CLAUDE_API.values() for band in bands[1:]}


@dataclass(frozen=True, slots=True)
class Part:
    """What one model was used for in a turn by requests of one price band: how many, and which tokens.

    `prompt_tokens` are those of one of them: they choose the band.
    """

    model: Model
    usage: Usage
    requests: int = 1
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TurnCost:
    """One turn: when it ended (seconds since 1970), the model that was asked for, what each model used.

    `unknown` counts requests that were perhaps billed and whose usage never came; `rules` are those that decided about
    its cache points, one for each request. `edges` are the lengths of prompts at which some model's price changes:
    requests on both sides of one are never in the same part.
    """

    at: float
    asked: Model
    parts: tuple[Part, ...]
    unknown: int = 0
    rules: tuple[str, ...] = ()
    edges: tuple[int, ...] = ()


class TotalsDiffer(ArithmeticError):
    """A total is not the sum of its turns: the report would be wrong."""


def edges_of(models: Iterable[Model]) -> tuple[int, ...]:
    """The lengths of prompts, in tokens, at which the price of one of these models or a list price changes."""
    return tuple(sorted({band.above_input_tokens for model in models for band in model.price_bands} | _LISTED_EDGES))


def parts_of(requests: Iterable[tuple[Model, Usage]], edges: Sequence[int]) -> tuple[Part, ...]:
    """The requests of a turn, added up by model and by the `edges` between which their prompts lie."""
    parts: dict[tuple[str, int], Part] = {}
    for model, usage in requests:
        key = (model.alias, bisect_left(edges, usage.prompt_tokens))
        before = parts.get(key, Part(model, Usage(), 0, usage.prompt_tokens))
        parts[key] = Part(model, before.usage + usage, before.requests + 1, before.prompt_tokens)
    return tuple(parts.values())


def report(turns: Sequence[TurnCost], models: Mapping[str, Model], forgotten: int = 0) -> dict[str, Any]:
    """The answer of GET /admin/cost. Raises TotalsDiffer if any total differs from the sum of its turns."""
    parts = [part for turn in turns for part in turn.parts]
    total = _sum(turns, lambda part, _: _cost(part.model, part))
    unlisted = sorted({part.model.alias for part in parts if list_price(part.model) is None})
    unknown = sum(turn.unknown for turn in turns)
    known_edges = set.intersection(*(set(turn.edges) for turn in turns)) if turns else set()
    live = {alias: model for alias, model in models.items() if not model.end_of_life}
    unsplit = [
        alias
        for alias, model in live.items()
        if turns and not known_edges.issuperset(band.above_input_tokens for band in model.price_bands)
    ]
    answer = {
        "turns": len(turns),
        "forgotten_turns": forgotten,
        "usage_unknown": unknown,
        "total": {**_tokens(parts), "usd": _rounded(total)},
        "by_model": {
            alias: {**_tokens(own), "usd": _rounded(math.fsum(_cost(part.model, part) for part in own))}
            for alias in dict.fromkeys(part.model.alias for part in parts)
            if (own := [part for part in parts if part.model.alias == alias])
        },
        "prices": {alias: {"date": one.price_date, "source": one.price_source} for alias, one in models.items()},
        "cache_rules": dict(sorted(Counter(rule for turn in turns for rule in turn.rules).items())),
        "without_caching": _compared(total, _sum(turns, lambda part, _: _uncached(part))),
        "without_fallback": _compared(total, _sum(turns, lambda part, turn: _cost(turn.asked, part))),
        "with_model": {
            alias: _NOT_SHOWN
            if alias in unsplit
            else _compared(total, _sum(turns, lambda part, _, model=model: _cost(model, part)))  # type: ignore[misc]
            for alias, model in live.items()
        },
        "claude_api": {
            "date": DATE,
            "source": SOURCE,
            **(
                _NOT_SHOWN
                if unlisted
                else _compared(total, _sum(turns, lambda part, _: _cost(list_price(part.model) or part.model, part)))
            ),
        },
        "checked": "every total is the sum of its turns, and of its tokens by model",
    }
    undated = sorted({part.model.alias for part in parts if not (part.model.price_date and part.model.price_source)})
    notes = _notes(turns, unlisted, unknown, forgotten)
    if unsplit:
        notes.append(f"Turns were recorded before {', '.join(unsplit)} had its price bands: that cannot be shown.")
    if undated:
        notes.append(f"MODELS does not say when and where the prices of {', '.join(undated)} are from.")
    return answer | {"notes": notes}


_NOT_SHOWN: Mapping[str, None] = dict.fromkeys(("usd", "saved_usd", "saved_percent", "change_percent"))


def _cost(model: Model, part: Part) -> float:
    return cost_usd(model, part.usage, part.prompt_tokens)


def _uncached(part: Part) -> float:
    return uncached_cost_usd(part.model, part.usage, part.prompt_tokens)


def _sum(turns: Sequence[TurnCost], price: Callable[[Part, TurnCost], float]) -> float:
    """The sum over turns, checked against the sum over all tokens by model and price band, priced once."""
    by_turn = math.fsum(math.fsum(price(part, turn) for part in turn.parts) for turn in turns)
    gathered: dict[Any, tuple[Part, TurnCost]] = {}
    for turn in turns:
        for part in turn.parts:
            key = (part.model, turn.asked, turn.edges, bisect_left(turn.edges, part.prompt_tokens))
            before = gathered[key][0].usage if key in gathered else Usage()
            gathered[key] = (Part(part.model, before + part.usage, 0, part.prompt_tokens), turn)
    by_model = math.fsum(price(part, turn) for part, turn in gathered.values())
    if not math.isclose(by_turn, by_model, rel_tol=_CLOSE, abs_tol=_CLOSE):
        raise TotalsDiffer(f"the turns come to {by_turn} USD, their tokens to {by_model}")
    return by_turn


def _tokens(parts: Sequence[Part]) -> dict[str, int]:
    usage = sum((part.usage for part in parts), Usage())
    counts = {kind: getattr(usage, kind) for kind in _KINDS}
    return {"requests": sum(part.requests for part in parts), **counts}


def _compared(total: float, other: float) -> dict[str, float | None]:
    return {
        "usd": _rounded(other),
        "saved_usd": _rounded(other - total),
        "saved_percent": _percent(other - total, other),
        "change_percent": _percent(other - total, total),
    }


def _percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 2) if whole else None


def _rounded(usd: float) -> float:
    return round(usd, 8)


def _notes(turns: Sequence[TurnCost], unlisted: Sequence[str], unknown: int, forgotten: int) -> list[str]:
    """What the figures do not show, in words."""
    notes = [
        "For the same model the list price of the Claude API and Bedrock's through a global. profile are the same: a "
        "large difference to the Claude API can be shown only for another model, at equal blind rating (rom blind).",
        "Saved is by how much this bill is below that line, change by how much the line differs from this bill.",
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
