"""The case number tool as the core calls it: its schema, its day, its answer."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from case_number_support import TODAY, number

from plugins.legal_tools import LegalTools
from plugins.legal_tools.case_number import explain, parse
from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.concurrency.clock import FakeClock
from rom_core.tools import ToolContext, ToolResult

PAGE = Path(__file__).parents[3] / "docs" / "legal_tools.md"


def run(arguments: dict[str, Any], today: date = TODAY) -> Any:
    """What the tool answers when the core calls it."""
    tool = LegalTools(today=lambda: today).rom_tools()[0]
    assert tool.problems(arguments) == []
    return tool.run(arguments, ToolContext(Deadline(FakeClock(), 1.0), CancelToken(), settings=None))


def test_the_tool_answers_in_json() -> None:
    """The tool returns the explanation as a `toolResult` json block, fit for the model."""
    answer = run({"numero": number()})
    assert answer == explain(number(), TODAY).as_dict()
    assert ToolResult.of(answer).content == ({"json": answer},)


def test_the_tool_reads_the_injected_day() -> None:
    """The day is asked for at every run: a server that runs over New Year knows the new year."""
    assert not run({"numero": number(year="2027")}, TODAY)["valid"]
    assert run({"numero": number(year="2027")}, date(2027, 1, 1))["valid"]


def test_without_injection_the_day_is_today() -> None:
    """By default the real calendar counts: the year 2020 is past and 9999 is not."""
    tool = LegalTools().rom_tools()[0]
    context = ToolContext(Deadline(FakeClock(), 1.0), CancelToken(), settings=None)
    assert tool.run({"numero": number(year="2020")}, context)["valid"]
    assert not tool.run({"numero": number(year="9999")}, context)["valid"]


@pytest.mark.parametrize(
    "text",
    [
        "0000100 68 2008 8 26 0100",
        "0000100- 68.2008. 8.26.0100",
        "0000100\N{NO-BREAK SPACE}68.2008.8.26.0100",
        *(f"0000100{dash}68.2008.8.26.0100" for dash in "\u2010\u2011\u2012\u2013\u2014\u2212"),
        "\N{BYTE ORDER MARK}0000100\N{SOFT HYPHEN}-68.2008\N{ZERO WIDTH SPACE}.8.26.0100",
    ],
)
def test_a_number_pasted_from_a_document_is_read(text: str) -> None:
    """Word processors and PDF files change hyphens and spaces; the number is the same, and the schema lets it in."""
    assert str(parse(text)) == "0000100-68.2008.8.26.0100"
    if not re.search(r"[^0-9. \-\u2010-\u2015\u2212]", text):
        assert run({"numero": text})["valid"] is True


@pytest.mark.parametrize("text", ["1234-56.2020.8.26.0100", "1" * 15, "1" * 25, "0001234.56-2020.8.26.0100"])
def test_wrong_numbers_pass_the_schema(text: str) -> None:
    """The schema lets wrong numbers through to the tool, which explains them."""
    assert run({"numero": text})["valid"] is False


@pytest.mark.parametrize("arguments", [{}, {"numero": 1}, {"numero": "abc"}, {"numero": number(), "uf": "SP"}])
def test_the_schema_refuses_what_is_no_number(arguments: dict[str, Any]) -> None:
    """Input without anything like a number, of another type or with more fields never reaches the tool."""
    tool = LegalTools().rom_tools()[0]
    assert tool.problems(arguments)


def test_the_pattern_finds_a_number_in_a_message() -> None:
    """The schema's pattern picks a number, bare or punctuated, from running text, and no CPF or date."""
    tool = LegalTools().rom_tools()[0]
    pattern = tool.input_schema["properties"]["numero"]["pattern"]
    for text in (number(), re.sub(r"\D", "", number())):
        found = re.search(pattern, f"Em 30/06/2026 (CPF 123.456.789-09) vi o processo {text}, está certo?")
        assert found is not None
        assert found[0] == text


def test_the_example_of_the_page_is_true() -> None:
    """docs/legal_tools.md shows what the tool answers."""
    example = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    expected = json.loads(example[1])
    assert explain(expected["formatted"], TODAY).as_dict() == expected
