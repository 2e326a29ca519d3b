"""Canary rollouts: flags for a growing share of the traffic, judged phase by phase, approved by people."""

from plugins.canary.plugin import CanaryPlugin

__all__ = ["CanaryPlugin"]
