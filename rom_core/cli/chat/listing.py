"""The conversations that a server keeps, to choose one from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from rom_core.cli.chat import words
from rom_core.cli.chat.export import when
from rom_core.cli.chat.failures import ChatFailed
from rom_core.cli.chat.server import ChatServer
from rom_core.cli.console import add_row, table
from rom_core.ops.requesting import FOREIGN

SHOWN = 50
_ID = re.compile(r"conv_[A-Za-z0-9._:-]{1,123}")


def is_choice(text: str) -> bool:
    """Whether it names a conversation: by its id, or its number in the list."""
    return bool(_ID.fullmatch(text)) or (text.isascii() and text.isdecimal() and 1 <= int(text) <= SHOWN)


def listed(server: ChatServer) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """The newest SHOWN, and whether there are more. Raises ChatFailed."""
    try:
        page = server.conversations(SHOWN)
        return list(page["conversations"]), page["next"] is not None
    except FOREIGN:
        raise server.foreign("/api/conversations") from None


def as_table(conversations: Sequence[Mapping[str, Any]], *, with_ids: bool) -> Table:
    """With the numbers that --resume and /resume take; ids are for programs, and too wide for a terminal."""
    made = table("nº", "título", "turnos", "última vez", *(("id",) if with_ids else ()))
    for number, each in enumerate(conversations, start=1):
        title = " ".join(each["title"].split())
        ids = (each["id"],) if with_ids else ()
        add_row(made, (str(number), title, str(each["turns"]), when(each["updated_at"]), *ids))
    return made


def chosen(server: ChatServer, choice: str) -> dict[str, Any]:
    """The conversation by its id or number, "" for the last one, with its messages. Raises ChatFailed."""
    if _ID.fullmatch(choice):
        return server.conversation(choice)
    conversations, _ = listed(server)
    number = int(choice) if choice else 1
    if number > len(conversations):
        raise ChatFailed(words.NO_SUCH_NUMBER.format(number=number) if conversations else words.NO_CONVERSATION)
    return server.conversation(str(conversations[number - 1]["id"]))
