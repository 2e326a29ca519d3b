"""What `rom chat` does, once its command line is understood."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rom_core.cli.chat import words
from rom_core.cli.chat.conversation import Conversation, Options, come_back
from rom_core.cli.chat.failures import ChatFailed, ForeignServer
from rom_core.cli.chat.files import local_file
from rom_core.cli.chat.history import history_path, prepared
from rom_core.cli.chat.listing import as_table, chosen, listed
from rom_core.cli.chat.plain import Plain
from rom_core.cli.chat.screen import Screen, silent_keys
from rom_core.cli.chat.server import ChatServer
from rom_core.cli.chat.session import NAMES, Session
from rom_core.cli.console import Console
from rom_core.cli.terminal import say
from rom_core.concurrency.clock import SystemClock
from rom_core.ops.requesting import FOREIGN


def show_list(server: ChatServer) -> None:
    """Print the conversations that the server keeps. Raises ChatFailed."""
    conversations, more = listed(server)
    if not conversations:
        say(words.NO_CONVERSATION, err=True)
        return
    try:
        Console().print(as_table(conversations, with_ids=not sys.stdout.isatty()))
    except FOREIGN:
        raise server.foreign("/api/conversations") from None
    if more:
        say(words.MORE.format(number=len(conversations)), err=True)


class Talk:
    """One command: a question, a run, or a conversation, on a terminal or in a pipe. Everything raises ChatFailed."""

    def __init__(self, server: ChatServer, options: Options, files: Sequence[Path], resume: str | None) -> None:
        """`resume` is the choice of a conversation to go on with, "" for the last one, None for a new one."""
        self._server = server
        self._resume = resume
        self._console = Console()
        self._on_terminal = sys.stdout.isatty() and not self._console.is_dumb_terminal
        clock = SystemClock()
        view = Screen(self._console, clock.monotonic) if self._on_terminal else Plain(self._console)
        self._conversation = Conversation(server, view, options, clock)
        self._conversation.files = [local_file(path) for path in files]

    def ask(self, message: str) -> None:
        """One question. Raises KeyboardInterrupt."""
        self._go_on()
        with silent_keys():
            self._conversation.ask(message)

    def begin_run(self, message: str) -> None:
        """Print the id of a run that answers it."""
        self._go_on()
        run_id = self._conversation.begin_run(message)
        say(run_id)
        say(f"{words.RUN_BEGAN}:\n{come_back(run_id)}", err=True)

    def follow(self, run_id: str) -> None:
        """The answer of a run. Raises KeyboardInterrupt; the run goes on then."""
        with silent_keys():
            self._conversation.follow(run_id)

    def hold(self, *, with_history: bool) -> None:
        """A conversation, until the end of input."""
        self._server.check()
        if not (sys.stdin.isatty() and self._on_terminal):
            self._go_on()
            self._read_lines()
            return
        session = Session(self._server, self._conversation, self._console)
        path = history_path(os.environ) if with_history else None
        try:
            if path is not None and prepared(path):
                session.say(words.HISTORY.format(path=path))
        except OSError as error:
            session.say(words.NO_HISTORY.format(path=path, reason=error.strerror))
            path = None
        session.say(words.HOW_TO_LEAVE)
        if self._resume is not None:
            # Ctrl-C leaves what is still written; the prompt comes all the same.
            with suppress(KeyboardInterrupt):
                session.resume(self._resume)
        # Here, because it takes a tenth of a second.
        from rom_core.cli.chat.prompt import Prompt

        session.hold(Prompt(path, NAMES).read)

    def _go_on(self) -> None:
        if self._resume is not None:
            self._conversation.go_on(chosen(self._server, self._resume))

    def _read_lines(self) -> None:
        """Every line is a message; what fails is said, and the exit code at the end is 1."""
        failed = False
        while True:
            try:
                message = input().strip()
            except EOFError:
                break
            if not message:
                continue
            try:
                self._conversation.ask(message)
            except ForeignServer:
                raise
            except KeyboardInterrupt:
                failed = True
            except ChatFailed as error:
                failed = True
                say(str(error), err=True)
        if failed:
            sys.exit(1)
