"""The line a person types: edited with the arrow keys, over several lines if they like, remembered."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.shortcuts import CompleteStyle

SIGN = "> "
_CONTINUED = "… "


class Prompt:
    """Asks for one message at a time."""

    def __init__(self, history: Path | None, commands: Iterable[str]) -> None:
        """`history` is the file for what was typed; None remembers until the end only."""
        kept: History = FileHistory(os.fspath(history)) if history is not None else InMemoryHistory()
        self._session: PromptSession[str] = PromptSession(
            history=kept,
            key_bindings=_keys(),
            prompt_continuation=_CONTINUED,
            multiline=True,
            completer=_Commands(commands),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            enable_open_in_editor=False,
        )

    def read(self) -> str:
        """What was typed, "" for nothing. Raises EOFError on Ctrl-D, KeyboardInterrupt on Ctrl-C in an empty line."""
        while True:
            try:
                return self._session.prompt(SIGN)
            except KeyboardInterrupt:
                if not self._session.default_buffer.text:
                    raise


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def another_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


class _Commands(Completer):
    """Commands with Tab, and the files behind /attach and /export."""

    def __init__(self, commands: Iterable[str]) -> None:
        self._commands = sorted(commands)
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What the text before the cursor may become."""
        text = document.text_before_cursor
        command, blank, argument = text.partition(" ")
        if blank and command in ("/attach", "/export"):
            yield from self._paths.get_completions(Document(argument), complete_event)
        elif not blank and text.startswith("/"):
            yield from (Completion(each, -len(text)) for each in self._commands if each.startswith(text))
