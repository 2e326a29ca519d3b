"""Circuit breaker: a model that keeps failing gets no requests for a while, then one, to see whether it is back."""

from plugins.breaker.plugin import Breaker

__all__ = ["Breaker"]
