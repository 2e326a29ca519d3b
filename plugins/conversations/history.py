"""What was said in a conversation, out of its rows: for the model, which gets it again, and for its owner."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rom_core.concurrency.clock import iso
from rom_core.conversation import author, without_reasoning
from rom_core.store import content

if TYPE_CHECKING:
    from plugins.conversations.keeping import TurnRow
    from plugins.conversations.summaries import Summary
    from rom_core.store.sealing import Sealer
    from rom_core.turn_values import Message


@dataclass(frozen=True, slots=True)
class Past:
    """What was said before, as the model gets it again: a summary of the oldest turns, if there is one, then the rest.

    The first `head` of `messages` are the summary; `turns` are the others as (number of the turn, how many messages),
    oldest first. `files` names those that were summarised. `basis` is that of TURNS. `counted`: the service counted so
    many tokens, system texts and tools included, when it was asked with the first so many messages; None if unknown.
    """

    messages: tuple[Message, ...] = ()
    head: int = 0
    turns: tuple[tuple[int, int], ...] = ()
    files: tuple[str, ...] = ()
    basis: str = ""
    counted: tuple[int, int] | None = None


class History:
    """Opens what is kept."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def past(self, rows: Sequence[TurnRow], summary: Summary | None, basis: str) -> Past:
        """Of the turns of a conversation, and a summary of the oldest. Raises KeyMissing.

        What a model thought was signed together with system texts, tools and all that precedes it: once those are
        others, or a summary has taken the place of what preceded, it is left out.
        """
        messages: list[Message] = []
        files: tuple[str, ...] = ()
        if summary is not None:
            messages, files = self.summary(summary)
            basis = basis_with(basis, messages)
        head, turns, counted = len(messages), [], None
        for row in rows:
            if summary is not None and row.number <= summary.up_to:
                continue
            said = self.messages_of(row)
            messages += said if row.basis == basis else unsigned(said)
            turns.append((row.number, len(said)))
            if row.tokens is not None and (summary is None or row.number >= summary.made_in):
                counted = (row.tokens, len(messages))
        return Past(tuple(messages), head, tuple(turns), files, basis, counted)

    def messages_of(self, row: TurnRow) -> list[Message]:
        """The messages of a turn. Raises KeyMissing."""
        return content.decoded(self._sealer.open(row.body), lambda digest: self._sealer.open(row.files[digest]))

    def exported(self, row: TurnRow) -> dict[str, Any]:
        """The messages of a turn as they are kept, and its files in base64 by their digests. Raises KeyMissing."""
        body = self._sealer.open(row.body).decode("utf-8", "surrogatepass")
        files = {
            digest: base64.b64encode(self._sealer.open(file)).decode("ascii")
            for digest, file in row.files.items()
            if digest in body
        }
        return {"messages": json.loads(body), "files": files}

    def summary(self, kept: Summary) -> tuple[list[Message], tuple[str, ...]]:
        """The messages that stand for the turns that were summarised, and the files in those. Raises KeyMissing."""
        opened = json.loads(self._sealer.open(kept.body).decode("utf-8", "surrogatepass"))
        return opened["messages"], tuple(opened["files"])

    def sealed_summary(self, messages: Sequence[Message], files: Sequence[str]) -> bytes:
        """A summary as it is kept."""
        written = json.dumps({"messages": messages, "files": files}, ensure_ascii=False)
        return self._sealer.seal(written.encode("utf-8", "surrogatepass"))

    def shown_summary(self, kept: Summary) -> dict[str, Any]:
        """A summary for a reader. Raises KeyMissing."""
        messages, files = self.summary(kept)
        return {"up_to": kept.up_to, "at": iso(kept.at), "text": content.text_of(messages[-1]), "files": list(files)}


def basis_with(basis: str, summary: Sequence[Message]) -> str:
    """The basis of what is signed behind this summary."""
    made = json.dumps([basis, list(summary)], ensure_ascii=False)
    return hashlib.sha256(made.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def unsigned(messages: Sequence[Message]) -> list[Message]:
    """The messages without what a model thought and signed."""
    return [message if author(message) is None else without_reasoning(message) for message in messages]


def file_names(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The documents in these messages by name and format, and images by their format."""
    for message in messages:
        for block in message["content"]:
            if "document" in block:
                yield f"{block['document']['name']} ({block['document']['format']})"
            elif "image" in block:
                yield f"imagem ({block['image']['format']})"
