"""Names and JSON documents made safe for the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.conversation.model import (
    TOO_DEEP,
)
from rom_core.conversation.values import MAX_DEPTH, clean_name, document


@dataclass
class Hit:
    title: str
    score: Decimal


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("1.5"), 1.5),
        (Decimal(10), 10),
        (Decimal("1e999"), "1E+999"),
        (Decimal("NaN"), None),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        (date(2026, 11, 3), "2026-11-03"),
        (b"caf\xc3\xa9 \xff", "café \ufffd"),
        (Hit("t", Decimal("0.5")), {"title": "t", "score": 0.5}),
        ("\ud83d\ude00 \ud800", "\U0001f600 \ufffd"),
        ({"\ud800": 1}, {"\ufffd": 1}),
        (Unprintable(), "<Unprintable>"),
        pytest.param(2**2000, hex(2**2000), id="huge"),
        (True, True),
    ],
)
def test_documents_are_json(value: Any, safe: Any) -> None:
    """Whatever a tool returns is JSON on the wire, not NaN, a tuple or half a character."""
    assert document({"v": [value]}) == {"v": [safe]}
    assert type(document(value)) is type(safe)


def test_documents_have_a_bounded_depth() -> None:
    """What is nested deeper becomes text, and a document that contains itself ends."""
    deep: Any = 1
    for _ in range(MAX_DEPTH + 3):
        deep = [deep]
    shallow = document(deep)
    assert json.dumps(shallow).count("[") == MAX_DEPTH + 3
    assert json.dumps(shallow).startswith("[" * MAX_DEPTH + '"')
    circular: list[Any] = []
    circular += [circular, circular]
    assert document(circular) == [TOO_DEEP, TOO_DEEP]


def test_a_safe_document_is_shared() -> None:
    """What needs no change costs no copy."""
    value: dict[str, Any] = {"a": [1, 2.5, None, True, "é", {"b": []}]}
    assert document(value) is value


@given(st.text(st.characters(codec=None), max_size=70))
def test_names_are_cleaned_once(text: str) -> None:
    """Cleaning a clean name changes nothing."""
    assert clean_name(clean_name(text, "tool"), "tool") == clean_name(text, "tool")
