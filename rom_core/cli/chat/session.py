"""A conversation held at a terminal: messages and commands until the person leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.markdown import Markdown
from rich.text import Text

from rom_core.cli.chat import words
from rom_core.cli.chat.conversation import Conversation
from rom_core.cli.chat.export import as_markdown, said_as_markdown, written
from rom_core.cli.chat.failures import ChatFailed
from rom_core.cli.chat.files import limits, local_file
from rom_core.cli.chat.listing import as_table, chosen, is_choice, listed
from rom_core.cli.chat.screen import silent_keys
from rom_core.cli.chat.server import ChatServer
from rom_core.cli.console import Console, add_row, table
from rom_core.cli.terminal import clean
from rom_core.ops.requesting import FOREIGN

COMMANDS: Mapping[str, str] = {
    "/help": "mostra isto",
    "/new": "começa outra conversa",
    "/list": "lista as conversas guardadas",
    "/resume [N]": "continua a conversa de número N da lista, ou a última",
    "/attach [ARQUIVO]": "anexa um arquivo à próxima mensagem; sem arquivo, mostra os anexos e os limites; - os retira",
    "/export ARQUIVO": "grava a conversa em Markdown",
}
NAMES = frozenset(line.split()[0] for line in COMMANDS)


class Session:
    """Reads with `read`, which raises EOFError to end it and KeyboardInterrupt for Ctrl-C in an empty line."""

    def __init__(self, server: ChatServer, conversation: Conversation, console: Console) -> None:
        self._server = server
        self._conversation = conversation
        self._console = console
        self._commands: Mapping[str, Callable[[str], None]] = {
            "/help": self._help,
            "/new": self._new,
            "/list": self._list,
            "/resume": self.resume,
            "/attach": self._attach,
            "/export": self._export,
        }

    def hold(self, read: Callable[[], str]) -> None:
        """Until the end of input."""
        while True:
            try:
                message = read().strip()
            except EOFError:
                return
            except KeyboardInterrupt:
                self.say(words.HOW_TO_LEAVE)
                continue
            try:
                if message.startswith("/"):
                    self._obey(message)
                elif message:
                    with silent_keys():
                        self._conversation.ask(message)
            except ChatFailed as error:
                self._console.print(Text(str(error), style="red"))
            except KeyboardInterrupt:
                # It has been said; the conversation goes on.
                continue

    def resume(self, choice: str) -> None:
        """Go on with a conversation that the server keeps, and show its last exchange. Raises ChatFailed."""
        if choice and not is_choice(choice):
            raise ChatFailed(words.NO_SUCH_NUMBER.format(number=choice))
        found = chosen(self._server, choice)
        self._conversation.go_on(found)
        run_id = self._conversation.unfinished_run()
        try:
            self._show_end(found, still_written=bool(run_id))
        except FOREIGN:
            raise self._server.foreign("/api/conversations") from None
        if run_id:
            self.say(words.STILL_WRITTEN)
            with silent_keys():
                self._conversation.follow(run_id)

    def _show_end(self, found: Mapping[str, Any], *, still_written: bool) -> None:
        messages = found["messages"]
        self.say(f"{found['title']} · {words.turns(found['turns'])}")
        questions = [number for number, message in enumerate(messages) if message["role"] == "user"]
        for message in messages[questions[-1] if questions else 0 :]:
            whole = message["state"] == "whole"
            if message["role"] == "user":
                self._console.print(Text(f"> {message['text']}", style="bold"))
                for file in message["attachments"]:
                    self.say(f"anexo: {file['name']}")
            elif whole or not still_written:
                self._console.print(Markdown(clean(message["text"]), hyperlinks=False))
                cited = words.sources(message.get("citations") or ())
                if cited:
                    self._console.print(Text("\n".join([words.SOURCES, *cited]), style="cyan"))
            if message is messages[-1] and not whole and not still_written:
                self._console.print(Text(f"[{words.STATES[message['state']]}]", style="yellow"))

    def _obey(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        command = self._commands.get(name)
        if command is None:
            raise ChatFailed(words.NO_SUCH_COMMAND.format(name=name))
        command(argument.strip())

    def _help(self, _argument: str) -> None:
        shown = table("", "")
        shown.show_header = False
        for row in {**COMMANDS, **words.KEYS}.items():
            add_row(shown, row)
        self._console.print(shown)

    def _new(self, _argument: str) -> None:
        self._conversation.restart()
        self.say("nova conversa")

    def _list(self, _argument: str) -> None:
        conversations, more = listed(self._server)
        if not conversations:
            self.say(words.NO_CONVERSATION)
            return
        self._console.print(as_table(conversations, with_ids=False))
        if more:
            self.say(words.MORE.format(number=len(conversations)))

    def _attach(self, argument: str) -> None:
        files = self._conversation.files
        if argument == "-":
            files.clear()
        elif argument:
            files.append(local_file(Path(argument)))
        waiting = ", ".join(file.described for file in files) or "nenhum"
        self.say(f"anexos da próxima mensagem: {waiting}")
        if not argument:
            self.say(f"aceitos: {limits()}")

    def _export(self, argument: str) -> None:
        if not argument:
            raise ChatFailed("/export ARQUIVO")
        conversation = self._conversation
        if conversation.kept:
            text = as_markdown(self._server.conversation(conversation.id))
        elif conversation.messages:
            text = said_as_markdown(conversation.messages)
        else:
            raise ChatFailed(words.NOTHING_SAID)
        written(Path(argument), text)
        self.say(f"→ {argument}")

    def say(self, text: str) -> None:
        """A line of ours."""
        self._console.print(Text(text, style="dim"))
