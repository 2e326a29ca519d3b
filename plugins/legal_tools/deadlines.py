"""Procedural deadlines in business days, by the Code of Civil Procedure (Lei 13.105/2015, CPC).

* Art. 219: only business days count.
* Art. 220: deadlines do not run from 20 December to 20 January, both included.
* Art. 224: the first day is left out and the last one counts; what the electronic journal makes available is published
  on the next business day (paragraph 2), and counting begins on the first business day after that (paragraph 3).
  Where court business ends early or begins late on the day on which a deadline begins or ends, that day moves to the
  next business day (paragraph 1): Ash Wednesday is the one such day known here, and a warning names it.
* Lei 11.419/2006, art. 5, paragraph 2: what is read electronically on another day than a business day is served on the
  next business day. A date that is none is counted from as it was given, the earlier end, and a warning has the later.
* Art. 216: Saturdays, Sundays and days without court business are holidays.
* CNJ Resolution 244/2016: courts are closed from 20 December to 6 January, so that nothing is published then.

Local holidays and suspensions are not known here; the answer says so each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from plugins.legal_tools.holidays import ash_wednesday, holidays

MAX_DAYS = 365
# The CPC is in force since then.
FIRST_DAY = date(2016, 3, 18)
LAST_DAY = date(2199, 12, 31)
RECESS = "recesso: prazos suspensos de 20 de dezembro a 20 de janeiro (CPC, art. 220)"
CLOSED = "recesso: sem expediente de 20 de dezembro a 6 de janeiro (Resolução CNJ 244/2016)"
_WEEKEND = {5: "sábado", 6: "domingo"}
_WEEKDAYS = ("segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado", "domingo")
_ONE_DAY = timedelta(1)
_BY_CUSTOM = " (sem expediente por costume ou ato local)"
Event = Literal["disponibilizacao", "publicacao", "intimacao"]
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


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days count. `extra` are further holidays by day, with their names; `federal` means a federal court.

    With `strict` the customary holidays count as business days.
    """

    extra: Mapping[date, str]
    federal: bool = False
    strict: bool = False

    def closed(self, day: date) -> str | None:
        """Why there is no court business on that day, None if there is."""
        if (day.month, day.day) >= (12, 20) or (day.month, day.day) <= (1, 6):
            return CLOSED
        return self._holiday(day)

    def suspended(self, day: date) -> str | None:
        """Why the day does not count, None if it does."""
        if (day.month, day.day) >= (12, 20) or (day.month, day.day) <= (1, 20):
            return RECESS
        return self._holiday(day)

    def _holiday(self, day: date) -> str | None:
        if day.weekday() in _WEEKEND:
            return _WEEKEND[day.weekday()]
        if day in self.extra:
            return self.extra[day]
        holiday = holidays(day.year, federal=self.federal).get(day)
        if holiday is None or (holiday.customary and self.strict):
            return None
        return holiday.name + _BY_CUSTOM if holiday.customary else holiday.name


@dataclass(frozen=True, slots=True)
class Skipped:
    """Consecutive days that do not count, for the same reason."""

    first: date
    last: date
    reason: str

    def as_dict(self) -> dict[str, str]:
        """For JSON: {from, to, reason}."""
        return {"from": self.first.isoformat(), "to": self.last.isoformat(), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Deadline:
    """A counted deadline: published, begun and ended on these days, and what was skipped from there on."""

    published: date
    begins: date
    ends: date
    skipped: tuple[Skipped, ...]


def count(day: date, event: Event, days: int, calendar: Calendar) -> Deadline:
    """The deadline of `days` business days (1 to 730) after what happened on `day`.

    `event` says what that was: made available in the electronic journal (then publication is the next business day),
    published, or served on the party.
    """
    published, passed = day, []
    if event == "disponibilizacao":
        published = day + _ONE_DAY
        while (reason := calendar.closed(published)) is not None:
            passed.append((published, reason))
            published += _ONE_DAY
    begins: date | None = None
    current, left = published, days
    while left:
        current += _ONE_DAY
        reason = calendar.suspended(current)
        if reason is not None:
            passed.append((current, reason))
            continue
        begins = begins or current
        left -= 1
    return Deadline(published, begins or current, current, tuple(_grouped(passed)))


def next_business_day(day: date, calendar: Calendar) -> date:
    """The first day after `day` on which courts work."""
    day += _ONE_DAY
    while calendar.closed(day) is not None:
        day += _ONE_DAY
    return day


def _grouped(days: list[tuple[date, str]]) -> Iterator[Skipped]:
    """Consecutive days with one reason as one entry; a weekend is one too."""
    group: Skipped | None = None
    for day, reason in days:
        if group is not None and day == group.last + _ONE_DAY and reason == group.reason:
            group = Skipped(group.first, day, reason)
        elif group is not None and (group.reason, reason) == ("sábado", "domingo"):
            group = Skipped(group.first, day, "sábado e domingo")
        else:
            if group is not None:
                yield group
            group = Skipped(day, day, reason)
    if group is not None:
        yield group


def answer(
    day: date, event: Event, days: int, *, doubled: bool, federal: bool, extra: Mapping[date, str]
) -> dict[str, Any]:
    """What the tool says, as JSON; texts in Portuguese.

    `doubled` counts twice the days (CPC, arts. 180, 183, 186, 229). `earliest_deadline` is what it would be if courts
    worked on the customary holidays.
    """
    counted = days * 2 if doubled else days
    calendar = Calendar(extra, federal)
    found = count(day, event, counted, calendar)
    cautious = count(day, event, counted, Calendar(extra, federal, strict=True))
    warnings = [*([TWICE] if doubled else []), UNKNOWN_TO_US, NOT_CRIMINAL]
    if reduced := {found.published, found.begins, found.ends, cautious.ends} & _ash_wednesdays(found):
        warnings.insert(
            0,
            f"{_written(min(reduced))} é Quarta-feira de Cinzas: onde o expediente começa mais tarde ou termina mais "
            "cedo, o começo ou o vencimento que cai nesse dia passa para o dia útil seguinte (CPC, art. 224, § 1º); "
            "confira no tribunal.",
        )
    if event != "disponibilizacao" and (reason := calendar.closed(day)) is not None:
        working = next_business_day(day, calendar)
        later = count(working, event, counted, calendar).ends
        warnings.insert(
            0,
            f"{_written(day)} não é dia de expediente: {reason}. Confira a data: a intimação eletrônica consultada em "
            "dia não útil considera-se realizada no primeiro dia útil seguinte (Lei 11.419/2006, art. 5º, § 2º); se o "
            f"ato se considera de {_written(working)}, o prazo vence em {_written(later)}.",
        )
    if cautious.ends != found.ends:
        customary = [skipped.reason for skipped in found.skipped if skipped.reason.endswith(_BY_CUSTOM)]
        names = dict.fromkeys(reason.removesuffix(_BY_CUSTOM) for reason in customary)
        warnings.insert(
            0,
            "A contagem pula dias que não são feriados nacionais "
            f"({', '.join(names)}): se o tribunal tiver expediente neles, o prazo termina antes, em "
            f"{_written(cautious.ends)}.",
        )
    return {
        "deadline": found.ends.isoformat(),
        "weekday": _WEEKDAYS[found.ends.weekday()],
        "published": found.published.isoformat(),
        "begins": found.begins.isoformat(),
        "days_counted": counted,
        "skipped": [skipped.as_dict() for skipped in found.skipped],
        "earliest_deadline": cautious.ends.isoformat(),
        "law": list(LAW),
        "warnings": warnings,
        "explanation": _explain(day, event, found, counted, doubled=doubled),
    }


def _explain(day: date, event: Event, found: Deadline, counted: int, *, doubled: bool) -> str:
    begun = {
        "disponibilizacao": f"disponibilização em {_written(day)}, publicação em {_written(found.published)}",
        "publicacao": f"publicação em {_written(day)}",
        "intimacao": f"intimação em {_written(day)}",
    }[event]
    days = "1 dia útil" if counted == 1 else f"{counted} dias úteis"
    twice = " (em dobro)" if doubled else ""
    return (
        f"Prazo de {days}{twice}: {begun}, primeiro dia da contagem {_written(found.begins)}, "
        f"vencimento em {_written(found.ends)}, {_WEEKDAYS[found.ends.weekday()]}."
    )


def _ash_wednesdays(deadline: Deadline) -> set[date]:
    return {ash_wednesday(year) for year in range(deadline.published.year, deadline.ends.year + 1)}


def _written(day: date) -> str:
    return f"{day:%d/%m/%Y}"


def parse_holidays(entries: tuple[str, ...]) -> dict[date, str]:
    """Extra holidays by day, from entries as `2026-07-09` or `2026-07-09 Revolução Constitucionalista`.

    Raises ValueError naming the entry that is no date.
    """
    found = {}
    for entry in entries:
        day, _, name = entry.strip().partition(" ")
        try:
            found[date.fromisoformat(day)] = name.strip() or "feriado local cadastrado neste serviço"
        except ValueError:
            raise ValueError(f"{entry!r} does not begin with a date, as 2026-07-09") from None
    return found
