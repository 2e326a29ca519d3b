"""From when on a deadline runs where the court serves electronically: DJEN and Domicílio Judicial Eletrônico.

Sources, in the order of their weight:

* CPC, art. 231, IX: after an electronic citation the day of the beginning is the fifth business day after its
  confirmation. Art. 246, §§ 1-A to 1-C: a company that does not confirm within three business days is cited otherwise,
  has to say why, and may be fined up to 5 % of the claim.
* Lei 11.419/2006, art. 5, §§ 1 to 3: other notices count from the day on which they are read, the next business day
  where that is none, and ten calendar days after sending if nobody reads them.
* CNJ Resolution 455/2022 as amended by 569/2024, in force everywhere since 16 May 2025: art. 11, § 3 (DJEN), art. 18
  (what the Domicílio is for), art. 20, §§ 3 to 4 (how long a notice waits to be read).
* CNJ Resolution 185/2013, art. 21: how the ten days are counted; a last day without court business moves to the next.
* CNJ, consultations 0004461-68.2025.2.00.0000 (public entities) and 0008391-94.2025.2.00.0000 (made known by TJRJ,
  Aviso 27/2026): the day of sending is not counted, and neither is the fifth business day.

Where these leave room the earlier date is counted with, and a warning has the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Literal, Protocol

IN_FORCE: Final = date(2025, 5, 16)
READING_DAYS: Final = 10
CONFIRMING_DAYS: Final = 3
BEGINNING_DAYS: Final = 5
_ONE_DAY = timedelta(1)

Service = Literal[
    "citacao_confirmada",
    "citacao_nao_confirmada_ente_publico",
    "citacao_nao_confirmada_empresa",
    "intimacao_confirmada",
    "intimacao_nao_confirmada",
]
SERVICES: Final[tuple[Service, ...]] = (
    "citacao_confirmada",
    "citacao_nao_confirmada_ente_publico",
    "citacao_nao_confirmada_empresa",
    "intimacao_confirmada",
    "intimacao_nao_confirmada",
)
_RESOLUTION = "Resolução CNJ 455/2022, na redação da Resolução 569/2024"
DJEN = f"{_RESOLUTION}, art. 11, § 3º: sem exigência de vista ou intimação pessoal, o prazo conta da publicação no DJEN"
LAW: Final[dict[Service, tuple[str, ...]]] = {
    "citacao_confirmada": (
        "CPC, art. 231, IX: o dia do começo é o quinto dia útil seguinte à confirmação da citação eletrônica",
        f"{_RESOLUTION}, art. 20, § 3º-B",
        "CNJ, Consulta 0008391-94.2025.2.00.0000: o quinto dia útil não entra na contagem",
    ),
    "citacao_nao_confirmada_ente_publico": (
        f"{_RESOLUTION}, art. 20, § 3º-A: citação automática ao fim de dez dias corridos do envio",
        "CNJ, Consulta 0004461-68.2025.2.00.0000: o prazo conta do término dos dez dias",
    ),
    "citacao_nao_confirmada_empresa": (
        f"{_RESOLUTION}, art. 20, § 3º: três dias úteis para confirmar",
        "CPC, art. 246, §§ 1º-A a 1º-C: nova citação por outro meio, justificativa e multa de até 5% do valor da causa",
    ),
    "intimacao_confirmada": (
        "Lei 11.419/2006, art. 5º, §§ 1º e 2º: intimação no dia da consulta, ou no dia útil seguinte",
        f"{_RESOLUTION}, art. 20",
    ),
    "intimacao_nao_confirmada": (
        "Lei 11.419/2006, art. 5º, § 3º: intimação automática ao fim de dez dias corridos do envio",
        f"{_RESOLUTION}, art. 20, § 4º",
    ),
}
NEVER_BEGUN = (
    "O prazo não começou: sem confirmação em três dias úteis, a citação eletrônica de empresa privada ou de pessoa "
    "física não se completa e deve ser repetida por outro meio (correio, oficial de justiça, escrivão ou edital). Na "
    "primeira oportunidade de falar nos autos é preciso justificar a falta de confirmação, sob pena de multa de até 5% "
    "do valor da causa (CPC, art. 246, §§ 1º-A a 1º-C). Conte o prazo a partir da nova citação."
)
BEFORE = (
    "A regra vale em todos os tribunais desde 16/05/2025; para uma data anterior, confira no tribunal se ele já usava "
    "o Domicílio Judicial Eletrônico."
)
PERSONAL = (
    "O Domicílio Judicial Eletrônico serve a citações e a intimações pessoais; o prazo do advogado conta, em regra, da "
    "publicação no DJEN. O STF não o integra."
)


class Days(Protocol):
    """What is asked of a calendar."""

    def closed(self, day: date) -> str | None:
        """Why there is no court business on that day, None if there is."""


@dataclass(frozen=True, slots=True)
class Served:
    """From which day a deadline runs, which is itself not counted, and the other days that it may be, with why."""

    day: date
    others: tuple[tuple[date, str], ...] = field(default=())


def served(day: date, event: Service, calendar: Days) -> Served | None:
    """When the party counts as served; None if it does not.

    `day` is that of the confirmation, or for what nobody confirmed that of sending.
    """
    if event == "citacao_nao_confirmada_empresa":
        return None
    if event == "citacao_confirmada":
        fifth = business_day(day, BEGINNING_DAYS, calendar)
        return Served(
            fifth,
            (
                (
                    fifth - _ONE_DAY,
                    "se o tribunal contar o próprio quinto dia útil, como faziam sistemas antes da Consulta CNJ "
                    "0008391-94.2025.2.00.0000 (transição de 90 dias)",
                ),
            ),
        )
    if event == "intimacao_confirmada":
        return Served(day if calendar.closed(day) is None else business_day(day, 1, calendar))
    tenth = day + timedelta(READING_DAYS)
    return Served(tenth, tuple(_later(day, tenth, calendar)))


def business_day(day: date, number: int, calendar: Days) -> date:
    """The `number`-th day after `day` on which courts work."""
    while number:
        day += _ONE_DAY
        number -= calendar.closed(day) is None
    return day


def _later(sent: date, tenth: date, calendar: Days) -> Iterator[tuple[date, str]]:
    """Later days than `tenth` that the ten calendar days may end on."""
    if calendar.closed(tenth) is not None:
        yield (
            business_day(tenth, 1, calendar),
            "se o término em dia sem expediente passar para o dia útil seguinte (Resolução CNJ 185/2013, art. 21, II)",
        )
    first = business_day(sent, 1, calendar)
    if first != sent + _ONE_DAY:
        last = first + timedelta(READING_DAYS - 1)
        yield (
            last if calendar.closed(last) is None else business_day(last, 1, calendar),
            "se os dez dias contarem só do primeiro dia útil depois do envio (Consulta CNJ "
            "0008391-94.2025.2.00.0000; a Resolução CNJ 185/2013, art. 21, I, conta do dia seguinte, útil ou não)",
        )
