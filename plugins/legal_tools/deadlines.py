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

Electronic citations and notices (DJEN, Domicílio Judicial Eletrônico) have rules of their own: see `electronic`.

Local holidays and suspensions are not known here; the answer says so each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from plugins.legal_tools import electronic
from plugins.legal_tools.electronic import SERVICES, Service
from plugins.legal_tools.holidays import holidays

MAX_DAYS = 365
# The CPC is in force since then.
FIRST_DAY = date(2016, 3, 18)
LAST_DAY = date(2199, 12, 31)
RECESS = "recesso: prazos suspensos de 20 de dezembro a 20 de janeiro (CPC, art. 220)"
CLOSED = "recesso: sem expediente de 20 de dezembro a 6 de janeiro (Resolução CNJ 244/2016)"
_WEEKEND = {5: "sábado", 6: "domingo"}
_ONE_DAY = timedelta(1)
BY_CUSTOM = " (sem expediente por costume ou ato local)"
Event = Literal["disponibilizacao", "publicacao", "intimacao"] | Service


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
        return holiday.name + BY_CUSTOM if holiday.customary else holiday.name


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
class DueDate:
    """A counted deadline: published, begun and ended on these days, and what was skipped from there on."""

    published: date
    begins: date
    ends: date
    skipped: tuple[Skipped, ...]


def count(day: date, event: Event, days: int, calendar: Calendar) -> DueDate:
    """The deadline of `days` business days (1 to 730) after what happened on `day`.

    `event` says what that was: made available in the electronic journal (then publication is the next business day),
    published, or served on the party. Raises ValueError for one after which no deadline runs.
    """
    if event in SERVICES:
        served = electronic.served(day, event, calendar)
        if served is None:
            raise ValueError(f"no deadline runs after {event}")
        day = served.day
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
    return DueDate(published, begins or current, current, tuple(_grouped(passed)))


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
