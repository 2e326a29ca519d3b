"""Runs: turns that outlive the connection that asked for them."""

from plugins.runs.plugin import Runs

__all__ = ["Runs"]
