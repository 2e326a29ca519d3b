"""`rom chat`: a question, or a conversation, from the terminal."""

from __future__ import annotations

import io
import os
import signal
import sys

import click

from rom_core.cli.admin_client import DEFAULT_URL
from rom_core.cli.problems import ForeignAnswer
from rom_core.cli.terminal import say
from rom_core.cli.values import Address


@click.command()
@click.argument("message", required=False)
@click.option(
    "--url",
    type=Address(),
    default=DEFAULT_URL,
    show_default=True,
    envvar="ROM_URL",
    show_envvar=True,
    help="The server.",
)
@click.option("--model", help="A model alias.")
@click.option("--system", default="", help="Added to the system prompt.")
def chat(message: str | None, url: str, model: str | None, system: str) -> None:
    """Ask one MESSAGE and stream the answer; without a message, hold a conversation (end it with Ctrl-D).

    Ctrl-C ends an answer.

    The API key is taken from the environment variable ROM_API_KEY.
    """
    from rom_core.cli.chat_client import KEY_VARIABLE, ChatClient, ChatFailed, ForeignServer
    from rom_core.ops.bearer import BadToken

    signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character shows a question mark.
        sys.stdout.reconfigure(errors="replace")
    try:
        client = ChatClient(url, os.environ.get(KEY_VARIABLE, ""), model=model, system=system)
        if message is not None:
            client.ask(message)
        else:
            client.check()
            client.hold_conversation()
    except ForeignServer as error:
        raise ForeignAnswer(str(error)) from None
    except (BadToken, ChatFailed) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        # Whatever was being written ends here; the shell begins on a line of its own.
        say()
        sys.exit(130)
