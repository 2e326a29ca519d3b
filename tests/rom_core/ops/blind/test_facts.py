"""Facts that a program checks: texts, dates and case numbers in the forms in which people write them."""

from __future__ import annotations

from typing import Any

import pytest

from rom_core.ops.blind.facts import parse_fact

NUMBER = "0001234-08.2023.8.26.0100"


@pytest.mark.parametrize(
    ("fact", "answer", "holds"),
    [
        ("válido", "O número é VALIDO.", True),
        ("válido", "O número é inválido.", False),
        ("dias úteis", "quinze dias\núteis", True),
        ({"date": "2026-03-10"}, "vence em 10/03/2026", True),
        ({"date": "2026-03-10"}, "vence em 10 de março de 2026", True),
        ({"date": "2026-03-01"}, "vence em 1º de março de 2026", True),
        ({"date": "2026-03-10"}, "2026-03-10", True),
        ({"date": "2026-03-10"}, "10.3.26", True),
        ({"date": "2026-03-10"}, "vence em 11/03/2026 ou 99/99/2026", False),
        ({"case_number": NUMBER}, f"o processo {NUMBER}.", True),
        ({"case_number": NUMBER}, "o processo 00012340820238260100", True),
        ({"case_number": NUMBER}, "o processo 0001234-09.2023.8.26.0100", False),
        ({"any": ["15 dias", {"date": "2026-03-10"}]}, "em 10/03/2026", True),
        ({"any": ["15 dias", "quinze dias"]}, "dez dias", False),
    ],
)
def test_a_fact_is_found_however_it_is_written(fact: Any, answer: str, holds: bool) -> None:
    """Without regard to accents and case, as whole words; dates and numbers in every usual form."""
    assert parse_fact(fact).holds(answer) is holds


@pytest.mark.parametrize(
    "fact",
    ["", 5, {}, {"date": "10/03/2026"}, {"case_number": "123"}, {"any": []}, {"what": "x"}, {"date": "a", "any": []}],
)
def test_what_is_no_fact_is_refused(fact: Any) -> None:
    """With a reason."""
    with pytest.raises(ValueError, match=r"."):
        parse_fact(fact)
