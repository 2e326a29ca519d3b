"""Days without court business that hold everywhere in Brazil, by the law that makes them so.

National holidays: Lei 662/1949 (as amended by Lei 10.607/2002), Lei 6.802/1980 (12 October), Lei 14.759/2023
(20 November, from 2024 on). Federal courts besides: Lei 5.010/1966, art. 62. Carnival and Corpus Christi are no
national holidays: courts close by custom or by their own acts, which has to be proved, so they are marked as such. So
is the Dia da Justiça, 8 December, which closes every court by Lei 1.408/1951, art. 5, but which some do not keep.

The table is our own: the package `holidays` has neither the days of the federal courts nor which are customary.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from dateutil.easter import easter

_FIXED = (
    (1, 1, "Confraternização Universal", 1949),
    (4, 21, "Tiradentes", 1949),
    (5, 1, "Dia do Trabalho", 1949),
    (9, 7, "Independência do Brasil", 1949),
    (10, 12, "Nossa Senhora Aparecida", 1980),
    (11, 2, "Finados", 1949),
    (11, 15, "Proclamação da República", 1949),
    (11, 20, "Dia Nacional de Zumbi e da Consciência Negra", 2024),
    (12, 25, "Natal", 1949),
)
_FEDERAL = ((8, 11, "Dia do Advogado"), (11, 1, "Todos os Santos"), (12, 8, "Dia da Justiça"))


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day without court business; `customary` if it is so by custom or local act only and has to be confirmed."""

    day: date
    name: str
    customary: bool = False


def ash_wednesday(year: int) -> date:
    """The day after Carnival: no holiday, but courts customarily open late on it."""
    return easter(year) - timedelta(46)


@lru_cache(maxsize=64)
def holidays(year: int, *, federal: bool = False) -> dict[date, Holiday]:
    """The holidays of a year by day; with `federal` also those of the federal courts."""
    found = [Holiday(date(year, month, day), name) for month, day, name, since in _FIXED if year >= since]
    sunday = easter(year)

    def movable(days: int, name: str, *, customary: bool) -> Holiday:
        return Holiday(sunday + timedelta(days), name, customary)

    found += [
        movable(-48, "segunda-feira de Carnaval", customary=not federal),
        movable(-47, "terça-feira de Carnaval", customary=not federal),
        movable(-2, "Sexta-feira da Paixão", customary=False),
        movable(60, "Corpus Christi", customary=True),
        Holiday(date(year, 12, 8), "Dia da Justiça", customary=not federal),
    ]
    if federal:
        found += [movable(-4, "quarta-feira da Semana Santa", customary=False)]
        found += [movable(-3, "quinta-feira da Semana Santa", customary=False)]
        found += [Holiday(date(year, month, day), f"{name} (Lei 5.010/1966, art. 62)") for month, day, name in _FEDERAL]
    return {holiday.day: holiday for holiday in sorted(found, key=lambda holiday: holiday.customary, reverse=True)}
