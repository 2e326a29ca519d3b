"""The report on a run: one HTML file with all that it shows in it, and the same figures as JSON."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from itertools import pairwise
from typing import Any

from rom_core.gate import Check
from rom_core.gate.report import limit_text, value_text
from rom_core.ops.load.judging import LoadVerdict, percentile
from rom_core.ops.load.plots import Line, plot
from rom_core.ops.load.recording import Recording

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;border-bottom:1px solid #d0d7de}"
    "figure{margin:1.5rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}"
    ".pass{color:#1a7f37}.fail{color:#d1242f}.inconclusive{color:#9a6700}"
)
# About so many points of each line.
_POINTS = 60
_EXAMPLES = 20


def current(recording: Recording) -> list[tuple[str, str]]:
    """The figures of a run so far, as names and texts."""
    good = [turn.seconds for turn in recording.turns if turn.status == "ok"]
    first = [turn.first for turn in recording.turns if turn.first is not None]
    codes = Counter(turn.code for turn in recording.turns if turn.status in ("error", "rejected"))
    last = recording.samples[-1] if recording.samples else None
    memory = max((one.memory_mb for one in recording.samples if one.memory_mb is not None), default=None)
    return [
        ("users", str(recording.turns[-1].users if recording.turns else 0)),
        ("turns", ", ".join(f"{n} {name}" for name, n in sorted(Counter(t.status for t in recording.turns).items()))),
        ("turns per second", f"{len(recording.turns) / recording.elapsed:.2f}" if recording.elapsed else "-"),
        ("p50, p95, p99 of good turns", ", ".join(_seconds(percentile(good, share)) for share in (0.5, 0.95, 0.99))),
        ("p95 until the first text", _seconds(percentile(first, 0.95))),
        ("own share of a turn, p95", _overhead(recording)),
        ("errors by code", ", ".join(f"{code} {count}" for code, count in codes.most_common()) or "none"),
        ("memory at its highest", f"{memory:.0f} MB" if memory is not None else "-"),
        ("429s of the upstream", f"{last.throttled:.0f}" if last else "-"),
        ("cost", f"{recording.cost:.2f} USD, {recording.cost / max(1, len(good)):.4f} an answer"),
    ]


def as_json(recording: Recording, verdict: LoadVerdict) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        **verdict.as_dict(),
        "url": recording.url,
        "users": recording.users,
        "seconds": recording.seconds,
        "elapsed": round(recording.elapsed, 1),
        "stand_in": recording.stand_in,
        "faults": recording.faults,
        "stopped": recording.stopped,
        "cost_usd": round(recording.cost, 6),
        "figures": dict(current(recording)),
        "disturbances": [
            asdict(one) | {"seconds_to_recover": one.seconds_to_recover} for one in recording.disturbances
        ],
        "turns": [turn.as_dict() for turn in recording.turns],
        "samples": [asdict(sample) for sample in recording.samples],
    }


def page(
    recording: Recording,
    verdict: LoadVerdict,
    command: str,
    notes: Sequence[str] = (),
    steps: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The HTML file. `command` made it; `notes` are sentences for its reader; `steps` as in `Limit.as_dict`."""
    what = "a stand-in for a model" if recording.stand_in else "a real model"
    title = f"Load test: {recording.users} users, {recording.elapsed / 60:.1f} minutes"
    rows = [_row(side, check, verdict) for side, checks in _sides(verdict) for check in checks]
    rows += [
        f"<tr><td>client</td><td>{escape(kind)}</td>{_outcome('fail' if count else 'pass')}<td>{count}</td><td>0</td>"
        "<td>may never happen</td></tr>"
        for kind, count in verdict.violations.items()
    ]
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>',
        f"<h1>{escape(title)}</h1>",
        f'<p>Verdict: <strong class="{verdict.outcome}">{verdict.outcome}</strong>. {what} answered; '
        f"{recording.faults:.0%} of its requests were ordered to fail.</p>",
        f"<pre>{escape(command)}</pre>",
        *(f"<p>{escape(note)}</p>" for note in (*notes, *verdict.reasons)),
        "<table><tr><th>side</th><th>check</th><th>outcome</th><th>value</th><th>limit</th><th>why</th></tr>",
        *rows,
        "</table><h2>Figures</h2><table>",
        *(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in current(recording)),
        "</table>",
        *_disturbances(recording),
        *_steps(steps),
        "<h2>Over time</h2>",
        *_plots(recording),
        *_bad(recording),
        "</html>\n",
    ]
    return "\n".join(parts)


def _sides(verdict: LoadVerdict) -> tuple[tuple[str, Sequence[Check]], ...]:
    return ("client", verdict.client), ("server", verdict.server.checks)


def _row(side: str, check: Check, verdict: LoadVerdict) -> str:
    value = value_text(check.name, check.value, verdict.server.figures.buckets)
    cells = (value, limit_text(check.name, check.limit), check.why)
    rest = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr><td>{side}</td><td>{check.name}</td>{_outcome(check.outcome)}{rest}</tr>"


def _outcome(outcome: str) -> str:
    return f'<td class="{outcome}">{outcome}</td>'


def _disturbances(recording: Recording) -> list[str]:
    if not recording.disturbances:
        return []
    rows = [
        f"<tr><td>{escape(one.name)}</td><td>{one.began - recording.began:.0f} s</td>"
        f"<td>{one.ended - one.began:.0f} s</td><td>{one.failed} of {one.turns}</td>"
        f"<td>{_seconds(one.seconds_to_recover)}</td></tr>"
        for one in recording.disturbances
    ]
    head = "<tr><th>what</th><th>began</th><th>lasted</th><th>failed turns</th><th>time to recover</th></tr>"
    return ["<h2>Disturbed on purpose</h2>", f"<table>{head}", *rows, "</table>"]


def _steps(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each step of a search for the limit, and how the figures grow with the users."""
    if not steps:
        return []
    rows = [f"<tr>{''.join(f'<td>{escape(_cell(step[name]))}</td>' for name in steps[0])}</tr>" for step in steps]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in steps[0])
    most = max(step["users"] for step in steps)

    def line(name: str) -> Line:
        return [(step["users"], step[name]) for step in steps if step[name] is not None]

    durations = {name: line(name) for name in ("p50", "p95", "p99")}
    figures = [
        ("Duration of good turns by users", "seconds", durations),
        ("Turns by users", "per second", {"turns": line("turns_per_second")}),
        ("Memory by users", "MB", {"memory": line("memory_mb")}),
    ]
    plots = [plot(title, unit, lines, most, "{:.0f}".format) for title, unit, lines in figures]
    return ["<h2>Step by step</h2>", f"<table><tr>{head}</tr>", *rows, "</table>", *plots]


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _plots(recording: Recording) -> list[str]:
    began, seconds = recording.began, max(recording.elapsed, 1.0)
    width = seconds / _POINTS
    ends: defaultdict[int, list[Any]] = defaultdict(list)
    for turn in recording.turns:
        ends[int((turn.at + turn.seconds - began) / width)].append(turn)
    bins = range(math.ceil(seconds / width))

    def line(share: float) -> Line:
        made = []
        for number in bins:
            value = percentile([turn.seconds for turn in ends[number] if turn.status == "ok"], share)
            made += [((number + 0.5) * width, value)] if value is not None else []
        return made

    codes = sorted({turn.code for turn in recording.turns if turn.status in ("error", "rejected")})
    errors: dict[str, Line] = {
        code: [((n + 0.5) * width, float(sum(turn.code == code for turn in ends[n]))) for n in bins] for code in codes
    }
    samples = recording.samples
    throttled = [(later.at - began, later.throttled - earlier.throttled) for earlier, later in pairwise(samples)]
    users = [((n + 0.5) * width, float(ends[n][-1].users)) for n in bins if ends[n]]
    per_second = [((n + 0.5) * width, len(ends[n]) / width) for n in bins]
    memory = [(one.at - began, one.memory_mb) for one in samples if one.memory_mb is not None]
    figures: list[tuple[str, str, dict[str, Line]]] = [
        ("Users", "people", {"users": users}),
        ("Turns that ended", "per second", {"turns": per_second}),
        ("Duration of good turns", "seconds", {"p50": line(0.5), "p95": line(0.95), "p99": line(0.99)}),
        ("Errors and refusals by code", "turns", errors),
        ("Memory of the server", "MB", {"memory": memory}),
        ("Turns that run and that wait", "turns", _queue(recording)),
        ("429s of the upstream", "between two looks", {"429": throttled}),
    ]
    return [plot(title, unit, lines, seconds) for title, unit, lines in figures]


def _queue(recording: Recording) -> dict[str, Line]:
    began = recording.began
    return {
        "run": [(one.at - began, one.active) for one in recording.samples],
        "wait": [(one.at - began, one.queue) for one in recording.samples],
    }


def _bad(recording: Recording) -> list[str]:
    """The turns in which something happened that never may, for whoever looks for the reason."""
    bad = [turn for turn in recording.turns if turn.violations][:_EXAMPLES]
    rows = [
        f"<tr><td>{escape(turn.kind)}</td><td>{escape(', '.join(turn.violations))}</td>"
        f"<td>{escape(turn.request_id)}</td><td>{escape(turn.fault)}</td></tr>"
        for turn in bad
    ]
    return ["<h2>What may never happen</h2><table>", *rows, "</table>"] if rows else []


def _overhead(recording: Recording) -> str:
    buckets = recording.overhead
    total = buckets.get(math.inf, 0.0)
    edge = next((edge for edge in sorted(buckets) if total and buckets[edge] >= 0.95 * total), None)
    return "-" if edge is None else f"at most {edge * 1000:.3g} ms"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
