"""Facts that a program can check in an answer: texts, dates, case numbers. They say nothing of taste."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

_MONTHS = (
    "janeiro",
    "fevereiro",
    "marco",
    "abril",
    "maio",
    "junho",
    "julho",
    "agosto",
    "setembro",
    "outubro",
    "novembro",
    "dezembro",
)
_CASE_NUMBER_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `value` is a folded text, an ISO date, the digits of a case number, or facts of which one is enough."""

    kind: Literal["text", "date", "case_number", "any"]
    value: str | tuple[Fact, ...]
    shown: str

    def holds(self, answer: str) -> bool:
        """Whether the answer has it."""
        if isinstance(self.value, tuple):
            return any(fact.holds(answer) for fact in self.value)
        if self.kind == "date":
            return self.value in _dates(answer)
        if self.kind == "case_number":
            return self.value in _case_numbers(answer)
        words = re.escape(self.value).replace(r"\ ", r"\s+")
        return re.search(rf"(?<!\w){words}(?!\w)", _folded(answer)) is not None


def parse_fact(raw: Any) -> Fact:
    """A fact as a questions file has it. Raises ValueError."""
    if isinstance(raw, str) and raw.strip():
        return Fact("text", _folded(raw.strip()), raw)
    if isinstance(raw, Mapping) and len(raw) == 1:
        ((kind, value),) = raw.items()
        if kind == "date" and isinstance(value, str):
            return Fact("date", date.fromisoformat(value).isoformat(), value)
        if kind == "case_number" and isinstance(value, str):
            digits = re.sub(r"\D", "", value)
            if len(digits) != _CASE_NUMBER_DIGITS:
                raise ValueError(f"the case number {value!r} has not {_CASE_NUMBER_DIGITS} digits")
            return Fact("case_number", digits, value)
        if kind == "any" and isinstance(value, list) and value:
            facts = tuple(parse_fact(fact) for fact in value)
            return Fact("any", facts, " / ".join(fact.shown for fact in facts))
    raise ValueError(f"{raw!r} is no fact: a text, or an object with date, case_number or any")


def _folded(text: str) -> str:
    """Without accents, and in lower case."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


def _dates(answer: str) -> set[str]:
    """Every date that stands in an answer, as 10/03/2026, 10.3.26, 2026-03-10 or 10 de março de 2026."""
    text = _folded(answer)
    found = [
        (year, month, day) for day, month, year in re.findall(r"\b(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})\b", text)
    ]
    found += re.findall(r"\b(\d{4})-(\d{2})-(\d{2})\b", text)
    months = "|".join(_MONTHS)
    for day, month, year in re.findall(rf"\b(\d{{1,2}})(?:o|º)?\s+de\s+({months})\s+de\s+(\d{{4}})\b", text):
        found.append((year, str(_MONTHS.index(month) + 1), day))
    dates = set()
    for year, month, day in found:
        try:
            dates.add(date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day)).isoformat())
        except ValueError:
            continue
    return dates


def _case_numbers(answer: str) -> set[str]:
    found = re.findall(r"(?<!\d)\d{7}-?\d{2}\.?\d{4}\.?\d\.?\d{2}\.?\d{4}(?!\d)", answer)
    return {re.sub(r"\D", "", number) for number in found}
