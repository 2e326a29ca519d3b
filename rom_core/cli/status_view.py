"""What GET /admin/status answers, as few lines as somebody needs who was just woken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

WELL, MIDDLING, BAD = "bold green", "bold yellow", "bold red"
"""How a line looks; BAD is for what a person has to do something about."""


def health_lines(health: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines and their styles: the state and why, where it is written what to do, the figures behind it."""
    minute, five = health["last_minute"], health["last_5_minutes"]
    why = "; ".join(each["text"] for each in health["why"])
    act = [each["page"] for each in health["why"] if each["act"]]
    if not why and not minute["turns"]:
        why = "no turn ended in the last minute"
    elif not why:
        why = f"{_share(minute, 'turns', 'failed')} turns of the last minute failed"
    yield f"{health['state']}: {why}", BAD if act else MIDDLING if health["why"] else WELL
    for page in act:
        yield f"to do            {page}", BAD
    slowest = "" if health["p95_seconds"] is None else f"; p95 {health['p95_seconds']:.3g} s"
    yield f"turns failed     {_both(health, 'turns', 'failed')}{slowest}", ""
    yield f"requests failed  {_both(health, 'requests', 'failed_requests')}; {five['throttled']} throttled", ""
    yield f"turns refused    {minute['refused']} in 1 min, {five['refused']} in 5 min; {health['waiting']} wait", ""
    memory = "unknown" if health["memory_ratio"] is None else f"{100 * health['memory_ratio']:.0f} %"
    yield f"capacity         {health['capacity']}; memory {memory}", ""
    if health["circuits_open"]:
        yield f"circuits open    {', '.join(health['circuits_open'])}", ""


def _both(health: Mapping[str, Any], name: str, key: str) -> str:
    minute, five = (_share(health[span], name, key) for span in ("last_minute", "last_5_minutes"))
    return f"{minute} in 1 min, {five} in 5 min"


def _share(span: Mapping[str, Any], name: str, key: str) -> str:
    whole, failed = span[name], span[key]
    share = f" ({100 * failed / whole:.0f} %)" if failed else ""
    return f"{failed} of {whole}{share}"


def status_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The whole first, then a line for each plugin; what is as it should be takes no line of its own."""
    yield f"{answer['environment']}, release {answer['release']}, version {answer['version']}"
    yield f"bedrock   {'on' if answer['bedrock_enabled'] else 'OFF: every chat is refused'}"
    draining = "; DRAINING, new ones are refused" if answer["draining"] else ""
    places = f"{answer['admitted']} of {answer['max_admitted']} places taken"
    yield f"turns     {answer['active_turns']} running, {places}{draining}"
    if drained := answer.get("drained"):
        why = f": {drained['why']}" if drained["why"] else ""
        yield f"drained   by {drained['by']} at {drained['at'][11:19]} UTC{why}"
    for name, pool in answer["pools"].items():
        if pool["abandoned"]:
            yield f"threads   {pool['abandoned']} of {pool['size']} for {name} given up and still busy"
    store = answer["store"]
    if store is not None and (store["state"] != "ok" or not store["durable"]):
        lost = "" if store["durable"] else "; what is in force would not survive a restart"
        yield f"store     {store['state']}: {store['detail']}{lost}"
    if answer.get("fleet_away"):
        yield f"fleet     AWAY, as last heard of: {answer['fleet_away']}"
    if len(answer.get("instances", ())) > 1:
        yield from _instances(answer)
    canary = answer["canary"]
    if canary is not None:
        flags = ", ".join(f"{name}={_shown(value)}" for name, value in canary["flags"].items())
        yield f"canary    {canary['percent']} %: {flags}"
    for waits in answer.get("pending", ()):
        names = ", ".join(waits["names"])
        yield f"pending   {waits['id']}: {names} by {waits['by']}, until {waits['expires_at'][11:16]} UTC"
    for failed in answer["observer_errors"]:
        yield f"observer  {failed['plugin']} failed {failed['count']} times in {failed['hook']}"
    yield ""
    width = max((len(plugin["name"]) for plugin in answer["plugins"]), default=0)
    for plugin in answer["plugins"]:
        yield from _plugin(plugin, width)


def _instances(answer: Mapping[str, Any]) -> Iterator[str]:
    newest = max(each["version"] for each in answer["instances"])
    for each in answer["instances"]:
        behind = "" if each["version"] == newest else f", BEHIND version {newest}"
        draining = ", draining" if each["draining"] else ""
        own = ", this one" if each["self"] else ""
        since, seen = each["since"][:19].replace("T", " "), each["seen"][11:19]
        version = f"release {each['release']}, version {each['version']}"
        yield f"instance  {each['id']}: {version}{behind}, since {since}, seen {seen} UTC{draining}{own}"


def _plugin(plugin: Mapping[str, Any], width: int) -> Iterator[str]:
    status = plugin.get("status") or {}
    if plugin["error"]:
        state = f"BROKEN: {plugin['error']}"
    else:
        state = f"{'on' if plugin['enabled'] else 'off':5}{_pairs(status)}"
    yield f"{plugin['name']:{width}}  {state}".rstrip()
    for inner in status.values():
        if isinstance(inner, dict):
            for name, value in inner.items():
                yield f"{'':{width}}       {name}  {_pairs(value) if isinstance(value, dict) else _shown(value)}"


def _pairs(values: Mapping[str, Any]) -> str:
    return "  ".join(f"{name}={_shown(value)}" for name, value in values.items() if not isinstance(value, dict))


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)
