"""Rules of the case number tool; check digits are worked out here by long division, apart from the code under test."""

from __future__ import annotations

import json
import re
import string
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plugins.legal_tools import LegalTools
from plugins.legal_tools.case_number import (
    BRANCHES,
    COURTS,
    CaseNumber,
    MalformedNumberError,
    check_digits,
    explain,
    parse,
)
from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.concurrency.clock import FakeClock
from rom_core.tools import ToolContext, ToolResult

TODAY = date(2026, 6, 30)
PAGE = Path(__file__).parents[3] / "docs" / "legal_tools.md"

# Numbers printed in public acts of the CNJ and the TRT10, and in published notices.
PUBLISHED = {
    "0005581-54.2022.2.00.0000": "CNJ",
    "0200043-65.2009.2.00.0000": "CNJ",
    "1000023-59.2024.5.90.0000": "CSJT",
    "0005021-43.2022.5.10.8000": "TRT10",
    "0058967-77.2016.8.19.0000": "TJRJ",
    "0000832-35.2018.4.01.3202": "TRF1",
}
STATES = tuple(re.findall("..", "ACALAPAMBACEDFESGOMAMTMSMGPAPBPRPEPIRJRNRSRORRSCSESPTO"))
ACRONYMS: dict[str, dict[str, str]] = {
    "1": {"00": "STF"},
    "2": {"00": "CNJ"},
    "3": {"00": "STJ"},
    "4": {f"{n:02}": f"TRF{n}" for n in range(1, 7)} | {"90": "CJF"},
    "5": {f"{n:02}": f"TRT{n}" for n in range(1, 25)} | {"00": "TST", "90": "CSJT"},
    "6": {f"{n:02}": f"TRE-{uf}" for n, uf in enumerate(STATES, 1)} | {"00": "TSE"},
    "7": {f"{n:02}": f"{n}ª CJM" for n in range(1, 13)} | {"00": "STM"},
    "8": {f"{n:02}": f"TJ{uf}" for n, uf in enumerate(STATES, 1)} | {"07": "TJDFT"},
    "9": {"13": "TJMMG", "21": "TJMRS", "26": "TJMSP"},
}
ALL_COURTS = [(branch, court) for branch, courts in ACRONYMS.items() for court in courts]


def long_division(payload: str) -> str:
    """The check digits by annex VIII, one digit at a time."""
    remainder = 0
    for digit in payload + "00":
        remainder = (remainder * 10 + int(digit)) % 97
    return str(98 - remainder).zfill(2)


def number(
    sequential: str = "0001234", year: str = "2020", court: str = "8.26", origin: str = "0100", check: str = ""
) -> str:
    """A punctuated number, with right check digits unless others are given."""
    check = check or long_division(sequential + year + court.replace(".", "") + origin)
    return f"{sequential}-{check}.{year}.{court}.{origin}"


def digits(size: int) -> st.SearchStrategy[str]:
    """Strings of so many ASCII digits."""
    return st.text(string.digits, min_size=size, max_size=size)


valid_numbers = st.builds(
    number,
    sequential=digits(7),
    year=st.integers(1900, TODAY.year).map(str),
    court=st.sampled_from(ALL_COURTS).map(".".join),
    origin=digits(4),
)


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


def test_the_table_of_courts_is_complete() -> None:
    """The courts are those of article 1, paragraph 5, and no others."""
    assert {branch: {code: court.acronym for code, court in courts.items()} for branch, courts in COURTS.items()} == (
        ACRONYMS
    )
    assert list(BRANCHES) == list(ACRONYMS)


@pytest.mark.parametrize(("branch", "code"), ALL_COURTS)
def test_every_court_is_named(branch: str, code: str) -> None:
    """Each court can be recognised from its code, and the explanation names it with its acronym and branch."""
    answer = explain(number(court=f"{branch}.{code}", origin="0000"), TODAY)
    assert answer.valid
    assert answer.court is not None
    assert f"{answer.court.name} ({ACRONYMS[branch][code]})" in answer.explanation
    assert BRANCHES[branch] in answer.explanation
    assert answer.court.code == code


@pytest.mark.parametrize(
    ("court", "name"),
    [
        ("8.26", "Tribunal de Justiça de São Paulo"),
        ("8.25", "Tribunal de Justiça de Sergipe"),
        ("8.07", "Tribunal de Justiça do Distrito Federal e dos Territórios"),
        ("6.07", "Tribunal Regional Eleitoral do Distrito Federal"),
        ("6.12", "Tribunal Regional Eleitoral de Mato Grosso do Sul"),
        ("4.06", "Tribunal Regional Federal da 6ª Região"),
        ("5.24", "Tribunal Regional do Trabalho da 24ª Região"),
        ("7.11", "11ª Circunscrição Judiciária Militar"),
        ("9.21", "Tribunal de Justiça Militar do Rio Grande do Sul"),
    ],
)
def test_names_of_courts(court: str, name: str) -> None:
    """Names carry the right state or region, with the right preposition."""
    branch, code = court.split(".")
    assert COURTS[branch][code].name == name


@given(st.sampled_from(sorted(BRANCHES)), digits(2), digits(4))
def test_impossible_courts_are_refused(branch: str, code: str, origin: str) -> None:
    """A code that the branch does not have is invalid although the check digits are right."""
    assume(code not in ACRONYMS[branch])
    answer = explain(number(court=f"{branch}.{code}", origin=origin), TODAY)
    assert len(answer.problems) == 1
    assert f"O tribunal {code} não existe no ramo {branch}" in answer.problems[0]
    assert answer.court is not None
    assert answer.court.name is None


def test_branch_zero_is_refused() -> None:
    """J goes from 1 to 9."""
    answer = explain(number(court="0.00"), TODAY)
    assert answer.problems == ("O ramo 0 não existe: J vai de 1 a 9.",)
    assert answer.branch is not None
    assert answer.branch.name is None


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
    ("court", "origin", "says"),
    [
        ("8.26", "0000", "competência originária do próprio órgão"),
        ("3.00", "0000", "competência originária do próprio órgão"),
        ("4.90", "0000", "competência originária do próprio órgão"),
        ("4.90", "8000", "a Resolução prevê 0000"),
        ("1.00", "0001", "a Resolução prevê 0000"),
        ("4.01", "3202", "subseção judiciária"),
        ("5.02", "0001", "vara do trabalho"),
        ("6.26", "0001", "zona eleitoral"),
        ("7.01", "0001", "auditoria militar"),
        ("8.26", "7999", "foro de tramitação"),
        ("9.13", "0001", "auditoria militar"),
        ("4.03", "9301", "turma recursal"),
        ("8.19", "9000", "turma recursal"),
    ],
)
def test_origins(court: str, origin: str, says: str) -> None:
    """The origin is explained as article 1, paragraph 6 has it, and never makes a number invalid."""
    answer = explain(number(court=court, origin=origin), TODAY)
    assert answer.valid
    assert answer.origin is not None
    assert says in str(answer.origin.name)
    assert str(answer.origin.name) in answer.explanation


@pytest.mark.parametrize(("court", "origin"), [("8.26", "8000"), ("5.10", "8999"), ("5.02", "9001"), ("7.01", "0000")])
def test_uncertain_origins_are_only_named(court: str, origin: str) -> None:
    """Where the resolution does not settle what a code is, the answer repeats the code and nothing more."""
    answer = explain(number(court=court, origin=origin), TODAY)
    assert answer.origin is not None
    assert answer.origin.name == f"unidade de origem {origin}"


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


def test_fields_of_a_case_number() -> None:
    """`parse` keeps leading zeros and the order of the fields."""
    assert parse("00012345620208260100") == CaseNumber("0001234", "56", "2020", "8", "26", "0100")
