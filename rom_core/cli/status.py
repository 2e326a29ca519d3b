"""`rom status`: whether a running server is well, and if not why and what to do."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from rom_core.cli.admin_client import CLIENT, DEFAULT_URL, JSON, AdminClient, url_option
from rom_core.cli.status_view import BAD, health_lines
from rom_core.cli.terminal import print_json

_PATH = "/admin/status"
_WATCH_SECONDS = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Look every two seconds until interrupted; in a pipe, a line a change.")
@JSON
@CLIENT
def status(client: AdminClient, watch: bool, as_json: bool) -> None:
    """Whether the server is well, degraded or down, why, and where it is written what to do.

    The server is that of ROM_URL, the admin token that of ROM_ADMIN_TOKEN. Exit code 0 when it is well, else 1.
    `rom flags status` shows every plugin besides.
    """
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs; give one of them")
    well = _watched(client) if watch else _shown(client, client.get(_PATH), as_json)
    raise SystemExit(0 if well else 1)


status.params.append(url_option(envvar="ROM_URL", default=DEFAULT_URL, show_default=True))


def _shown(client: AdminClient, answer: Mapping[str, Any], as_json: bool = False) -> bool:
    """Print it; whether it is well."""
    health = answer["health"]
    if as_json:
        print_json(health)
    else:
        for line, style in health_lines(health):
            client.say(line, style)
    return bool(health["state"] == "well")


def _watched(client: AdminClient) -> bool:
    """Look until interrupted; whether it was well at the last look. A server that does not answer is not."""
    pause, well, before = threading.Event(), False, ""
    try:
        while True:
            try:
                health = client.get(_PATH)["health"]
                lines, well = list(health_lines(health)), health["state"] == "well"
                now = " ".join([health["state"], *(why["reason"] for why in health["why"])])
            except click.ClickException as error:
                lines, well, now = [(f"no answer: {error.message}", BAD)], False, "no answer"
            if client.clear():
                for line, style in lines:
                    client.say(line, style)
            elif now != before:
                client.say(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {lines[0][0]}", lines[0][1])
            before = now
            pause.wait(_WATCH_SECONDS)
    except KeyboardInterrupt:
        return well
