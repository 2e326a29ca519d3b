"""Rules of case numbers: their shape, their check digits, their year."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest
from case_number_support import TODAY, digits, long_division, number, valid_numbers
from hypothesis import assume, given
from hypothesis import strategies as st

from plugins.legal_tools.case_number import CaseNumber, MalformedNumberError, check_digits, explain, parse

# Numbers printed in public acts of the CNJ and the TRT10, and in published notices.
PUBLISHED = {
    "0005581-54.2022.2.00.0000": "CNJ",
    "0200043-65.2009.2.00.0000": "CNJ",
    "1000023-59.2024.5.90.0000": "CSJT",
    "0005021-43.2022.5.10.8000": "TRT10",
    "0058967-77.2016.8.19.0000": "TJRJ",
    "0000832-35.2018.4.01.3202": "TRF1",
}


@pytest.mark.parametrize(("text", "acronym"), PUBLISHED.items())
def test_published_numbers_are_valid(text: str, acronym: str) -> None:
    """Numbers that courts have published are valid and belong to those courts."""
    answer = explain(text, TODAY)
    assert answer.problems == ()
    assert answer.court is not None
    assert answer.court.acronym == acronym


@given(digits(18))
def test_check_digits_follow_the_annex(payload: str) -> None:
    """Check digits are 98 less the remainder of the number with two zeros behind it, divided by 97."""
    assert check_digits(payload) == long_division(payload)


@pytest.mark.parametrize("payload", ["", "1" * 17, "1" * 19, "٣" * 18, "1" * 18 + "\n"])
def test_check_digits_need_eighteen_digits(payload: str) -> None:
    """Anything but 18 ASCII digits is refused, not padded."""
    with pytest.raises(ValueError, match="18 digits"):
        check_digits(payload)


@given(valid_numbers)
def test_round_trip(text: str) -> None:
    """Any fields with their check digits are valid and come back unchanged, punctuated or bare."""
    bare = re.sub(r"\D", "", text)
    answer = explain(text, TODAY)
    assert answer.valid
    assert answer.problems == ()
    assert answer.formatted == text
    assert explain(bare, TODAY) == answer
    assert explain(f" \t{text}\n", TODAY) == answer


@given(valid_numbers, st.integers(0, 19), st.integers(1, 9))
def test_one_wrong_digit_is_found(text: str, place: int, shift: int) -> None:
    """Changing any single digit makes a number invalid."""
    bare = re.sub(r"\D", "", text)
    wrong = bare[:place] + str((int(bare[place]) + shift) % 10) + bare[place + 1 :]
    assert not explain(wrong, TODAY).valid


@given(valid_numbers, st.integers(0, 18))
def test_swapped_neighbours_are_found(text: str, place: int) -> None:
    """Swapping two different neighbouring digits makes a number invalid, across the border of fields too."""
    bare = re.sub(r"\D", "", text)
    assume(bare[place] != bare[place + 1])
    wrong = bare[:place] + bare[place + 1] + bare[place] + bare[place + 2 :]
    assert not explain(wrong, TODAY).valid


@pytest.mark.parametrize("alias", [("97", "00"), ("98", "01"), ("02", "99")])
def test_check_digits_are_compared_not_only_divided(alias: tuple[str, str]) -> None:
    """00, 01 and 99 leave the right remainder in place of 97, 98 and 02, but are never right."""
    right, wrong = alias
    sequential = next(n for n in map("{:07}".format, range(1000)) if f"-{right}." in number(n))
    assert explain(number(sequential), TODAY).valid
    assert not explain(number(sequential, check=wrong), TODAY).valid


def test_wrong_check_digits_are_told() -> None:
    """The answer has the digits as written and as they should be, and does not invent a corrected number."""
    right = parse(number()).check
    wrong = "10" if right != "10" else "11"
    answer = explain(number(check=wrong), TODAY)
    assert answer.check_digits is not None
    assert (answer.check_digits.given, answer.check_digits.expected) == (wrong, right)
    assert [wrong in text and right in text for text in answer.problems] == [True]
    assert number() not in json.dumps(answer.as_dict())


@pytest.mark.parametrize(
    ("year", "today", "problem"),
    [
        ("1899", TODAY, "anterior a 1900"),
        ("0000", TODAY, "anterior a 1900"),
        ("1900", TODAY, None),
        ("2026", TODAY, None),
        ("2027", TODAY, "hoje é 30/06/2026"),
        ("2027", date(2027, 1, 1), None),
        ("9999", TODAY, "está no futuro"),
    ],
)
def test_years(year: str, today: date, problem: str | None) -> None:
    """The year is from 1900 to the injected today's, both included."""
    problems = explain(number(year=year), today).problems
    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]


def test_all_problems_are_told_at_once() -> None:
    """A number that is wrong in several ways is explained in one answer."""
    answer = explain("0001234-00.2099.9.11.0001", TODAY)
    assert len(answer.problems) == 3
    assert all(problem in answer.explanation for problem in answer.problems)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "vazio"),
        ("  ", "vazio"),
        ("1" * 19, "19 algarismos"),
        ("1" * 21, "21 algarismos"),
        ("1234-56.2020.8.26.0100", "informe 0001234-56.2020.8.26.0100"),
        ("0001234.56-2020.8.26.0100", "pontuação está fora do lugar; com estes algarismos seria 0001234-56.2020"),
        ("0001234-56.2020.8.26.0100.", "pontuação está fora do lugar"),
        ("0001234--56.2020.8.26.0100", "pontuação está fora do lugar"),
        ("0001234-56 2020.8.26.0100 e 1", "caracteres que não fazem parte"),
        (f"{'1' * 20} {'1' * 20}", "40 algarismos"),
        ("0001234_56.2020.8.26.0100", "caracteres que não fazem parte"),
        ("000123O-56.2020.8.26.0100", "caracteres que não fazem parte"),
        ("٠٠٠١٢٣٤-56.2020.8.26.0100", "caracteres que não fazem parte"),
        ("１２３４５６７-56.2020.8.26.0100", "caracteres que não fazem parte"),
        ("0001234-5².2020.8.26.0100", "caracteres que não fazem parte"),
    ],
)
def test_malformed_numbers_are_refused_with_the_reason(text: str, reason: str) -> None:
    """What is not shaped like a number is refused, other scripts' digits too, and the answer says why."""
    with pytest.raises(MalformedNumberError, match=re.escape(reason)):
        parse(text)
    answer = explain(text, TODAY)
    assert not answer.valid
    assert reason in answer.explanation
    assert answer.formatted is None


@given(st.text())
def test_explain_never_fails(text: str) -> None:
    """Whatever the model sends, the answer is JSON, has the same keys, and is valid exactly if there is no problem."""
    answer = explain(text, TODAY).as_dict()
    assert answer["valid"] == (not answer["problems"])
    assert json.loads(json.dumps(answer)) == answer
    assert answer.keys() == explain(number(), TODAY).as_dict().keys()


def test_a_valid_number_is_no_proof_of_a_case() -> None:
    """The explanation of a valid number says that the case may not exist."""
    assert "não prova que o processo existe" in explain(number(), TODAY).explanation


def test_fields_of_a_case_number() -> None:
    """`parse` keeps leading zeros and the order of the fields."""
    assert parse("00012345620208260100") == CaseNumber("0001234", "56", "2020", "8", "26", "0100")
