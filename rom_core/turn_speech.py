"""The part of a turn that speaks to the person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rom_core.answer_text import AnswerText, Mark, Paragraphs, Passage
from rom_core.turn_snapshot import Snapshot
from rom_core.unicode import encodable

Sink = Callable[[str, dict[str, Any]], None]
AnswerMark = tuple[Mark, Mark | None, int]


class Speech:
    """What a turn says: all of it goes through the filters of plugins, and is sent if the client asked for a stream."""

    __slots__ = ()

    snapshot: Snapshot
    sink: Sink | None
    citations: list[dict[str, Any]]
    _answer: AnswerText

    @property
    def text(self) -> str:
        """Everything said to the person so far."""
        return self._answer.said.text

    @property
    def unfiltered_text(self) -> str:
        """The same before the filters of plugins: as the conversation keeps it."""
        return self.text if self._answer.unfiltered is None else self._answer.unfiltered.text

    def next_paragraph(self) -> None:
        """The next piece of text begins a new paragraph, if there was one before."""
        self._answer.said.begin()
        if self._answer.unfiltered is not None:
            self._answer.unfiltered.begin()

    def say(self, text: str, check: Callable[[str], None] | None = None) -> None:
        """Add text to the answer, through new filters, and send it if the client asked for a stream.

        `check` may raise an objection to what filters have made of it, before it is sent. Raises what a filter raises.
        """
        if not text:
            return
        passage = self.passage()
        if passage is None:
            self.hand_on(text)
        else:
            passage.whole(text, check)

    def passage(self) -> Passage | None:
        """For the core: new filters for a stretch of the answer, None where no plugin has any.

        Raises what a plugin raises.
        """
        filters = self.snapshot.pipeline.text_filters(self)
        if filters is None:
            return None
        if self._answer.unfiltered is None:
            self._answer.unfiltered = Paragraphs()
        return Passage(filters, self._hand_on_filtered)

    def hand_on(self, text: str) -> None:
        """For the core: add text to the answer past all filters."""
        text = self._answer.said.add(encodable(text))
        if self.sink is not None:
            self.snapshot.pipeline.delta(self, text)
            self.sink("delta", {"text": text})

    def _hand_on_filtered(self, text: str, unfiltered: str) -> None:
        if self._answer.unfiltered is not None and unfiltered:
            self._answer.unfiltered.add(encodable(unfiltered))
        if text:
            self.hand_on(text)

    def mark(self) -> AnswerMark:
        """For the core: where the answer stands, for `take_back`."""
        unfiltered = self._answer.unfiltered
        return self._answer.said.mark(), None if unfiltered is None else unfiltered.mark(), len(self.citations)

    def take_back(self, mark: AnswerMark, reason: str) -> None:
        """For the core: what was said since the mark was not said; the client of a stream hears how much stays."""
        said, unfiltered, citations = mark
        self._answer.said.back_to(said)
        if unfiltered is None:
            self._answer.unfiltered = None
        elif self._answer.unfiltered is not None:
            self._answer.unfiltered.back_to(unfiltered)
        del self.citations[citations:]
        if self.sink is not None:
            self.sink("restart", {"reason": reason, "length": len(self.text)})

    def hold(self) -> None:
        """Keep a client who asked for a stream waiting: there is text that is not handed out yet."""
        if self.sink is not None and not self._answer.held:
            self._answer.held = True
            self.sink("held", {})
