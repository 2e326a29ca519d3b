"""The ledger: what caching may still lose, so that a bill with it never passes 1.01 times the bill without it.

Every use of the service adds 1 % of what it would have cost without caching; what caching saves is added, what a write
costs beyond plain input is taken off. A point is allowed only if the ledger holds the whole premium of all that stands
before it, as if the service had kept nothing and nothing of it were ever read. So the bound holds whatever the service
forgets.
"""

from __future__ import annotations

from dataclasses import dataclass

from rom_core.settings import PriceBand

ALLOWANCE = 0.01
# What was saved long ago must not pay for years of losses after the traffic has changed.
MAX_CREDIT_USD = 5.0
_PER = 1_000_000
_FORGETTING = 0.98
_TRIALS = 6.0
_TRY_AGAIN = 50


def premium_usd(prices: PriceBand, tokens: float, *, hour: bool = False) -> float:
    """What writing so many tokens costs beyond sending them as plain input."""
    price = prices.price_cache_write_1h if hour else prices.price_cache_write
    return tokens * max(0.0, price - prices.price_input) / _PER


@dataclass(slots=True)
class Ledger:
    """`credit` in USD. Invariant: cost with caching <= 1.01 x cost without + what it began with (`advance`)."""

    credit: float = 0.0

    def reserve(self, usd: float, times: float = 1.0) -> bool:
        """Take the worst case of a decision off the credit; False, and nothing taken, unless that holds it so often."""
        if usd * max(1.0, times) > self.credit:
            return False
        self.credit -= usd
        return True

    def settle(self, reserved: float, cost: float, uncached: float) -> None:
        """Put what was reserved back and book what the use really cost (0 and 0 if nothing was billed)."""
        self.credit = min(MAX_CREDIT_USD, self.credit + reserved + ALLOWANCE * uncached + uncached - cost)


@dataclass(slots=True)
class Record:
    """Whether one kind of point has paid so far; USD, of late: older results count less and less."""

    risked: float = 0.0
    saved: float = 0.0
    trials: float = 0.0
    passed_over: int = 0

    def pays(self) -> bool:
        """Whether to set such a point: it has paid, too little is known, or it is time to look again."""
        if self.trials < _TRIALS or self.saved >= self.risked:
            return True
        self.passed_over += 1
        return self.passed_over % _TRY_AGAIN == 0

    def wrote(self, usd: float) -> None:
        """A point of this kind cost this premium."""
        self.risked = self.risked * _FORGETTING + usd
        self.saved *= _FORGETTING
        self.trials = self.trials * _FORGETTING + 1

    def was_read(self, usd: float) -> None:
        """What a point of this kind had written was read, which saved this much."""
        self.saved += usd
