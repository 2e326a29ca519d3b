"""`rom cost`: what the turns of a running server cost, and what the same tokens would have cost otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rom_core.cli.admin_client import DEFAULT_URL, JSON, AdminClient, url_option
from rom_core.cli.problems import SettingsInvalid
from rom_core.cli.root import ROOT
from rom_core.cli.terminal import print_json
from rom_core.cli.values import Duration

_KINDS = ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


@click.command()
@click.option("--since", type=Duration(), help="Only turns that ended in this time until now: 24h. Default: all kept.")
@click.option(
    "--workload",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    help="Ask no server: replay this file (JSON lines, see docs/cost.md) with and without prompt caching.",
)
@click.option("--model", default="", help="With --workload: the alias that answers. Default: MODEL_PRIMARY.")
@ROOT
@JSON
@click.pass_context
def cost(
    context: click.Context, since: float | None, workload: Path | None, model: str, root: Path, as_json: bool
) -> None:
    """What turns cost: tokens of each kind, USD, and the same tokens without caching, without fallback, elsewhere.

    The server keeps its last 10,000 turns. The admin token is taken from the environment variable ROM_ADMIN_TOKEN.
    """
    if workload is None:
        if model:
            raise click.UsageError("--model goes with --workload")
        client: AdminClient = context.obj
        with client.reading():
            _print(client.get("/admin/cost", **({} if since is None else {"since": _ago(since)})), as_json)
    elif since is not None:
        raise click.UsageError("--since does not go with --workload")
    else:
        _print(_replayed(workload, root, model), as_json)


def _server_option() -> click.Option:
    """--url, of which a replay has no use."""
    option = url_option(envvar="ROM_URL", default=DEFAULT_URL, show_default=True)
    connect: Any = option.callback

    def unless_replaying(context: click.Context, parameter: click.Parameter, url: str | None) -> None:
        if context.params.get("workload") is None:
            connect(context, parameter, url)

    option.callback = unless_replaying
    return option


cost.params.append(_server_option())


def _replayed(workload: Path, root: Path, model: str) -> dict[str, Any]:
    from rom_core.cli.cost_workload import replayed_report
    from rom_core.errors import RomError
    from rom_core.ops.workload import InvalidWorkload
    from rom_core.settings import InvalidSettings

    try:
        return replayed_report(workload, root, model)
    except InvalidSettings as error:
        raise SettingsInvalid(str(error)) from None
    except (InvalidWorkload, OSError, RomError) as error:
        raise click.ClickException(str(error)) from None


def _ago(seconds: float) -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        _show(answer)


def _show(answer: dict[str, Any]) -> None:
    from rom_core.cli.console import Console, add_row, table

    console = Console()
    console.print(f"{answer['turns']} turns", style="bold")
    if replayed := answer.get("replayed"):
        console.print(
            f"{answer['workload']}, replayed with {replayed['model']}: without caching "
            f"{replayed['without_caching_usd']:.4f} USD, with caching {replayed['with_caching_usd']:.4f} USD, "
            f"{replayed['change_percent']:+.2f} %"
        )
    tokens = table("model", *(kind.replace("_", " ") for kind in _KINDS), "USD")
    for name, row in (*answer["by_model"].items(), ("total", answer["total"])):
        add_row(tokens, (name, *(str(row[kind]) for kind in _KINDS), f"{row['usd']:.4f}"))
    console.print(tokens)
    views = table("the same tokens", "USD", "against this bill", "saved USD", "saved")
    api = answer["claude_api"]
    rows = [
        ("without caching", answer["without_caching"]),
        ("without fallback", answer["without_fallback"]),
        *((f"with {alias}", view) for alias, view in answer["with_model"].items()),
        (f"Claude API, list of {api['date']}", api),
    ]
    for name, view in rows:
        saved = (view["saved_usd"] or 0) > 0
        figures = (_usd(view["saved_usd"]), _percent(view["saved_percent"])) if saved else ("", "")
        add_row(views, (name, _usd(view["usd"]), _percent(view["change_percent"], "+"), *figures))
    console.print(views)
    if answer["cache_rules"]:
        rules = ", ".join(f"{rule} {count}" for rule, count in answer["cache_rules"].items())
        console.print(f"cache points were decided by: {rules}")
    console.print(f"list prices of {api['date']}: {api['source']}; checked: {answer['checked']}")
    for (date, source), aliases in _sources(answer).items():
        console.print(f"prices of {', '.join(aliases)}: {source}, {date}")
    for note in answer["notes"]:
        console.print(f"- {note}")


def _sources(answer: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """The aliases in this report by the date and source of their prices; what has none is in the notes."""
    found: dict[tuple[str, str], list[str]] = {}
    for alias, price in answer["prices"].items():
        if price["source"] and (alias in answer["by_model"] or alias in answer["with_model"]):
            found.setdefault((price["date"], price["source"]), []).append(alias)
    return found


def _usd(value: float | None) -> str:
    return "cannot be shown" if value is None else f"{value:.4f}"


def _percent(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.1f} %"
