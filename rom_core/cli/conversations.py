"""`rom conversations`: everything of a person, exported or erased, and keys for CONTENT_KEY."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import click

from rom_core.cli.admin_client import CLIENT, AdminClient, Refused, ServerGroup
from rom_core.cli.terminal import say

PATH = "/admin/conversations"
RUNS_PATH = "/admin/runs"
USER = click.option("--user", required=True, help="The person, as the applications name them in `user`.")
KEY = click.option("--key-name", default="", help="Only what was said under this API key; default: under any.")


@click.group("conversations", cls=ServerGroup)
def conversations() -> None:
    """Export or erase everything of a person that a running server keeps.

    The admin token is taken from the environment variable ROM_ADMIN_TOKEN. Exit code 1 if anything is missing or left.
    """


@conversations.command("export")
@USER
@KEY
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Never over a file.")
@CLIENT
def export(client: AdminClient, user: str, key_name: str, output: Path) -> None:
    """Write everything of a person into a file, as JSON; then look whether it is all there."""
    whose = {"user": user} | ({"key_name": key_name} if key_name else {})
    ids = client.get(PATH, **whose)["ids"]
    try:
        with output.open("x", encoding="utf-8") as file:
            output.chmod(0o600)
            whole = [client.get(f"{PATH}/{id_}") for id_ in ids]
            runs = [client.get(f"{RUNS_PATH}/{id_}") for id_ in _runs_of(client, whose)]
            json.dump({"user": user, "conversations": whole, "runs": runs}, file, ensure_ascii=False, indent=1)
    except FileExistsError:
        raise click.ClickException(f"{output} is there already; name another file") from None
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
    written = [each["id"] for each in json.loads(output.read_text(encoding="utf-8"))["conversations"]]
    missing = set(client.get(PATH, **whose)["ids"]) - set(written)
    if missing:
        raise click.ClickException(f"{len(missing)} conversations have begun meanwhile and are not in {output}: again")
    turns = sum(len(each["turns"]) for each in whole)
    client.say(f"{len(written)} conversations with {turns} turns, {len(runs)} runs → {output}")


def _runs_of(client: AdminClient, whose: Mapping[str, str]) -> list[str]:
    """The ids of all runs of a person; none of a server that keeps none."""
    try:
        ids: list[str] = client.get(RUNS_PATH, **whose)["ids"]
    except Refused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return []
    return ids


@conversations.command("erase")
@USER
@KEY
@click.option("--reason", default="", help="Why; it goes into the log.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CLIENT
def erase(client: AdminClient, user: str, key_name: str, reason: str, yes: bool) -> None:
    """Erase everything of a person for good; then look whether anything is left."""
    whose = {"user": user} | ({"key_name": key_name} if key_name else {})
    found = len(client.get(PATH, **whose)["ids"])
    if found and not yes:
        click.confirm(f"Erase {found} conversations of {user!r} for good?", abort=True)
    answer = client.post(PATH, {"action": "erase"} | whose, reason, None)
    if answer["left"]:
        raise click.ClickException(
            f"{answer['erased']} conversations erased, {answer['left']} have begun meanwhile: again"
        )
    client.say(f"{answer['erased']} conversations erased, none left")


@click.command("new-key")
def new_key() -> None:
    """Print a new key for CONTENT_KEY; put it in front of the others, and take the old one away once none needs it."""
    from cryptography.fernet import Fernet

    say(Fernet.generate_key().decode())


# Of no server: without --url.
click.Group.add_command(conversations, new_key)
