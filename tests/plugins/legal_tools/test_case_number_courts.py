"""Courts, branches and origins, as a case number names them."""

from __future__ import annotations

import pytest
from case_number_support import ACRONYMS, ALL_COURTS, TODAY, digits, number
from hypothesis import assume, given
from hypothesis import strategies as st

from plugins.legal_tools.case_number import BRANCHES, COURTS, explain


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
