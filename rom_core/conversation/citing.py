"""Citations on their way from a model to a person: only quotes that are in the document, by its text, are passed on.

The others are taken out of the model's message too, so that it never reads them again as if they stood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from rom_core.turn import Attempt, ModelCall, Turn
from rom_core.turn_values import ModelReply, text_of

NOT_IN_DOCUMENT: Final = "quote_not_in_document"
_TEXT: Final = (
    'O modelo citou do arquivo "{name}" um trecho que não foi encontrado no texto dele; a citação não é mostrada. '
    "Confira no original o que a resposta afirma sobre esse arquivo."
)
_NO_SUCH_FILE: Final = "O modelo citou um arquivo que não está no pedido; a citação não é mostrada."
Held = list[tuple[dict[str, Any], dict[str, Any]]]
"""Citations that hold, each as Converse has it and as an answer has it."""
logger = structlog.get_logger("rom.citations")


class CitedBlocks:
    """The text blocks of one reply as they arrive; their citations are checked, and shown to a client that streams."""

    def __init__(self, attempt: Attempt) -> None:
        self._turn = attempt.turn
        filtered = self._turn.snapshot.pipeline.filters_text
        # What filters hold back is not said yet.
        self._streams = self._turn.sink is not None and self._turn.structured is None and not filtered

    def begin(self) -> None:
        """A text block begins: what was said before is not what its citations are for."""
        if self._streams and self._turn.sink is not None:
            self._turn.sink("block", {})

    def end(self, citations: Sequence[Mapping[str, Any]], text: str) -> list[dict[str, Any]]:
        """Those of a block's citations that hold, as Converse has them; `text` is that of the block."""
        checked = _held(self._turn, citations)
        if self._streams and text:
            end = len(self._turn.text)
            _show(self._turn, checked, end - len(text), end)
        return [block for block, _ in checked]


def verified(turn: Turn, reply: ModelReply) -> ModelReply:
    """The reply without citations that do not hold, whoever made it; a block without any is plain text."""
    if not any("citationsContent" in block for block in reply.content):
        return reply
    return replace(reply, content=tuple(_verified(turn, block) for block in reply.content))


def say(call: ModelCall, reply: ModelReply) -> None:
    """Take what was not said yet of a verified reply into the answer, and those of its citations that were not shown.

    Of a text that plugins filter nobody knows which part became what: its citations are for the whole answer.
    """
    turn, filtered = call.turn, call.turn.snapshot.pipeline.filters_text
    unsaid = not filtered and not call.emitted
    if not unsaid:
        call.say(reply.text)
    end = len(turn.text) - len(reply.text)
    for block in reply.content:
        text = text_of(block)
        if unsaid:
            turn.say(text)
        end = len(turn.text) if unsaid else end + len(text)
        held = _citations(turn, block)
        if filtered:
            _show(turn, _unfiltered(turn, held), 0, len(turn.text))
        else:
            _show(turn, held, max(0, end - len(text)), end)


def _citations(turn: Turn, block: Mapping[str, Any]) -> Held:
    return _held(turn, block["citationsContent"]["citations"]) if "citationsContent" in block else []


def _unfiltered(turn: Turn, held: Held) -> Held:
    """Those whose quotes the filters leave as they are: what they would change the person is not to see."""
    kept: Held = []
    for block, shown in held:
        filters = turn.snapshot.pipeline.text_filters(turn)
        if filters is None or filters.feed(shown["quote"]) + filters.close() == shown["quote"]:
            kept.append((block, shown))
    return kept


def _verified(turn: Turn, block: dict[str, Any]) -> dict[str, Any]:
    if "citationsContent" not in block:
        return block
    text = text_of(block)
    held = [one for one, _ in _held(turn, block["citationsContent"].get("citations") or ())]
    return {"citationsContent": {"content": [{"text": text}], "citations": held}} if held else {"text": text}


def _held(turn: Turn, citations: Sequence[Mapping[str, Any]]) -> Held:
    sources = turn.request.sources
    held: Held = []
    if sources is None:
        return held
    for citation in citations:
        checked = sources.check(citation)
        if checked.block is not None and checked.shown is not None:
            held.append((checked.block, checked.shown))
        else:
            _warn(turn, checked.name)
    return held


def _warn(turn: Turn, name: str) -> None:
    """Once for each document."""
    warning = {"code": NOT_IN_DOCUMENT, "attachment": name, "text": _TEXT.format(name=name) if name else _NO_SUCH_FILE}
    if warning in turn.warnings:
        return
    turn.warnings.append(warning)
    logger.warning("citations.quote_not_in_document", trace_id=turn.trace_id, model=turn.model)
    if turn.sink is not None:
        turn.sink("warning", dict(warning))


def _show(turn: Turn, held: Held, start: int, end: int) -> None:
    """Note what these characters of the answer rest on, once."""
    for _, shown in held:
        citation = {**shown, "reply": {"start": start, "end": end}}
        if citation in turn.citations:
            continue
        turn.citations.append(citation)
        if turn.sink is not None:
            turn.sink("citation", dict(citation))
