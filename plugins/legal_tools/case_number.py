"""The number of a Brazilian court case: its shape, its check digits, and what it tells.

Source of the rules: CNJ Resolution 65/2008 (https://atos.cnj.jus.br/atos/detalhar/119), amended by Resolution
477/2022 for the sixth federal region. Article 1, paragraphs 4 to 6: branch, court, origin; annex VIII: check
digits. Nothing is looked up anywhere: a valid number does not prove that the case exists.

The check is our own: python-stdnum 2.2 has no CNJ number, and brutils 2.5.0 computes its check digits wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

FIRST_YEAR = 1900
FORMAT = "NNNNNNN-DD.AAAA.J.TR.OOOO"

_NUMBER = re.compile(r"([0-9]{7})-?([0-9]{2})\.?([0-9]{4})\.?([0-9])\.?([0-9]{2})\.?([0-9]{4})")
_ZEROS_OMITTED = re.compile(r"([0-9]{1,6})(-[0-9]{2}\.[0-9]{4}\.[0-9]\.[0-9]{2}\.[0-9]{4})")

BRANCHES = {
    "1": "Supremo Tribunal Federal",
    "2": "Conselho Nacional de Justiça",
    "3": "Superior Tribunal de Justiça",
    "4": "Justiça Federal",
    "5": "Justiça do Trabalho",
    "6": "Justiça Eleitoral",
    "7": "Justiça Militar da União",
    "8": "Justiça dos Estados e do Distrito Federal e Territórios",
    "9": "Justiça Militar Estadual",
}

# In the resolution's own order, which puts Sergipe (25) before São Paulo (26).
_STATES = """
AC do Acre; AL de Alagoas; AP do Amapá; AM do Amazonas; BA da Bahia; CE do Ceará; DF do Distrito Federal;
ES do Espírito Santo; GO de Goiás; MA do Maranhão; MT de Mato Grosso; MS de Mato Grosso do Sul;
MG de Minas Gerais; PA do Pará; PB da Paraíba; PR do Paraná; PE de Pernambuco; PI do Piauí;
RJ do Rio de Janeiro; RN do Rio Grande do Norte; RS do Rio Grande do Sul; RO de Rondônia; RR de Roraima;
SC de Santa Catarina; SE de Sergipe; SP de São Paulo; TO do Tocantins
"""
_SINGLE_COURTS = """
1 00 STF Supremo Tribunal Federal
2 00 CNJ Conselho Nacional de Justiça
3 00 STJ Superior Tribunal de Justiça
4 90 CJF Conselho da Justiça Federal
5 00 TST Tribunal Superior do Trabalho
5 90 CSJT Conselho Superior da Justiça do Trabalho
6 00 TSE Tribunal Superior Eleitoral
7 00 STM Superior Tribunal Militar
8 07 TJDFT Tribunal de Justiça do Distrito Federal e dos Territórios
"""
_FIRST_INSTANCE = {
    "4": "subseção judiciária",
    "5": "vara do trabalho",
    "6": "zona eleitoral",
    "7": "auditoria militar",
    "8": "foro de tramitação",
    "9": "auditoria militar",
}


class MalformedNumberError(ValueError):
    """The text is not shaped like a case number; the message says why, in Portuguese."""


@dataclass(frozen=True)
class CaseNumber:
    """The six fields as digits: N (7), DD (2), AAAA (4), J (1), TR (2), OOOO (4); `str` punctuates them."""

    sequential: str
    check: str
    year: str
    branch: str
    court: str
    origin: str

    def __str__(self) -> str:
        return f"{self.sequential}-{self.check}.{self.year}.{self.branch}.{self.court}.{self.origin}"

    @property
    def expected_check(self) -> str:
        """The check digits that the other fields call for."""
        return check_digits(self.sequential + self.year + self.branch + self.court + self.origin)


@dataclass(frozen=True)
class CheckDigits:
    """The check digits as written, and as they should be."""

    given: str
    expected: str


@dataclass(frozen=True)
class Coded:
    """A field of the number and what its code stands for, in Portuguese; None if there is no such code."""

    code: str
    name: str | None = None


@dataclass(frozen=True)
class Court(Coded):
    """A court, council or military district (TR)."""

    acronym: str | None = None


@dataclass(frozen=True)
class Explanation:
    """What a number tells, texts in Portuguese.

    `valid` is true exactly if `problems` is empty. `formatted` is the number as given, wrong digits included;
    it and all fields after it are None if the text is not shaped like a number.
    """

    valid: bool
    explanation: str
    problems: tuple[str, ...] = ()
    formatted: str | None = None
    sequential: str | None = None
    check_digits: CheckDigits | None = None
    year: int | None = None
    branch: Coded | None = None
    court: Court | None = None
    origin: Coded | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON-able data; every key is always present."""
        return {**asdict(self), "problems": list(self.problems)}


def check_digits(payload: str) -> str:
    """The check digits, "02" to "98", for the 18 digits of N, AAAA, J, TR and OOOO.

    ISO 7064 mod 97-10, as in annex VIII of the resolution. Raises ValueError unless there are 18 digits.
    """
    if not re.fullmatch(r"[0-9]{18}", payload):
        raise ValueError("18 digits are needed: N (7), AAAA (4), J (1), TR (2), OOOO (4)")
    return f"{98 - int(payload) * 100 % 97:02d}"


def parse(text: str) -> CaseNumber:
    """Split a number into its fields, with or without its punctuation, spaces and invisible characters aside.

    Looks at the shape only. Raises MalformedNumberError.
    """
    text = "".join(map(_plain, text))
    if match := _NUMBER.fullmatch(text):
        return CaseNumber(*match.groups())
    if not text:
        raise MalformedNumberError("O número está vazio.")
    if re.search(r"[^0-9.\-]", text):
        raise MalformedNumberError(
            f"Há caracteres que não fazem parte de um número de processo; o formato é {FORMAT}, "
            "apenas com algarismos de 0 a 9, hífen e pontos."
        )
    digits = re.sub(r"[.\-]", "", text)
    if match := _NUMBER.fullmatch(digits):
        number = CaseNumber(*match.groups())
        raise MalformedNumberError(f"A pontuação está fora do lugar; com estes algarismos seria {number}.")
    reason = f"O número tem {len(digits)} algarismos; são exigidos 20, no formato {FORMAT}."
    if match := _ZEROS_OMITTED.fullmatch(text):
        reason += f" Se faltam apenas os zeros à esquerda, informe {match[1].zfill(7)}{match[2]}."
    raise MalformedNumberError(reason)


def _plain(character: str) -> str:
    """Word processors and PDF files put other hyphens, spaces and marks that nobody sees into a number."""
    category = unicodedata.category(character)
    if character.isspace() or category == "Cf":
        return ""
    return "-" if category == "Pd" or character == "\N{MINUS SIGN}" else character


def _courts() -> Mapping[str, Mapping[str, Court]]:
    found: dict[str, dict[str, Court]] = {branch: {} for branch in BRANCHES}
    for branch, count, acronym, name in (
        ("4", 6, "TRF{}", "Tribunal Regional Federal da {}ª Região"),
        ("5", 24, "TRT{}", "Tribunal Regional do Trabalho da {}ª Região"),
        ("7", 12, "{}ª CJM", "{}ª Circunscrição Judiciária Militar"),
    ):
        for n in range(1, count + 1):
            found[branch][f"{n:02d}"] = Court(f"{n:02d}", name.format(n), acronym.format(n))
    for n, state in enumerate(_STATES.strip().split(";"), 1):
        code, (uf, of_state) = f"{n:02d}", state.split(maxsplit=1)
        found["6"][code] = Court(code, f"Tribunal Regional Eleitoral {of_state}", f"TRE-{uf}")
        found["8"][code] = Court(code, f"Tribunal de Justiça {of_state}", f"TJ{uf}")
        if uf in ("MG", "RS", "SP"):
            found["9"][code] = Court(code, f"Tribunal de Justiça Militar {of_state}", f"TJM{uf}")
    for line in _SINGLE_COURTS.strip().splitlines():
        branch, code, acronym, name = line.split(maxsplit=3)
        found[branch][code] = Court(code, name, acronym)
    return {branch: dict(sorted(courts.items())) for branch, courts in found.items()}


COURTS = _courts()
"""Every court by branch (J), then by code (TR)."""


def _origin(number: CaseNumber) -> str:
    code, branch = number.origin, number.branch
    originating = number.court in ("00", "90")
    if code == "0000" and (originating or branch != "7"):
        return "processo de competência originária do próprio órgão"
    if originating:
        return f"unidade de origem {code} (para este órgão a Resolução prevê 0000; confira)"
    if code.startswith("9") and branch in ("4", "8"):
        return f"turma recursal, unidade de origem {code}"
    # From 8000 on courts number administrative files too: the code does not tell the kind of unit.
    if "0001" <= code < "8000" and branch in _FIRST_INSTANCE:
        return f"unidade de origem {code} ({_FIRST_INSTANCE[branch]}, conforme a tabela do próprio órgão)"
    return f"unidade de origem {code}"


def _problems(number: CaseNumber, today: date) -> Iterable[str]:
    if number.check != number.expected_check:
        # The corrected number is not spelt out: it would look like a real case that nobody has confirmed.
        yield (
            f"Os dígitos verificadores são {number.check}, mas deveriam ser {number.expected_check}. "
            "O erro pode estar em qualquer outro algarismo: confira o número inteiro na fonte."
        )
    if int(number.year) < FIRST_YEAR:
        yield f"O ano {number.year} é anterior a {FIRST_YEAR}."
    if int(number.year) > today.year:
        yield f"O ano {number.year} está no futuro: hoje é {today:%d/%m/%Y}."
    if number.branch not in BRANCHES:
        yield f"O ramo {number.branch} não existe: J vai de 1 a 9."
    elif number.court not in COURTS[number.branch]:
        yield (
            f"O tribunal {number.court} não existe no ramo {number.branch} ({BRANCHES[number.branch]}). "
            f"Códigos que existem: {', '.join(COURTS[number.branch])}."
        )


def explain(text: str, today: date) -> Explanation:
    """Say all that the text tells as a case number, valid or not; `today` bounds the year. Raises nothing."""
    try:
        number = parse(text)
    except MalformedNumberError as error:
        return Explanation(False, f"Número inválido. {error}", (str(error),))
    problems = tuple(_problems(number, today))
    branch = Coded(number.branch, BRANCHES.get(number.branch))
    court = COURTS.get(number.branch, {}).get(number.court, Court(number.court))
    origin = Coded(number.origin, _origin(number))
    summary = (
        f"Número inválido: {number}. {' '.join(problems)}"
        if problems
        else f"Número válido: {number}. Sequencial {number.sequential}, ano {number.year}; "
        f"ramo: {branch.name}; órgão: {court.name} ({court.acronym}); origem: {origin.name}. "
        "Os dígitos verificadores conferem. A conferência é formal e não prova que o processo existe: "
        "confirme na consulta processual do órgão."
    )
    return Explanation(
        valid=not problems,
        explanation=summary,
        problems=problems,
        formatted=str(number),
        sequential=number.sequential,
        check_digits=CheckDigits(number.check, number.expected_check),
        year=int(number.year),
        branch=branch,
        court=court,
        origin=origin,
    )
