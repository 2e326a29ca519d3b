"""The Claude API's list prices, by which the report compares; DATE and SOURCE stand beside every figure of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rom_core.settings import Model, PriceBand

DATE = "2026-11"
SOURCE = "price map of LiteLLM 1.110.2, which cites the public price lists"

# The first band of each is for every length of prompt, a further one for longer ones.
CLAUDE_API: Mapping[str, tuple[PriceBand, ...]] = {
    "claude-sonnet-4-5": (PriceBand(0, 3.00, 15.00, 0.30, 3.75, 6.00),),
    "claude-sonnet-4-6": (PriceBand(0, 3.00, 15.00, 0.30, 3.75, 6.00),),
    "claude-sonnet-5": (PriceBand(0, 2.00, 10.00, 0.20, 2.50, 4.00),),
    "claude-sonnet-5-5": (PriceBand(0, 2.00, 10.00, 0.10, 2.50, 4.00),),
    "claude-haiku-4-5": (PriceBand(0, 1.00, 5.00, 0.10, 1.25, 2.00),),
    "claude-haiku-5-5": (
        PriceBand(0, 0.10, 0.50, 0.01, 0.125, 0.20),
        PriceBand(100_000, 0.50, 2.50, 0.05, 0.625, 1.00),
    ),
    "claude-opus-5-5": (PriceBand(0, 4.00, 20.00, 0.20, 5.00, 8.00),),
}


def list_price(model: Model) -> Model | None:
    """The model at the Claude API's list price; None if it is not in the list."""
    names = [name for name in CLAUDE_API if name in model.id]
    if not names:
        return None
    # claude-sonnet-5 is part of claude-sonnet-5-5.
    base, *longer = CLAUDE_API[max(names, key=len)]
    return replace(
        model,
        price_input=base.price_input,
        price_output=base.price_output,
        price_cache_read=base.price_cache_read,
        price_cache_write=base.price_cache_write,
        price_cache_write_1h=base.price_cache_write_1h,
        price_bands=tuple(longer),
        price_date=DATE,
        price_source=SOURCE,
    )
