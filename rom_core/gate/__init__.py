"""The gate: whether a running service is good enough to go on with, by its own metrics over a window of time.

A verdict is pass, fail or inconclusive; too little traffic, a gap in the figures or a missing series is never a pass.
Where figures come from over HTTP is in `rom_core.ops.gate_sources`.
"""

from rom_core.gate.figures import Figures, Window
from rom_core.gate.proof import GateBroken, prove
from rom_core.gate.scrape import BadScrape, Scrape, ScrapeFailed, parse
from rom_core.gate.verdict import Check, Outcome, Thresholds, Verdict, certain_to_fail, judge
from rom_core.gate.watch import Interrupted, WatchProgress, watch

__all__ = [
    "BadScrape",
    "Check",
    "Figures",
    "GateBroken",
    "Interrupted",
    "Outcome",
    "Scrape",
    "ScrapeFailed",
    "Thresholds",
    "Verdict",
    "WatchProgress",
    "Window",
    "certain_to_fail",
    "judge",
    "parse",
    "prove",
    "watch",
]
