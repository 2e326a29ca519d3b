"""The command `rom chat`."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import click

from rom_core.cli.admin_client import DEFAULT_URL
from rom_core.cli.problems import ForeignAnswer
from rom_core.cli.terminal import say
from rom_core.cli.values import Address, Identifier

_INTERRUPTED = 130


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
@click.option("--user", default="", envvar="ROM_USER", show_envvar=True, help="Who asks: conversations belong to them.")
@click.option("--exhaustive", is_flag=True, help="For long work: more time, few at once.")
@click.option("--attach", "files", multiple=True, type=click.Path(path_type=Path), help="A file for the message.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[ID]",
    help="Go on with a conversation that the server keeps: the last one, or that id, or its number in the list.",
)
@click.option("--list", "lists", is_flag=True, help="List the conversations that the server keeps.")
@click.option("--background", is_flag=True, help="Begin the answer, print the id of its run, and leave.")
@click.option("--run", type=Identifier(r"[A-Za-z0-9._:-]{1,128}", "a run's id"), help="Show the answer of a run.")
@click.option("--store/--no-store", default=True, help="Have the server keep the conversation, where it does.")
@click.option("--citations/--no-citations", default=True, help="Have answers quote from attached documents.")
@click.option(
    "--history/--no-history",
    default=True,
    envvar="ROM_CHAT_HISTORY",
    show_envvar=True,
    help="Keep what you type in a file of yours, for the arrow keys.",
)
def chat(
    message: str | None,
    url: str,
    model: str | None,
    system: str,
    user: str,
    exhaustive: bool,
    files: tuple[Path, ...],
    resume: str | None,
    lists: bool,
    background: bool,
    run: str | None,
    store: bool,
    citations: bool,
    history: bool,
) -> None:
    """Ask one MESSAGE and stream the answer; without a message, hold a conversation (end it with Ctrl-D).

    Ctrl-C stops an answer. In a pipe the answer goes to standard output once it is whole, everything else to standard
    error. Exit codes: 0 answered, 1 not answered, or not to its end, 2 asked for wrongly, 130 stopped by Ctrl-C.

    The API key is taken from the environment variable ROM_API_KEY.
    """
    from rom_core.cli.chat.listing import is_choice

    if resume and not is_choice(resume):
        # `--resume "And then?"`: an id is recognised by its form.
        if message is not None:
            raise click.BadParameter(f"{resume!r} is neither an id nor a number of the list", param_hint="--resume")
        resume, message = "", resume
    _check(message, files=files, resume=resume, lists=lists, background=background, run=run, store=store)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character shows a question mark.
        sys.stdout.reconfigure(errors="replace")
    from rom_core.cli.chat.conversation import Options
    from rom_core.cli.chat.failures import KEY_VARIABLE, ChatFailed, ForeignServer
    from rom_core.cli.chat.server import ChatServer
    from rom_core.cli.chat.talk import Talk, show_list
    from rom_core.ops.bearer import BadToken

    try:
        server = ChatServer(url, os.environ.get(KEY_VARIABLE, ""), user)
        if lists:
            show_list(server)
            return
        talk = Talk(server, Options(model, system, exhaustive, store, citations), files, resume)
        if run is not None:
            talk.follow(run)
        elif message is None:
            talk.hold(with_history=history)
        elif background:
            talk.begin_run(message)
        else:
            talk.ask(message)
    except ForeignServer as error:
        raise ForeignAnswer(str(error)) from None
    except (BadToken, ChatFailed) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        # Whatever was being written ends here; the shell begins on a line of its own.
        say(err=True)
        sys.exit(_INTERRUPTED)


def _check(
    message: str | None,
    *,
    files: tuple[Path, ...],
    resume: str | None,
    lists: bool,
    background: bool,
    run: str | None,
    store: bool,
) -> None:
    if lists and (message is not None or run or resume is not None or background):
        raise click.UsageError("--list stands alone")
    if run and (message is not None or resume is not None or background or files):
        raise click.UsageError("--run stands alone: it shows the answer to what was asked when the run began")
    if background and message is None:
        raise click.UsageError("--background needs a MESSAGE")
    if resume is not None and not store:
        raise click.UsageError("--resume and --no-store contradict each other")
