"""What `prazo_processual` says of a deadline: the dates, the law they rest on, and what has to be confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from plugins.legal_tools import electronic
from plugins.legal_tools.deadlines import BY_CUSTOM, Calendar, DueDate, Event, count, next_business_day
from plugins.legal_tools.electronic import SERVICES
from plugins.legal_tools.holidays import ash_wednesday

_WEEKDAYS = ("segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado", "domingo")
LAW = (
    "CPC, art. 219: contam-se somente os dias úteis",
    "CPC, art. 220: suspensão de 20 de dezembro a 20 de janeiro, inclusive",
    "CPC, art. 224: exclui-se o dia do começo e inclui-se o do vencimento",
)
UNKNOWN_TO_US = (
    "Feriados estaduais e municipais, portarias, suspensões de expediente e indisponibilidades do sistema não são "
    "conhecidos por esta ferramenta, exceto os cadastrados neste serviço: confira no tribunal antes de usar."
)
TWICE = (
    "Ministério Público, Fazenda Pública e Defensoria Pública são intimados pessoalmente: a publicação no Diário não "
    "inicia o prazo deles (CPC, arts. 180, 183, § 1º, e 186, § 1º). A dobra não se aplica quando a lei fixa prazo "
    "próprio (CPC, arts. 180, § 2º, 183, § 2º, e 186, § 4º)."
)
NOT_CRIMINAL = (
    "Esta contagem em dias úteis não vale para o processo penal, em que os prazos são contínuos, em dias corridos "
    "(CPP, art. 798)."
)


def answer(
    day: date, event: Event, days: int, *, doubled: bool, federal: bool, extra: Mapping[date, str]
) -> dict[str, Any]:
    """What the tool says, as JSON; texts in Portuguese.

    `doubled` counts twice the days (CPC, arts. 180, 183, 186, 229). `earliest_deadline` is the earliest date that a
    court may come to where the rule is not certain, or if it works on the customary holidays.
    """
    counted = days * 2 if doubled else days
    calendar = Calendar(extra, federal)
    if event == "citacao_nao_confirmada_empresa":
        return _not_begun(day, counted, calendar)
    found = count(day, event, counted, calendar)
    cautious = count(day, event, counted, Calendar(extra, federal, strict=True))
    earliest = cautious.ends
    warnings = [*([TWICE] if doubled else []), UNKNOWN_TO_US, NOT_CRIMINAL]
    law: tuple[str, ...] = LAW
    if event == "disponibilizacao" and day >= electronic.IN_FORCE:
        law = (*LAW, electronic.DJEN)
    if event in SERVICES:
        law = (*LAW, *electronic.LAW[event])
        served = electronic.served(day, event, calendar)
        for other, why in served.others if served else ():
            ends = count(other, "intimacao", counted, calendar).ends
            earliest = min(earliest, ends)
            if ends != found.ends:
                warnings.insert(0, f"A regra não é certa: {why}, o prazo vence em {_written(ends)}.")
        warnings += [electronic.PERSONAL, *([electronic.BEFORE] if day < electronic.IN_FORCE else [])]
    if reduced := {found.published, found.begins, found.ends, cautious.ends} & _ash_wednesdays(found):
        warnings.insert(
            0,
            f"{_written(min(reduced))} é Quarta-feira de Cinzas: onde o expediente começa mais tarde ou termina mais "
            "cedo, o começo ou o vencimento que cai nesse dia passa para o dia útil seguinte (CPC, art. 224, § 1º); "
            "confira no tribunal.",
        )
    if event in ("publicacao", "intimacao") and (reason := calendar.closed(day)) is not None:
        working = next_business_day(day, calendar)
        later = count(working, event, counted, calendar).ends
        warnings.insert(
            0,
            f"{_written(day)} não é dia de expediente: {reason}. Confira a data: a intimação eletrônica consultada em "
            "dia não útil considera-se realizada no primeiro dia útil seguinte (Lei 11.419/2006, art. 5º, § 2º); se o "
            f"ato se considera de {_written(working)}, o prazo vence em {_written(later)}.",
        )
    if cautious.ends != found.ends:
        customary = [skipped.reason for skipped in found.skipped if skipped.reason.endswith(BY_CUSTOM)]
        names = dict.fromkeys(reason.removesuffix(BY_CUSTOM) for reason in customary)
        warnings.insert(
            0,
            "A contagem pula dias que não são feriados nacionais "
            f"({', '.join(names) or 'Carnaval, Corpus Christi ou Dia da Justiça'}): se o tribunal tiver expediente "
            f"neles, o prazo termina antes, em {_written(cautious.ends)}.",
        )
    return {
        "deadline": found.ends.isoformat(),
        "weekday": _WEEKDAYS[found.ends.weekday()],
        "published": found.published.isoformat(),
        "begins": found.begins.isoformat(),
        "days_counted": counted,
        "skipped": [skipped.as_dict() for skipped in found.skipped],
        "earliest_deadline": earliest.isoformat(),
        "law": list(law),
        "warnings": warnings,
        "explanation": _explain(day, event, found, counted, doubled=doubled),
    }


def _not_begun(day: date, counted: int, calendar: Calendar) -> dict[str, Any]:
    """The answer for a private party's citation that was not confirmed."""
    until = electronic.business_day(day, electronic.CONFIRMING_DAYS, calendar)
    warnings = [UNKNOWN_TO_US, electronic.PERSONAL, *([electronic.BEFORE] if day < electronic.IN_FORCE else [])]
    return {
        "deadline": None,
        "confirm_until": until.isoformat(),
        "days_counted": counted,
        "law": list(electronic.LAW["citacao_nao_confirmada_empresa"]),
        "warnings": warnings,
        "explanation": (
            f"Citação enviada em {_written(day)}; podia ser confirmada até {_written(until)}. {electronic.NEVER_BEGUN}"
        ),
    }


def missing(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer that asks for what is not known yet, None if everything is; no date is ever assumed."""
    asked = {
        "data": "a data do evento (dia, mês e ano)",
        "evento": (
            "o que houve nessa data: disponibilização no DJEN, publicação, intimação ou citação (e, se foi eletrônica, "
            "se foi confirmada e por quem)"
        ),
        "dias": "quantos dias tem o prazo",
    }
    needed = [name for name in asked if arguments.get(name) is None]
    if not needed:
        return None
    return {
        "deadline": None,
        "missing": needed,
        "explanation": "Para calcular o vencimento preciso saber: " + "; ".join(asked[name] for name in needed) + ".",
    }


_BEGUN: Mapping[str, str] = {
    "disponibilizacao": "disponibilização em {day}, publicação em {published}",
    "publicacao": "publicação em {day}",
    "intimacao": "intimação em {day}",
    "citacao_confirmada": "citação confirmada em {day}, quinto dia útil seguinte em {published}",
    "citacao_nao_confirmada_ente_publico": "citação enviada em {day} e não confirmada, automática em {published}",
    "intimacao_confirmada": "intimação consultada em {day}, considerada feita em {published}",
    "intimacao_nao_confirmada": "intimação enviada em {day} e não consultada, automática em {published}",
}


def _explain(day: date, event: Event, found: DueDate, counted: int, *, doubled: bool) -> str:
    begun = _BEGUN[event].format(day=_written(day), published=_written(found.published))
    days = "1 dia útil" if counted == 1 else f"{counted} dias úteis"
    twice = " (em dobro)" if doubled else ""
    return (
        f"Prazo de {days}{twice}: {begun}, primeiro dia da contagem {_written(found.begins)}, "
        f"vencimento em {_written(found.ends)}, {_WEEKDAYS[found.ends.weekday()]}."
    )


def _ash_wednesdays(deadline: DueDate) -> set[date]:
    return {ash_wednesday(year) for year in range(deadline.published.year, deadline.ends.year + 1)}


def _written(day: date) -> str:
    return f"{day:%d/%m/%Y}"
