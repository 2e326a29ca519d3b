"""`rom flags`: the settings of a running server, from a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from rom_core.cli.status_view import status_lines
from rom_core.ops.bearer import BadToken, Bearer

if TYPE_CHECKING:
    import requests
    from rich.table import Table

TOKEN_VARIABLE = "ROM_ADMIN_TOKEN"  # noqa: S105 - its name
_SECONDS = (5, 20)
_MAX_CELL = 60
_JSON = click.option("--json", "as_json", is_flag=True, help="Print what the server answers, as JSON.")
_WHY = click.option("--reason", default="", help="Why, for the history.")
_IF = click.option("--if-version", type=click.IntRange(min=1), help="Only if this version is in force.")


class AdminClient:
    """Speaks to the admin routes of one server. Every call raises click.ClickException with the server's reason."""

    def __init__(self, url: str, token: str) -> None:
        # Imported here: `rom serve` has no use for either.
        import requests
        from rich.console import Console

        self._console = Console(highlight=False)
        self._url = url.rstrip("/")
        self._session = requests.Session()
        try:
            self._session.auth = Bearer(token, TOKEN_VARIABLE)
        except BadToken as error:
            raise click.ClickException(str(error)) from None

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """GET a path."""
        return self._ask("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any], reason: str, if_version: int | None) -> dict[str, Any]:
        """POST JSON, with the reason and the version that must be in force."""
        headers = {"If-Match": f'"{if_version}"'} if if_version is not None else {}
        return self._ask("POST", path, json=dict(body) | ({"reason": reason} if reason else {}), headers=headers)

    def say(self, text: str, style: str = "") -> None:
        """Print a line, whatever brackets are in it."""
        self._console.print(text, style=style, markup=False)

    def show(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        import requests

        try:
            with self._session.request(
                method, self._url + path, timeout=_SECONDS, allow_redirects=False, **options
            ) as response:
                if response.is_redirect:
                    target = response.headers["Location"]
                    raise click.ClickException(
                        f"{self._url} redirects to {target}: give --url the address that answers"
                    )
                answer: Any = response.json()
        # Before RequestException, which it is as well.
        except requests.JSONDecodeError:
            raise click.ClickException(
                f"{self._url}{path} answers HTTP {response.status_code} without JSON: is it a ROM Agent, and is it up?"
            ) from None
        except requests.RequestException as error:
            raise click.ClickException(_silence(self._url, method, error)) from None
        if not response.ok or not isinstance(answer, dict):
            raise click.ClickException(_refusal(answer, response.status_code))
        return answer


@click.group(invoke_without_command=True)
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, envvar="ROM_URL", help="The server.")
@click.pass_context
def flags(context: click.Context, url: str) -> None:
    """Settings of a running server: list, set, clear, history, rollback.

    The admin token is taken from the environment variable ROM_ADMIN_TOKEN.

    Without a command it lists; for JSON, `rom flags list --json`.
    """
    context.obj = AdminClient(url, os.environ.get(TOKEN_VARIABLE, ""))
    if context.invoked_subcommand is None:
        context.invoke(show)


_client: Callable[..., Any] = click.pass_obj


@flags.command("list")
@click.argument("pattern", default="")
@click.option("--overridden", is_flag=True, help="Only overrides.")
@_JSON
@_client
def show(client: AdminClient, pattern: str = "", overridden: bool = False, as_json: bool = False) -> None:
    """Every setting, or those with PATTERN in their name: its value and where that comes from."""
    answer = client.get("/admin/flags")
    chosen = {
        name: flag
        for name, flag in answer["flags"].items()
        if pattern.upper() in name and (flag["source"] == "override" or not overridden)
    }
    if as_json:
        _print_json(answer | {"flags": chosen})
        return
    table = _table(f"version {answer['version']}, {answer['environment']}", "name", "value", "from", "set by", "why")
    for name, flag in chosen.items():
        style = "bold" if flag["source"] == "override" else ""
        cells = (name, _cell(flag["value"]), flag["source"], flag.get("by", ""), flag.get("why", ""))
        _add_row(table, cells, style)
    client.show(table)
    if answer["canary"]:
        client.say(f"canary: {json.dumps(answer['canary'], ensure_ascii=False)}")
    _print_notes(client, answer)


@flags.command("set")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@_WHY
@_IF
@_JSON
@_client
def set_(client: AdminClient, assignments: Sequence[str], reason: str, if_version: int | None, as_json: bool) -> None:
    """Override settings, all or none: `rom flags set RETRY_ENABLED=on MAX_TOKENS=2048`."""
    _change(client, assigned(assignments), reason, if_version, as_json)


@flags.command()
@click.argument("names", nargs=-1, required=True)
@_WHY
@_IF
@_JSON
@_client
def clear(client: AdminClient, names: Sequence[str], reason: str, if_version: int | None, as_json: bool) -> None:
    """Remove overrides: the layers below count again. `canary` names the canary."""
    _change(client, dict.fromkeys(names), reason, if_version, as_json)


@flags.command("reload")
@_WHY
@_IF
@_JSON
@_client
def reload_(client: AdminClient, reason: str, if_version: int | None, as_json: bool) -> None:
    """Read settings files and .env afresh."""
    _change(client, {}, reason, if_version, as_json)


@flags.command()
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--percent", type=click.IntRange(0, 100), help="Set CANARY_PERCENT too.")
@click.option("--include", multiple=True, metavar="USER", help="A user, or API key, that is always in.")
@click.option("--salt", default="", help="Another salt draws another sample.")
@_WHY
@_IF
@_JSON
@_client
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
@_JSON
@_client
def history(client: AdminClient, limit: int, as_json: bool) -> None:
    """Who changed what, when and why; newest first."""
    answer = client.get("/admin/flags/history", limit=limit)
    if as_json:
        _print_json(answer)
        return
    table = _table("", "version", "at (UTC)", "by", "why", "changes")
    for version in answer["versions"]:
        changes = "\n".join(_change_line(name, change) for name, change in version["changes"].items())
        cells = (str(version["version"]), version["at"][:19], version["by"], version["why"], changes)
        _add_row(table, cells)
    client.show(table)


@flags.command()
@click.argument("version", type=click.IntRange(min=1))
@_WHY
@_IF
@_JSON
@_client
def rollback(client: AdminClient, version: int, reason: str, if_version: int | None, as_json: bool) -> None:
    """Put the overrides of VERSION in force again."""
    answer = client.post("/admin/flags/rollback", {"version": version}, reason, if_version)
    _print_change(client, answer, as_json)


@flags.command()
@_JSON
@_client
def status(client: AdminClient, as_json: bool) -> None:
    """What the server is doing: Bedrock, turns, store, canary, and every plugin."""
    answer = client.get("/admin/status")
    if as_json:
        _print_json(answer)
        return
    for line in status_lines(answer):
        click.echo(line)


def _change(client: AdminClient, edits: Mapping[str, Any], reason: str, if_version: int | None, as_json: bool) -> None:
    _print_change(client, client.post("/admin/reload-flags", edits, reason, if_version), as_json)


def _print_change(client: AdminClient, answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(answer)
        return
    changed = answer["changed"]
    client.say(f"version {answer['version']} is in force" + ("" if changed else ", nothing changed"))
    for name, change in changed.items():
        client.say(f"  {_change_line(name, change)}")
    if not answer["durable"]:
        client.say("not durable: the store cannot be written, a restart undoes it", style="bold red")
    _print_notes(client, answer)


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
            raise click.UsageError(f"{assignment!r} is not NAME=VALUE")
        if not value:
            raise click.UsageError(f"{name} has no value; `rom flags clear {name}` removes an override")
        if name in edits:
            raise click.UsageError(f"{name} is given twice")
        edits[name] = value
    return edits


def _change_line(name: str, change: Mapping[str, Any]) -> str:
    how = f" ({change['override']})" if "override" in change else ""
    return f"{name}: {_cell(change['from'])} → {_cell(change['to'])}{how}"


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CELL else text[:_MAX_CELL] + "…"


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add_row(table: Table, cells: Sequence[str], style: str = "") -> None:
    from rich.text import Text

    table.add_row(*map(Text, cells), style=style)


def _print_json(value: Mapping[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _silence(url: str, method: str, error: requests.RequestException) -> str:
    """Why there is no answer; whoever wanted a change is told where it may have been made all the same."""
    import requests
    from urllib3.exceptions import ProtocolError

    if isinstance(error, requests.ReadTimeout):
        said = f"{url} took the request and did not answer within {_SECONDS[1]} s"
    elif isinstance(error, requests.exceptions.ChunkedEncodingError) or isinstance(
        next(iter(error.args), None), ProtocolError
    ):
        said = f"{url} took the request, and the connection broke off"
    elif isinstance(error, requests.ConnectionError):
        return f"no server answers at {url}; another address is given with --url or ROM_URL"
    else:
        return f"the request failed: {error}"
    return said if method == "GET" else f"{said}: it may have been carried out, look before you repeat it"


def _refusal(answer: Any, status_code: int) -> str:
    if not isinstance(answer, dict) or "detail" not in answer:
        return f"HTTP {status_code}"
    hint = f"; the token is taken from {TOKEN_VARIABLE}" if status_code == 401 else ""
    return f"{answer['detail']}{hint} ({answer.get('code')}, trace {answer.get('trace_id')})"
