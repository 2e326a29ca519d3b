"""Citations on their way to a person: none that was not checked, whoever made the reply and whatever filters it."""

from __future__ import annotations

from typing import Any

import pytest
from support import make_runtime, make_turn
from text_filter_support import Each, Filtering

from rom_core.documents.quotes import Source, Sources
from rom_core.turn_values import ModelReply, TurnResult

SOURCES = Sources([("contrato", Source(0, "contrato.txt", text="O fiador responde. O aluguel vence."))])


def cited(text: str, quote: str) -> dict[str, Any]:
    """A text that a model says rests on a quote."""
    location = {"documentChar": {"documentIndex": 0, "start": 0, "end": 18}}
    citation = {"title": "contrato", "sourceContent": [{"text": quote}], "location": location}
    return {"citationsContent": {"content": [{"text": text}], "citations": [citation]}}


def reply(*content: dict[str, Any]) -> ModelReply:
    """One that no wire has checked."""
    return ModelReply(content, "end_turn", "anthropic.first")


def run(answer: ModelReply, *, sources: Any = SOURCES, **plugins: Any) -> tuple[TurnResult, list[Any], list[Any]]:
    """The result, the blocks that the conversation keeps, and the citations and warnings of a stream."""
    heard: list[Any] = []
    runtime, _ = make_runtime(lambda _attempt, _request: answer, plugins=plugins)
    turn = make_turn(
        runtime,
        sources=sources,
        citations=sources is not None,
        sink=lambda name, data: heard.append((name, data)) if name in ("citation", "warning") else None,
    )
    result = runtime.run(turn)
    return result, turn.messages[-1]["content"], heard


def test_what_is_in_the_document_is_passed_on() -> None:
    """With what of the answer rests on it, in the answer, in a stream and in the conversation."""
    result, kept, heard = run(reply({"text": "Sim. "}, cited("O fiador.", "O fiador responde."), {"text": " Fim."}))
    assert result.reply == "Sim. O fiador. Fim."
    (citation,) = result.citations
    assert citation["reply"] == {"start": 5, "end": 14}
    assert heard == [("citation", citation)]
    assert [next(iter(block)) for block in kept] == ["text", "citationsContent", "text"]
    assert not result.warnings


@pytest.mark.parametrize("sources", [SOURCES, None])
def test_what_is_not_is_plain_text(sources: Any) -> None:
    """With one warning for each document; where nobody asked for citations, without."""
    false = cited("O fiador.", "O fiador não responde.")
    result, kept, heard = run(reply(false, false), sources=sources)
    assert result.reply == "O fiador.O fiador."
    assert result.citations == ()
    assert kept == [{"text": "O fiador."}] * 2
    assert [one["code"] for one in result.warnings] == (["quote_not_in_document"] if sources else [])
    assert [data for _, data in heard] == list(result.warnings)


def test_a_false_citation_beside_a_true_one_goes_alone() -> None:
    """The true one stays."""
    both = cited("O fiador.", "O fiador responde.")
    both["citationsContent"]["citations"] += cited("", "nada disso")["citationsContent"]["citations"]
    result, kept, _ = run(reply(both))
    assert [one["quote"] for one in result.citations] == ["O fiador responde."]
    assert len(kept[0]["citationsContent"]["citations"]) == 1


def test_a_quote_that_a_filter_would_change_is_not_shown() -> None:
    """One that it leaves alone is, for the whole of the answer."""
    answer = reply(cited("Responde o fiador.", "O fiador responde."), cited(" Vence.", "O aluguel vence."))
    hides = Filtering(lambda: Each(lambda text: text.replace("fiador", "***")))
    result, _, heard = run(answer, hides=hides)
    assert result.reply == "Responde o ***. Vence."
    (citation,) = result.citations
    assert (citation["quote"], citation["reply"]) == ("O aluguel vence.", {"start": 0, "end": 22})
    assert heard == [("citation", citation)]
