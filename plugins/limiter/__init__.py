"""Limiter: so many turns run, so many wait for at most so long, the rest is told at once when to come back."""

from plugins.limiter.plugin import Limiter

__all__ = ["Limiter"]
