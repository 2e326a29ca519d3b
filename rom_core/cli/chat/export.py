"""Conversations for people to read elsewhere: as Markdown, and as a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rom_core.cli.chat import words
from rom_core.cli.chat.failures import ChatFailed
from rom_core.cli.chat.files import size

_WHO = {"user": "Pergunta", "assistant": "Resposta"}


def when(at: str) -> str:
    """A time of the server's, on this machine's clock."""
    return datetime.fromisoformat(at).astimezone().strftime("%d/%m/%Y %H:%M")


def written(path: Path, text: str) -> None:
    """Write a new file that its owner alone can read. Raises ChatFailed, for a file that is there too."""
    path = path.expanduser()
    try:
        with path.open("x", encoding="utf-8") as file:
            path.chmod(0o600)
            file.write(text)
    except FileExistsError:
        raise ChatFailed(f"{path} já existe; dê outro nome") from None
    except OSError as error:
        raise ChatFailed(f"{path}: {error.strerror}") from None


def as_markdown(conversation: Mapping[str, Any]) -> str:
    """One that a server keeps, as GET /api/conversations/{id} tells it."""
    return "\n".join([f"# {_line(conversation['title'])}", "", *_messages(conversation["messages"])])


def said_as_markdown(messages: Sequence[Mapping[str, str]]) -> str:
    """One that nobody keeps."""
    return "\n".join(["# Conversa", "", *_messages(messages)])


def _messages(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        at = f" ({when(message['at'])})" if "at" in message else ""
        yield f"## {_WHO[message['role']]}{at}"
        yield ""
        yield str(message.get("text") or message.get("content") or "")
        yield ""
        files = [f"- Anexo: {_line(file['name'])} ({size(file['bytes'])})" for file in message.get("attachments", ())]
        if files:
            yield from (*files, "")
        cited = words.sources(message.get("citations") or ())
        if cited:
            yield from (words.SOURCES, "", *(f"- {line}" for line in cited), "")
        if message["role"] == "assistant" and message.get("state") in words.STATES:
            yield f"*[{words.STATES[message['state']]}]*"
            yield ""


def _line(text: str) -> str:
    return " ".join(str(text).split())
