"""One frame of `rom top`: lines of text that fit a terminal; each state stands in words, and has a colour besides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from rom_core.cli.terminal import clean
from rom_core.cli.top_figures import POINT_SECONDS, Glance

GREEN, YELLOW, RED, DIM = "bold green", "bold yellow", "bold red", "dim"
_STATES = {"well": GREEN, "degraded": YELLOW, "down": RED}
_WORDS = {"normal": ("ok", GREEN), "alert": ("ALERT", YELLOW), "critical": ("CRITICAL", RED)}
_BARS, _PLAIN_BARS = "▁▂▃▄▅▆▇█", "._-~=+*#"
_LABEL, _VALUE, _WORD, _LIMITS = 11, 15, 9, 21

Part = list[Mapping[str, Any]]


def frame(glance: Glance, width: int, height: int, now: float, *, plain: bool = False) -> Text:
    """The whole screen, at most `height` lines of `width` columns; `plain` uses ASCII alone."""
    lines = list(_lines(glance, width, now, plain))
    *shown, foot = lines
    if len(lines) > height:
        cut = max(0, height - 2)
        shown = [*shown[:cut], Text(f"and {len(lines) - 1 - cut} lines more: the window is too low", style=DIM)]
    for line in (*shown, foot):
        line.truncate(width, overflow="ellipsis" if not plain else "crop")
    return Text("\n").join([*shown, foot])


def _lines(glance: Glance, width: int, now: float, plain: bool) -> Iterator[Text]:
    figures = glance.figures
    clock = f"{datetime.fromtimestamp(now, UTC):%H:%M:%S} UTC"
    if figures is None:
        yield _ends("rom top", clock, width, "bold")
        yield Text("")
        yield Text(clean(glance.note), style=RED if glance.lost else "")
        yield _foot(glance)
        return
    what = f"{figures['environment']}  release {figures['release']}  version {figures['version']}"
    yield _ends(f"rom top  {what}  {figures['instance']}", clock, width, "bold")
    yield from _health(figures)
    yield Text("")
    yield from _rows(glance, figures, width, now, plain)
    yield Text("")
    yield from _states(figures)
    yield _foot(glance)


def _health(figures: Mapping[str, Any]) -> Iterator[Text]:
    health = figures["health"]
    state, minute = health["state"], health["last_minute"]
    first, *others = [each["text"] for each in health["why"]] or [
        f"{minute['failed']} of {minute['turns']} turns of the last minute failed"
    ]
    style = _STATES.get(state, RED)
    yield Text.assemble((f" {state.upper()} ", f"{style} reverse"), (f" {clean(first)}", style))
    for why in others:
        yield Text(f"{'':{len(state) + 3}}{clean(why)}", style=style)
    pages = [each["page"] for each in health["why"] if each["act"]]
    yield Text(f"to do: {clean(', '.join(pages))}", style=RED) if pages else Text("")


def _rows(glance: Glance, figures: Mapping[str, Any], width: int, now: float, plain: bool) -> Iterator[Text]:
    levels, limits, queue = figures["levels"], figures["limits"], figures["queue"]
    turns, cost = figures["turns"], figures["cost"]

    def row(
        label: str,
        value: str,
        level: str | None,
        of: Callable[[Part], float | None],
        limit: str = "",
        unit: Callable[[float], str] = str,
        top: float = 0.0,
    ) -> Text:
        word, style = _WORDS[level] if level is not None else ("", "")
        bounds = limits.get(limit, {})
        alert = bounds.get("alert")
        named = {"gate": bounds.get("gate"), "alert": alert}
        said = ", ".join(f"{name} {unit(value)}" for name, value in named.items() if value is not None)
        cells = max(0, width - _LABEL - _VALUE - _WORD - _LIMITS - 1)
        line = Text.assemble(f"{label:{_LABEL}}", (f"{value:{_VALUE}}", "bold"), (f"{word:{_WORD}}", style))
        line.append_text(_plot(glance.cells(cells, of, now), alert, top, plain))
        return line.append(f" {said}", style=DIM)

    yield row("turns/min", str(figures["turns_per_minute"]), None, _rate)
    yield row(
        "failed", _percent(figures["error_share"]), levels["errors"], _of("failed", "turns"), "error_share", _percent
    )
    yield row("p50 / p95", _latency(figures), levels["latency"], _most("p95_seconds"), "p95_seconds", _seconds)
    yield row(
        "429s",
        _percent(figures["throttled_share"]),
        levels["throttling"],
        _of("throttled", "requests"),
        "throttled_share",
        _percent,
    )
    yield row("refused", _percent(figures["refused_share"]), levels["refused"], _refused, "refused_share", _percent)
    yield row(
        "memory", _percent(figures["memory_ratio"]), levels["memory"], _most("memory_ratio"), "memory_ratio", _percent
    )
    if queue is None:
        yield row(
            "running",
            f"{turns['active']} of {turns['max_admitted']}",
            None,
            _most("running"),
            top=turns["max_admitted"],
        )
    else:
        full = queue["waiting"] >= queue["max_waiting"] > 0
        yield row(
            "waiting",
            f"{queue['waiting']} of {queue['max_waiting']}",
            "alert" if full else "normal",
            _most("waiting"),
            "waiting",
        )
        yield row(
            "slots", f"{queue['running']} of {queue['max_running']}", None, _most("running"), top=queue["max_running"]
        )
    if cost is not None:
        yield row("cost/hour", f"{cost['per_hour_usd']:.2f} USD", None, _cost)


def _states(figures: Mapping[str, Any]) -> Iterator[Text]:
    yield _state(
        "bedrock", "on" if figures["bedrock_enabled"] else "OFF: every chat is refused", figures["levels"]["bedrock"]
    )
    if figures["draining"]:
        drained = figures.get("drained")
        by = f", drained by {drained['by']}: {drained['why']}" if drained else ", it shuts down"
        yield _state("draining", f"takes no new turns{by}", "alert")
    yield _circuits(figures)
    yield _canary(figures["canary"])
    for waits in figures["pending"]:
        yield _state(
            "pending", f"{waits['id']}: {', '.join(waits['names'])} by {waits['by']} waits for a second person", "alert"
        )
    store = figures["store"]
    if store is not None and (store["state"] != "ok" or not store["durable"]):
        yield _state("store", f"{store['state']}: {store['detail']}", "critical")
    if figures["fleet_away"]:
        yield _state("fleet", f"AWAY, as last heard of: {figures['fleet_away']}", "critical")
    instances = figures["instances"]
    newest = max((each["version"] for each in instances), default=0)
    for each in instances:
        said = f"{each['id']}  release {each['release']}  version {each['version']}  since {each['since'][11:16]}"
        notes = [
            "this one" if each["self"] else "",
            "DRAINING" if each["draining"] else "",
            f"BEHIND version {newest}" if each["version"] < newest else "",
        ]
        level = "alert" if notes[1] or notes[2] else "normal"
        yield _state("instance", "  ".join([said, *filter(None, notes)]), level)


def _circuits(figures: Mapping[str, Any]) -> Text:
    circuits = figures["circuits"]
    if not circuits:
        return _state("circuits", "the breaker is off", "normal")
    said = []
    for each in circuits:
        if each["state"] != "closed" or each["forced"]:
            held = f" (held by {each.get('by')}: {each.get('why')})" if each["forced"] else ""
            said.append(f"{each['state'].upper()} {each['model']}{held}")
    level = figures["levels"]["circuits"]
    return _state(
        "circuits", "; ".join(said) or f"all {len(circuits)} closed", "alert" if said and level == "normal" else level
    )


def _canary(canary: Mapping[str, Any] | None) -> Text:
    if canary is None:
        return _state("canary", "none", "normal")
    rollout = canary.get("rollout") or {}
    flags = ", ".join(f"{name}={json.dumps(value)}" for name, value in canary["flags"].items())
    if rollout.get("status") != "running":
        ended = f" (the last rollout: {rollout['status']})" if rollout.get("status") not in (None, "none") else ""
        return _state("canary", f"{canary['percent']} %: {flags}{ended}" if flags else f"none{ended}", "normal")
    phases = f" of {rollout['phases']}" if "phases" in rollout else ""
    held = ", HELD" if rollout["held"] else ""
    said = f"{rollout['percent']} %, phase {rollout['phase']}{phases}, gate {rollout['gate'].upper()}{held}: {flags}"
    level = {"fail": "critical", "pass": "normal"}.get(rollout["gate"], "normal")
    return _state("canary", said, "alert" if held and level == "normal" else level)


def _state(label: str, said: str, level: str) -> Text:
    style = "" if level == "normal" else _WORDS[level][1]
    return Text.assemble(f"{label:{_LABEL}}", (clean(said), style))


def _foot(glance: Glance) -> Text:
    return Text.assemble(("q leaves   ", DIM), (clean(glance.note), RED if glance.lost else DIM))


def _ends(left: str, right: str, width: int, style: str) -> Text:
    left = clean(left)[: max(0, width - len(right) - 1)]
    return Text(f"{left}{right:>{max(0, width - len(left))}}", style=style)


def _plot(cells: Sequence[float | None], alert: float | None, most: float, plain: bool) -> Text:
    """A column for each part of the hour; red where it is above the limit, which the word before it says too."""
    bars = _PLAIN_BARS if plain else _BARS
    top = max([value for value in cells if value is not None], default=0.0)
    top = max(top, alert or 0.0, most)
    line = Text()
    for value in cells:
        if value is None:
            line.append(" ")
            continue
        place = min(len(bars) - 1, int(value / top * len(bars))) if top else 0
        line.append(bars[place], style=RED if alert is not None and value > alert else "cyan")
    return line


# -- values ----------------------------------------------------------------------------------------------------------


def _sum(part: Part, name: str) -> float:
    return float(sum(point[name] for point in part))


def _rate(part: Part) -> float:
    return _sum(part, "turns") * 60 / (len(part) * POINT_SECONDS)


def _cost(part: Part) -> float:
    return _sum(part, "cost_usd") * 3600 / (len(part) * POINT_SECONDS)


def _refused(part: Part) -> float | None:
    refused = _sum(part, "refused")
    asked = _sum(part, "turns") + refused
    return refused / asked if asked else None


def _of(some: str, all_: str) -> Callable[[Part], float | None]:
    def share(part: Part) -> float | None:
        whole = _sum(part, all_)
        return _sum(part, some) / whole if whole else None

    return share


def _most(name: str) -> Callable[[Part], float | None]:
    def most(part: Part) -> float | None:
        return max((float(point[name]) for point in part if point[name] is not None), default=None)

    return most


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.3g} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} s"


def _latency(figures: Mapping[str, Any]) -> str:
    middle, slowest = figures["p50_seconds"], figures["p95_seconds"]
    if slowest is None:
        return "-"
    return _seconds(slowest) if middle is None else f"{middle:.3g} / {slowest:.3g} s"
