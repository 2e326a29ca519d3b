"""`rom cost`: what the turns of a running server cost, and what the same tokens would have cost otherwise."""

from __future__ import annotations

from typing import Any

import click

from rom_core.cli.admin_client import CLIENT, DEFAULT_URL, JSON, AdminClient, url_option
from rom_core.cli.terminal import print_json
from rom_core.cli.values import Duration

_KINDS = ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


@click.command()
@click.option("--since", type=Duration(), help="Only turns that ended in this time until now: 24h. Default: all kept.")
@JSON
@CLIENT
def cost(client: AdminClient, since: float | None, as_json: bool) -> None:
    """What turns cost: tokens of each kind, USD, and the same tokens without caching, without fallback, elsewhere.

    The server keeps its last 10,000 turns. The admin token is taken from the environment variable ROM_ADMIN_TOKEN.
    """
    answer = client.get("/admin/cost", **({} if since is None else {"since": _ago(since)}))
    if as_json:
        print_json(answer)
        return
    _show(client, answer)


cost.params.append(url_option(envvar="ROM_URL", default=DEFAULT_URL, show_default=True))


def _ago(seconds: float) -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def _show(client: AdminClient, answer: dict[str, Any]) -> None:
    from rom_core.cli.console import add_row, table

    client.say(f"{answer['turns']} turns", style="bold")
    tokens = table("model", *(kind.replace("_", " ") for kind in _KINDS), "USD")
    for name, row in (*answer["by_model"].items(), ("total", answer["total"])):
        add_row(tokens, (name, *(str(row[kind]) for kind in _KINDS), f"{row['usd']:.4f}"))
    client.show(tokens)
    views = table("the same tokens", "USD", "saved USD", "saved")
    api = answer["claude_api"]
    rows = [
        ("without caching", answer["without_caching"]),
        ("without fallback", answer["without_fallback"]),
        *((f"with {alias}", view) for alias, view in answer["with_model"].items()),
        (f"Claude API, list of {api['date']}", api),
    ]
    for name, view in rows:
        add_row(views, (name, _usd(view["usd"]), _usd(view["saved_usd"]), _percent(view["saved_percent"])))
    client.show(views)
    if answer["cache_rules"]:
        rules = ", ".join(f"{rule} {count}" for rule, count in answer["cache_rules"].items())
        client.say(f"cache points were decided by: {rules}")
    client.say(f"list prices of {api['date']}: {api['source']}; checked: {answer['checked']}")
    for (date, source), aliases in _sources(answer).items():
        client.say(f"prices of {', '.join(aliases)}: {source}, {date}")
    for note in answer["notes"]:
        client.say(f"- {note}")


def _sources(answer: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """The aliases in this report by the date and source of their prices; what has none is in the notes."""
    found: dict[tuple[str, str], list[str]] = {}
    for alias, price in answer["prices"].items():
        if price["source"] and (alias in answer["by_model"] or alias in answer["with_model"]):
            found.setdefault((price["date"], price["source"]), []).append(alias)
    return found


def _usd(value: float | None) -> str:
    return "cannot be shown" if value is None else f"{value:.4f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"
