"""`rom drain` and `rom undrain`: an instance of a running server takes no new turns, or takes them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from rom_core.cli.admin_client import CLIENT, DEFAULT_URL, JSON, AdminClient, url_option
from rom_core.cli.terminal import print_json

_PATH = "/admin/drain"


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (CLIENT, JSON, click.option("--reason", default="", help="Why, for the log and the status.")):
        command = option(command)
    return click.argument("instance", default="")(command)


@click.command()
@_options
def drain(client: AdminClient, instance: str, reason: str, as_json: bool) -> None:
    """Take an instance out of service: what it has begun is finished, new turns go elsewhere.

    INSTANCE is its id as `rom flags status` shows it; it may be left out where there is only one. The server is that of
    ROM_URL, the admin token that of ROM_ADMIN_TOKEN. A restart ends it, and so does `rom undrain`.
    """
    _decide(client, instance, reason, as_json, draining=True)


@click.command()
@_options
def undrain(client: AdminClient, instance: str, reason: str, as_json: bool) -> None:
    """Let an instance take turns again that `rom drain` has taken out of service."""
    _decide(client, instance, reason, as_json, draining=False)


def _decide(client: AdminClient, instance: str, reason: str, as_json: bool, *, draining: bool) -> None:
    body: dict[str, Any] = {"draining": draining} | ({"instance": instance} if instance else {})
    answer = client.post(_PATH, body, reason, None)
    if as_json:
        print_json(answer)
        return
    what = "takes no new turns" if answer["draining"] else "takes turns again"
    if answer["self"]:
        running = answer["active_turns"]
        still = f"; {running} still {'runs' if running == 1 else 'run'}" if draining and running else ""
        client.say(f"{answer['instance']} {what}{still}")
    else:
        client.say(f"{answer['instance']} {what} within some seconds; `rom flags status` shows it")
    if not answer["shared"]:
        client.say("the store cannot be written: the other instances do not know of it", style="bold red")


for _command in (drain, undrain):
    _command.params.append(url_option(envvar="ROM_URL", default=DEFAULT_URL, show_default=True))
