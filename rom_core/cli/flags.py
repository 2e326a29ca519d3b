"""`rom flags`: the settings of a running server, from a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from rom_core.cli.admin_client import CLIENT, JSON, AdminClient, ServerGroup
from rom_core.cli.status_view import health_lines, status_lines
from rom_core.cli.terminal import print_json, say

_MAX_CELL = 60
_RELOAD, _ROLLBACK = "/admin/reload-flags", "/admin/flags/rollback"
_REASON = click.option("--reason", default="", help="Why, for the history.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what it would change, and change nothing.")
_IF_VERSION = click.option("--if-version", type=click.IntRange(min=1), help="Only if this version is in force.")


@click.group(cls=ServerGroup, invoke_without_command=True)
@click.pass_context
def flags(context: click.Context) -> None:
    """Settings of a running server: list, set, clear, history, rollback, status.

    The admin token is taken from the environment variable ROM_ADMIN_TOKEN.

    Without a command it lists the switches and what is not at its default; `rom flags list --all` lists every setting.
    """
    if context.invoked_subcommand is None:
        context.invoke(show)


@flags.command("list")
@click.argument("pattern", default="")
@click.option("--all", "everything", is_flag=True, help="Settings at their default too.")
@click.option("--overridden", is_flag=True, help="Only overrides.")
@JSON
@CLIENT
def show(
    client: AdminClient, pattern: str = "", everything: bool = False, overridden: bool = False, as_json: bool = False
) -> None:
    """Settings by plugin: the switches and what is not at its default, or all with PATTERN in their name.

    With --json every setting, or those with PATTERN in their name.
    """
    answer = client.get("/admin/flags")
    chosen = {
        name: flag
        for name, flag in answer["flags"].items()
        if pattern.upper() in name and (flag["source"] == "override" or not overridden)
    }
    if as_json:
        print_json(answer | {"flags": chosen})
        return
    shown = chosen if everything or pattern else {name: f for name, f in chosen.items() if _worth_a_row(name, f)}
    from rom_core.cli.console import add_row, table

    title = f"version {answer['version']}, {answer['environment']}"
    rows = table("name", "value", "plugin", "from", "set by", "why", title=title)
    owners = {name: flag["plugin"] or "core" for name, flag in shown.items()}
    order = list(dict.fromkeys(owners.values()))
    for name, flag in sorted(shown.items(), key=lambda entry: order.index(owners[entry[0]])):
        style = "bold" if flag["source"] == "override" else ""
        cells = (name, _cell(flag["value"]), owners[name], flag["source"], flag.get("by", ""), flag.get("why", ""))
        add_row(rows, cells, style)
    client.show(rows)
    if len(shown) < len(chosen):
        client.say(f"and {len(chosen) - len(shown)} at their default; `rom flags list --all` shows them", style="dim")
    if answer["canary"]:
        client.say(f"canary: {json.dumps(answer['canary'], ensure_ascii=False)}")
    _print_notes(client, answer)


def _worth_a_row(name: str, flag: Mapping[str, Any]) -> bool:
    return name.endswith("_ENABLED") or flag["source"] != "default"


@flags.command("set")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@_REASON
@_IF_VERSION
@_DRY_RUN
@JSON
@CLIENT
def set_(
    client: AdminClient, assignments: Sequence[str], reason: str, if_version: int | None, dry_run: bool, as_json: bool
) -> None:
    """Override settings, all or none: `rom flags set RETRY_ENABLED=true MAX_TOKENS=2048`."""
    if dry_run:
        _try(client, _RELOAD, assigned(assignments), reason, if_version, as_json)
        return
    _change(client, assigned(assignments), reason, if_version, as_json)


@flags.command()
@click.argument("names", nargs=-1, required=True)
@_REASON
@_IF_VERSION
@_DRY_RUN
@JSON
@CLIENT
def clear(
    client: AdminClient, names: Sequence[str], reason: str, if_version: int | None, dry_run: bool, as_json: bool
) -> None:
    """Remove overrides: the layers below count again. `canary` names the canary."""
    if dry_run:
        _try(client, _RELOAD, dict.fromkeys(names), reason, if_version, as_json)
        return
    _change(client, dict.fromkeys(names), reason, if_version, as_json)


@flags.command("reload")
@_REASON
@_IF_VERSION
@JSON
@CLIENT
def reload_(client: AdminClient, reason: str, if_version: int | None, as_json: bool) -> None:
    """Read settings files and .env afresh."""
    _change(client, {}, reason, if_version, as_json)


@flags.command()
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--percent", type=click.IntRange(0, 100), help="Set CANARY_PERCENT too.")
@click.option("--include", multiple=True, metavar="KEY", help="The name of an API key that is always in.")
@click.option("--salt", default="", help="Another salt draws another sample.")
@_REASON
@_IF_VERSION
@JSON
@CLIENT
def canary(
    client: AdminClient,
    assignments: Sequence[str],
    percent: int | None,
    include: Sequence[str],
    salt: str,
    reason: str,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Give a share of the traffic other values of some settings; `rom flags clear canary` ends it."""
    block = {"flags": assigned(assignments), "include": list(include), "salt": salt}
    edits: dict[str, Any] = {"canary": block} | ({} if percent is None else {"CANARY_PERCENT": percent})
    _change(client, edits, reason, if_version, as_json)


@flags.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@JSON
@CLIENT
def history(client: AdminClient, limit: int, as_json: bool) -> None:
    """Who changed what, when and why; newest first."""
    answer = client.get("/admin/flags/history", limit=limit)
    if as_json:
        print_json(answer)
        return
    from rom_core.cli.console import add_row, table

    rows = table("version", "at (UTC)", "by", "why", "changes")
    for version in answer["versions"]:
        changes = "\n".join(_change_line(name, change) for name, change in version["changes"].items())
        cells = (str(version["version"]), version["at"][:19], version["by"], version["why"], changes)
        add_row(rows, cells)
    client.show(rows)


@flags.command()
@click.argument("version", type=click.IntRange(min=1))
@_REASON
@_IF_VERSION
@_DRY_RUN
@JSON
@CLIENT
def rollback(
    client: AdminClient, version: int, reason: str, if_version: int | None, dry_run: bool, as_json: bool
) -> None:
    """Put the overrides of VERSION in force again."""
    if dry_run:
        _try(client, _ROLLBACK, {"version": version}, reason, if_version, as_json)
        return
    answer = client.post(_ROLLBACK, {"version": version}, reason, if_version)
    _print_change(client, answer, as_json)


@flags.command()
@click.argument("id")
@_REASON
@_IF_VERSION
@JSON
@CLIENT
def approve(client: AdminClient, id: str, reason: str, if_version: int | None, as_json: bool) -> None:  # noqa: A002
    """Carry out a change that waits for a second person; `rom flags status` shows what waits."""
    _print_change(client, client.post("/admin/flags/approve", {"id": id}, reason, if_version), as_json)


@flags.command()
@JSON
@CLIENT
def status(client: AdminClient, as_json: bool) -> None:
    """Whether the server is well, and what it does: Bedrock, turns, store, canary, and every plugin."""
    answer = client.get("/admin/status")
    if as_json:
        print_json(answer)
        return
    # A server of an older release has no judgement.
    if "health" in answer:
        for line, style in health_lines(answer["health"]):
            client.say(line, style)
        client.say("")
    for line in status_lines(answer):
        say(line)


def _change(client: AdminClient, edits: Mapping[str, Any], reason: str, if_version: int | None, as_json: bool) -> None:
    _print_change(client, client.post(_RELOAD, edits, reason, if_version), as_json)


def _try(
    client: AdminClient, path: str, body: Mapping[str, Any], reason: str, if_version: int | None, as_json: bool
) -> None:
    """Print what a change would come to."""
    answer = client.post(f"{path}?dry_run=true", body, reason, if_version)
    # A server of an older release does not know of it, and has made the change.
    if not answer.get("dry_run"):
        client.say("this server is of an older release: it knows no --dry-run, and has made the change", "bold red")
        _print_change(client, answer, as_json)
        raise SystemExit(1)
    if as_json:
        print_json(answer)
        return
    changed, overrides = answer["changed"], answer["overrides"]
    client.say(
        f"version {answer['version']} is in force; " + ("this would change" if changed else "nothing would change")
    )
    for name, change in changed.items():
        client.say(f"  {_change_line(name, change | _override_of(overrides, name))}")
    for name in sorted(set(overrides) - set(changed)):
        client.say(f"  {name}: the value stays, the override would be {overrides[name]}")
    if answer["needs_approval"]:
        client.say(f"it would wait for a second named person: {', '.join(answer['needs_approval'])}", style="yellow")
    _print_notes(client, answer)


def _override_of(overrides: Mapping[str, str], name: str) -> dict[str, str]:
    return {"override": overrides[name]} if name in overrides else {}


def _print_change(client: AdminClient, answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    changed = answer["changed"]
    if answer.get("pending"):
        client.say(
            f"nothing is changed yet: within an hour another named person approves it with "
            f"`rom flags approve {answer['pending']}`",
            style="yellow",
        )
        return
    client.say(f"version {answer['version']} is in force{_where(answer)}" + ("" if changed else ", nothing changed"))
    for name, change in changed.items():
        client.say(f"  {_change_line(name, change)}")
    for id_ in answer.get("in_force", {}).get("unconfirmed", ()):
        client.say(f"not confirmed by {id_}", style="bold red")
    if not answer["durable"]:
        client.say("not durable: the store cannot be written, a restart undoes it", style="bold red")
    _print_notes(client, answer)


def _where(answer: Mapping[str, Any]) -> str:
    """Of how many instances; of one there is nothing to say."""
    reached = answer.get("in_force")
    return f" at {reached['instances']} of {reached['of']} instances" if reached and reached["of"] > 1 else ""


def _print_notes(client: AdminClient, answer: Mapping[str, Any]) -> None:
    for member, title in (("skipped", "skipped override"), ("not_reloaded", "layers not read")):
        for problem in answer.get(member, ()):
            client.say(f"{title} {problem['name']}: {problem['message']}", style="yellow")
    for name, value in answer.get("awaiting_restart", {}).items():
        client.say(f"{name} becomes {_cell(value)} at the next restart", style="yellow")
    store = answer.get("store") or {"state": "ok"}
    if store["state"] != "ok":
        client.say(f"store {store['state']}: {store['detail']}", style="bold red")


def assigned(assignments: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts as a dict. Raises click.UsageError."""
    edits = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{assignment!r} is not NAME=VALUE; nothing was changed")
        if not value:
            raise click.UsageError(
                f"{name} has no value; `rom flags clear {name}` removes an override; nothing was changed"
            )
        if name in edits:
            raise click.UsageError(f"{name} is given twice; nothing was changed")
        edits[name] = value
    return edits


def _change_line(name: str, change: Mapping[str, Any]) -> str:
    how = f" ({change['override']})" if "override" in change else ""
    return f"{name}: {_cell(change['from'])} → {_cell(change['to'])}{how}"


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CELL else text[:_MAX_CELL] + "…"
