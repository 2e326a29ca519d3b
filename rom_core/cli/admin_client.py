"""Commands that speak to the admin routes of one server: where it is, with which token, and what went wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from rom_core.cli.problems import ForeignAnswer
from rom_core.cli.values import Address
from rom_core.ops.bearer import BadToken, Bearer

if TYPE_CHECKING:
    import requests
    from rich.table import Table

    from rom_core.cli.console import Console

TOKEN_VARIABLE = "ROM_ADMIN_TOKEN"  # noqa: S105 - its name
DEFAULT_URL = "http://127.0.0.1:8000"
_SECONDS = (5, 20)
JSON = click.option("--json", "as_json", is_flag=True, help="Print what the server answers, as JSON.")


def CLIENT(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802 - reads like the other decorators
    """Give the command the AdminClient that --url made, and end it in a sentence if the answer is not ours."""

    @click.pass_obj
    @wraps(command)
    def with_client(client: AdminClient, *args: Any, **options: Any) -> Any:
        with client.reading():
            return command(client, *args, **options)

    return with_client


class Refused(click.ClickException):
    """The server's own refusal; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AdminClient:
    """Speaks to the admin routes of one server. Every call raises click.ClickException with the server's reason."""

    def __init__(self, url: str, token: str) -> None:
        # Imported here: `rom serve` has no use for either.
        from rom_core.cli.console import Console
        from rom_core.ops.requesting import DirectSession

        self._console = Console()
        self._url = url.rstrip("/")
        self._answered = ""
        self._session = DirectSession()
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

    def events(self, path: str, silence_seconds: float) -> Iterator[tuple[str, Any]]:
        """Server-Sent Events as (name, data), until the server ends them; a comment is ("", None).

        Raises Refused, and click.ClickException where nothing comes for `silence_seconds`.
        """
        import requests

        from rom_core.ops.requesting import json_of

        try:
            with self._session.request(
                "GET", self._url + path, timeout=(_SECONDS[0], silence_seconds), stream=True
            ) as response:
                if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                    raise Refused(_refusal(json_of(response.content), response.status_code), response.status_code)
                self._answered, name = path, ""
                for line in response.iter_lines():
                    field, _, value = line.decode("utf-8", "replace").partition(":")
                    if line.startswith(b":"):
                        yield "", None
                    elif field == "event":
                        name = value.strip()
                    elif field == "data":
                        yield name, json_of(value)
        except requests.RequestException as error:
            raise click.ClickException(_no_answer(self._url, "GET", error)) from None
        except ValueError:
            raise self._foreign() from None

    @property
    def console(self) -> Console:
        """Where it prints."""
        return self._console

    def say(self, text: str, style: str = "") -> None:
        """Print a line, whatever brackets are in it."""
        self._console.print(text, style=style)

    def clear(self) -> bool:
        """Empty the screen, if there is one; whether there is."""
        if self._console.is_terminal:
            self._console.clear()
        return self._console.is_terminal

    def show(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        import requests

        from rom_core.ops.requesting import json_of

        try:
            with self._session.request(method, self._url + path, timeout=_SECONDS, **options) as response:
                if response.is_redirect:
                    target = response.headers["Location"]
                    raise click.ClickException(
                        f"{self._url} redirects to {target}: give --url the address that answers"
                    )
                answer = json_of(response.content)
        except requests.RequestException as error:
            raise click.ClickException(_no_answer(self._url, method, error)) from None
        except ValueError:
            raise click.ClickException(
                f"{self._url}{path} answers HTTP {response.status_code} without JSON: is it a ROM Agent, and is it up?"
            ) from None
        if not response.ok:
            raise Refused(_refusal(answer, response.status_code), response.status_code)
        self._answered = path
        if not isinstance(answer, dict):
            raise self._foreign()
        return answer

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around what prints an answer; raises ForeignAnswer for one of another shape."""
        from rom_core.ops.requesting import FOREIGN

        try:
            yield
        except FOREIGN as error:
            if not self._answered:
                raise
            raise self._foreign() from error

    def _foreign(self) -> ForeignAnswer:
        return ForeignAnswer(
            f"what answers at {self._url}{self._answered} is no ROM Agent, or one of another release than this command"
        )


class ServerGroup(click.Group):
    """Commands for one server, named with --url before or behind the command, or with ROM_URL."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(url_option(envvar="ROM_URL", default=DEFAULT_URL, show_default=True))

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """As in click; the command takes --url too."""
        cmd.params.append(url_option())
        super().add_command(cmd, name)


def url_option(**options: Any) -> click.Option:
    """The option --url, which makes the AdminClient that the command is given."""

    def connect(context: click.Context, _parameter: click.Parameter, url: str | None) -> None:
        if url and not context.resilient_parsing:
            context.obj = AdminClient(url, os.environ.get(TOKEN_VARIABLE, ""))

    return click.Option(
        ["--url"], type=Address(), help="The server, or ROM_URL.", expose_value=False, callback=connect, **options
    )


def _no_answer(url: str, method: str, error: requests.RequestException) -> str:
    """Why there is no answer; whoever wanted a change reads where it may have been made all the same."""
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
