"""`rom canary`: a rollout of flags on a running server, phase by phase."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rom_core.cli.admin_client import CLIENT, JSON, AdminClient, ServerGroup
from rom_core.cli.flags import assigned
from rom_core.cli.terminal import print_json

if TYPE_CHECKING:
    from rich.table import Table

_PATH = "/admin/canary"
_REASON = click.option("--reason", default="", help="Why, for the audit trail.")


@click.group(cls=ServerGroup)
def canary() -> None:
    """Roll flags out to a growing share of the traffic: start, status, approve, hold, abort.

    The admin token is taken from the environment variable ROM_ADMIN_TOKEN; start and approve take a named one.
    """


@canary.command()
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--include", multiple=True, metavar="KEY", help="The name of an API key that is always in.")
@click.option("--salt", default="", help="Another salt draws another sample.")
@_REASON
@JSON
@CLIENT
def start(
    client: AdminClient, assignments: Sequence[str], include: Sequence[str], salt: str, reason: str, as_json: bool
) -> None:
    """Start: `rom canary start RETRY_ENABLED=true --reason "go-live"`. The phases are those of CANARY_PHASES."""
    block = {"flags": assigned(assignments), "include": list(include), "salt": salt}
    _decide(client, "start", reason, as_json, **block)


@canary.command()
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="Entries of the trail.")
@JSON
@CLIENT
def status(client: AdminClient, limit: int, as_json: bool) -> None:
    """Where it stands: figures of the canary beside the stable cohort's, and who did what."""
    _print(client, client.get(_PATH, limit=limit), as_json)


@canary.command()
@_REASON
@JSON
@CLIENT
def approve(client: AdminClient, reason: str, as_json: bool) -> None:
    """Go on to the next phase; after the last one the flags are everybody's.

    The gate must have held for the whole window. With too little traffic to judge, approving takes a --reason.
    While a twentieth of its turns or more fail, no reason is enough.
    """
    _decide(client, "approve", reason, as_json)


@canary.command()
@click.option("--release", is_flag=True, help="Allow approvals again.")
@_REASON
@JSON
@CLIENT
def hold(client: AdminClient, release: bool, reason: str, as_json: bool) -> None:
    """Refuse approvals; the share stays, and the gate goes on watching."""
    _decide(client, "release" if release else "hold", reason, as_json)


@canary.command()
@_REASON
@JSON
@CLIENT
def abort(client: AdminClient, reason: str, as_json: bool) -> None:
    """Withdraw the flags at once and end the rollout."""
    _decide(client, "abort", reason, as_json)


def _decide(client: AdminClient, action: str, reason: str, as_json: bool, **more: Any) -> None:
    _print(client, client.post(_PATH, {"action": action, **more}, reason, None), as_json)


def _print(client: AdminClient, answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    if answer.get("pending"):
        client.say(
            f"nothing is started yet: within an hour another named person approves these flags with "
            f"`rom flags approve {answer['pending']}`; then give the same command again",
            style="yellow",
        )
        return
    rollout = answer["rollout"]
    if rollout is None:
        client.say("no rollout")
    else:
        _print_rollout(client, rollout)
    if not answer["durable"]:
        client.say("not durable: the record cannot be written, a restart loses it", style="bold red")
    if "trail_problem" in answer:
        client.say(f"the trail cannot be read: {answer['trail_problem']}", style="bold red")
    for entry in answer.get("trail") or ():
        why = f": {entry['why']}" if entry["why"] else ""
        client.say(f"{entry['at'][:19]}Z  {entry['by']}  {entry['action']} at {entry['details']['percent']} %{why}")


def _side_by_side(cohorts: dict[str, Any]) -> Table:
    """The judged window: the canary's checks, and what the stable cohort came to over the same time."""
    from rom_core.cli.console import add_row, table
    from rom_core.gate.report import limit_text, value_text

    rows = table("check", "canary", "", "stable", "", "limit")
    for canary, stable in zip(cohorts["canary"]["checks"], cohorts["stable"]["checks"], strict=True):
        name = canary["name"]
        cells = [text for check in (canary, stable) for text in (value_text(name, check["value"]), check["outcome"])]
        add_row(rows, (name, *cells, limit_text(name, canary["limit"])))
    return rows


def _print_rollout(client: AdminClient, rollout: dict[str, Any]) -> None:
    flags = ", ".join(f"{name}={json.dumps(value)}" for name, value in rollout["block"]["flags"].items())
    client.say(f"{flags}, started by {rollout['by']}: {rollout['status']}", style="bold")
    watched, window = rollout["watched_seconds"], rollout["window_seconds"]
    # Once the gate has held for a window it watches a further one: its seconds say nothing about the approval.
    if rollout["gate"] == "pass":
        seen = f"{window:g} s watched, and {watched:g} s since"
    elif watched > window:
        seen = f"the window of {window:g} s is over, and {watched - window:g} s more were watched"
    else:
        seen = f"{watched:g} s of {window:g} s watched"
    client.say(
        f"phase {rollout['phase']} of {len(rollout['phases'])}, {rollout['percent']} % of the traffic, {seen}"
        + (", held" if rollout["held"] else "")
    )
    from rom_core.gate.report import seconds_text

    for cohort, figures in rollout["current"].items():
        turns = ", ".join(f"{count:g} {status}" for status, count in figures.items() if status != "p95_seconds")
        client.say(f"  {cohort}: {turns}, p95 {seconds_text(figures['p95_seconds'], ())}")
    if rollout["status"] == "running":
        because = f": {rollout['why_not']}" if rollout.get("why_not") else ""
        client.say(f"gate: {rollout['gate']}; approval possible: {rollout['approvable'].replace('_', ' ')}{because}")
    if rollout["judged"] is not None:
        client.show(_side_by_side(rollout["judged"]["cohorts"]))
        client.say(f"  {rollout['judged']['why']}")
    if rollout["ended_because"]:
        client.say(f"because: {rollout['ended_because']}")
