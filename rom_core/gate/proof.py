"""The gate's proof of itself, before it judges anything: on a bad sample, a good one, and one that is too thin."""

from __future__ import annotations

import math

from rom_core.gate.figures import Window
from rom_core.gate.scrape import Scrape, parse
from rom_core.gate.verdict import Outcome, Thresholds, Verdict, certain_to_fail, judge

_SECONDS = 60.0


class GateBroken(Exception):
    """The gate, with these thresholds, does not tell bad from good; the text says where."""


def prove(thresholds: Thresholds) -> None:
    """Run samples the whole way from text to verdict. Raises GateBroken unless each gets the verdict it deserves."""
    edge = thresholds.p95_seconds
    bad = _verdict(thresholds, _text(edge, ok=5000, slow=5000, error=5000, rejected=15000, memory=0.9999))
    blind = [check.name for check in bad.checks if check.outcome is not Outcome.FAIL and check.name != "restarts"]
    if bad.outcome is not Outcome.FAIL or blind:
        raise GateBroken(f"these thresholds let a service that fails in every way pass: {', '.join(blind)}")
    if not certain_to_fail(bad.figures, thresholds):
        raise GateBroken("a service that fails in every way would be watched to the end")
    good = _verdict(thresholds, _text(edge, ok=1_000_000, slow=0, error=0, rejected=0, memory=1e-6))
    if good.outcome is not Outcome.PASS:
        raise GateBroken(f"these thresholds let nothing pass: {[c.why for c in good.checks if c.outcome != 'pass']}")
    thin = _verdict(thresholds, _text(edge, ok=1, slow=0, error=0, rejected=0, memory=1e-6))
    if thin.outcome is not Outcome.INCONCLUSIVE:
        raise GateBroken("one single turn would be enough traffic to judge by")


def _verdict(thresholds: Thresholds, text: str) -> Verdict:
    window = Window(_SECONDS)
    before = parse(_text(thresholds.p95_seconds, ok=0, slow=0, error=0, rejected=0, memory=1e-6), 0.0)
    after = parse(text, _SECONDS)
    for scrape in (before, Scrape(_SECONDS, after.values)):
        window.add(scrape)
    return judge(window.figures, thresholds, _SECONDS)


def _text(edge: float, *, ok: int, slow: int, error: int, rejected: int, memory: float) -> str:
    """What a server would expose that counted so many turns, `slow` of those with status ok beyond the edge."""
    route = 'cohort="stable",route="/api/chat"'
    lines = ["# TYPE rom_requests_total counter"]
    lines += [
        f'rom_requests_total{{{route},status="{status}"}} {count}'
        for status, count in (("ok", ok), ("error", error), ("rejected", rejected))
    ]
    lines.append("# TYPE rom_requests_duration_seconds histogram")
    lines += [
        f'rom_requests_duration_seconds_bucket{{{route},status="ok",le="{limit}"}} {count}'
        for limit, count in ((edge, ok - slow), ("+Inf", ok))
    ]
    lines.append("# TYPE rom_model_attempts_total counter")
    lines += [
        f'rom_model_attempts_total{{model="m",outcome="{outcome}"}} {count}'
        for outcome, count in (("ok", ok), ("throttled", math.ceil(error + rejected)))
    ]
    lines += ["# TYPE rom_memory_used_ratio gauge", f"rom_memory_used_ratio {memory}"]
    lines += ["# TYPE rom_instance_info gauge", 'rom_instance_info{instance="proof",version="0"} 1']
    return "\n".join(lines) + "\n"
