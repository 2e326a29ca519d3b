"""Rules of the deadlines: worked examples counted by hand on a calendar, and properties of every deadline."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.legal_tools.deadline_answer import NOT_CRIMINAL, TWICE, UNKNOWN_TO_US, answer
from plugins.legal_tools.deadlines import (
    CLOSED,
    FIRST_DAY,
    MAX_DAYS,
    RECESS,
    Calendar,
    Event,
    count,
    parse_holidays,
)
from plugins.legal_tools.holidays import ash_wednesday, holidays

PLAIN = Calendar({})
EVENTS: tuple[Event, ...] = ("disponibilizacao", "publicacao", "intimacao")


def test_the_movable_holidays_of_2026() -> None:
    """Carnival on 16 and 17 February, Good Friday on 3 April, Corpus Christi on 4 June."""
    found = {holiday.name: holiday for holiday in holidays(2026).values()}
    assert found["segunda-feira de Carnaval"].day == date(2026, 2, 16)
    assert found["terça-feira de Carnaval"].day == date(2026, 2, 17)
    assert found["Sexta-feira da Paixão"].day == date(2026, 4, 3)
    assert found["Corpus Christi"].day == date(2026, 6, 4)
    assert sorted(name for name, holiday in found.items() if holiday.customary) == [
        "Corpus Christi",
        "Dia da Justiça",
        "segunda-feira de Carnaval",
        "terça-feira de Carnaval",
    ]


def test_a_holiday_holds_from_its_law_on() -> None:
    """20 November is national from 2024 on."""
    assert date(2023, 11, 20) not in holidays(2023)
    assert date(2024, 11, 20) in holidays(2024)


def test_federal_courts_have_more_holidays() -> None:
    """Lei 5.010/1966, art. 62: Holy Week from Wednesday on, 11 August, 1 November, 8 December, and Carnival by law."""
    more = set(holidays(2026, federal=True)) - set(holidays(2026))
    assert more == {date(2026, 4, 1), date(2026, 4, 2), date(2026, 8, 11), date(2026, 11, 1)}
    for day in (date(2026, 2, 16), date(2026, 12, 8)):
        assert holidays(2026)[day].customary
        assert not holidays(2026, federal=True)[day].customary


@pytest.mark.parametrize(
    ("day", "event", "days", "begins", "ends"),
    [
        # A Monday, five days: Tuesday to Monday.
        (date(2026, 3, 9), "publicacao", 5, date(2026, 3, 10), date(2026, 3, 16)),
        # Published on a Friday: counting begins on Monday.
        (date(2026, 3, 13), "publicacao", 15, date(2026, 3, 16), date(2026, 4, 6)),
        # Made available on a Friday: published on Monday, begins on Tuesday.
        (date(2026, 3, 13), "disponibilizacao", 15, date(2026, 3, 17), date(2026, 4, 7)),
        # Served on a Saturday: begins on Monday.
        (date(2026, 3, 14), "intimacao", 1, date(2026, 3, 16), date(2026, 3, 16)),
        # The last day would be Good Friday.
        (date(2026, 4, 1), "publicacao", 2, date(2026, 4, 2), date(2026, 4, 6)),
        # 21 April, a Tuesday, and 1 May, a Friday.
        (date(2026, 4, 17), "publicacao", 10, date(2026, 4, 20), date(2026, 5, 5)),
        # It begins before the recess and goes on after it: 17 and 18 December, then 21 January.
        (date(2026, 12, 16), "publicacao", 3, date(2026, 12, 17), date(2027, 1, 21)),
        # Published on the last day before the recess.
        (date(2026, 12, 18), "publicacao", 5, date(2027, 1, 21), date(2027, 1, 27)),
        # Made available then: no journal is published before 7 January, and nothing counts before the 21st.
        (date(2026, 12, 18), "disponibilizacao", 1, date(2027, 1, 21), date(2027, 1, 21)),
        # Made available on 20 January: published on the 21st, begins on the 22nd.
        (date(2027, 1, 20), "disponibilizacao", 1, date(2027, 1, 22), date(2027, 1, 22)),
        # 29 February counts like any other day.
        (date(2024, 2, 28), "intimacao", 1, date(2024, 2, 29), date(2024, 2, 29)),
    ],
)
def test_deadlines_counted_by_hand(day: date, event: Event, days: int, begins: date, ends: date) -> None:
    """Arts. 219, 220 and 224 on a real calendar."""
    found = count(day, event, days, PLAIN)
    assert (found.begins, found.ends) == (begins, ends)


def test_extra_holidays_are_skipped_with_their_names() -> None:
    """What the office has registered counts like any other holiday."""
    extra = parse_holidays(("2026-07-09 Revolução Constitucionalista", "2026-07-10"))
    found = count(date(2026, 7, 8), "publicacao", 1, Calendar(extra))
    assert found.ends == date(2026, 7, 13)
    assert [skipped.reason for skipped in found.skipped] == [
        "Revolução Constitucionalista",
        "feriado local cadastrado neste serviço",
        "sábado e domingo",
    ]


@pytest.mark.parametrize("entry", ["09/07/2026", "2026-13-01", "2026-02-29 x", ""])
def test_an_extra_holiday_that_is_no_date_is_named(entry: str) -> None:
    """The message shows the entry."""
    with pytest.raises(ValueError, match="does not begin with a date"):
        parse_holidays((entry,))


def test_the_answer_names_every_day_it_skipped() -> None:
    """Weekends, holidays and the recess, each with the reason, consecutive days together."""
    told = answer(date(2026, 12, 16), "publicacao", 3, doubled=False, federal=False, extra={})
    assert told["skipped"] == [
        {"from": "2026-12-19", "to": "2026-12-19", "reason": "sábado"},
        {"from": "2026-12-20", "to": "2027-01-20", "reason": RECESS},
    ]
    assert (told["deadline"], told["weekday"]) == ("2027-01-21", "quinta-feira")
    assert UNKNOWN_TO_US in told["warnings"]
    assert told["explanation"].endswith("vencimento em 21/01/2027, quinta-feira.")
    assert [law.split(":")[0] for law in told["law"]] == ["CPC, art. 219", "CPC, art. 220", "CPC, art. 224"]


def test_the_journal_is_closed_until_6_january() -> None:
    """What is made available before the recess is published on 7 January, and the days until then are named."""
    told = answer(date(2025, 12, 19), "disponibilizacao", 1, doubled=False, federal=False, extra={})
    assert told["published"] == "2026-01-07"
    assert {"from": "2025-12-20", "to": "2026-01-06", "reason": CLOSED} in told["skipped"]
    assert told["deadline"] == "2026-01-21"


def test_holidays_by_custom_come_with_the_earlier_date() -> None:
    """Who relies on Carnival being a holiday reads when the deadline ends if it is not."""
    told = answer(date(2026, 2, 13), "publicacao", 5, doubled=False, federal=False, extra={})
    assert (told["deadline"], told["earliest_deadline"]) == ("2026-02-24", "2026-02-20")
    assert "20/02/2026" in told["warnings"][0]
    federal = answer(date(2026, 2, 13), "publicacao", 5, doubled=False, federal=True, extra={})
    assert (federal["deadline"], federal["earliest_deadline"]) == ("2026-02-24", "2026-02-24")
    assert not any("feriados nacionais" in warning for warning in federal["warnings"])


@pytest.mark.parametrize(
    ("day", "named"),
    [
        (date(2026, 2, 13), "(segunda-feira de Carnaval, terça-feira de Carnaval)"),
        (date(2026, 6, 3), "(Corpus Christi)"),
        (date(2026, 12, 7), "(Dia da Justiça)"),
    ],
)
def test_the_days_that_a_court_may_not_keep_are_named(day: date, named: str) -> None:
    """The warning names those that were skipped, and no others, each once however long the count is."""
    told = answer(day, "publicacao", 3, doubled=False, federal=False, extra={})
    assert named in told["warnings"][0]
    years = answer(day, "publicacao", 365, doubled=True, federal=False, extra={})
    assert years["warnings"][0].count("Corpus Christi") == 1


@pytest.mark.parametrize("event", EVENTS)
def test_whoever_has_twice_the_days_is_told_when_they_begin_and_when_they_are_not_doubled(event: Event) -> None:
    """CPC, arts. 180, 183 and 186: personal service, and no doubling of a period of their own; nobody else reads it."""
    for doubled in (False, True):
        told = answer(date(2026, 3, 9), event, 5, doubled=doubled, federal=False, extra={})
        assert (TWICE in told["warnings"]) is doubled


def test_one_day_is_told_in_the_singular() -> None:
    """One day, or two because it counts twice."""
    once, twice = (
        answer(date(2026, 3, 9), "publicacao", 1, doubled=doubled, federal=False, extra={})["explanation"]
        for doubled in (False, True)
    )
    assert once.startswith("Prazo de 1 dia útil: ")
    assert twice.startswith("Prazo de 2 dias úteis (em dobro): ")


@pytest.mark.parametrize("event", ["publicacao", "intimacao"])
def test_an_act_on_a_day_without_business_comes_with_the_later_date(event: Event) -> None:
    """Counted as it was given, which ends earlier; the warning says when it ends if it counts as of the next one."""
    saturday = answer(date(2026, 3, 14), event, 5, doubled=False, federal=False, extra={})
    friday, monday = (answer(date(2026, 3, day), event, 5, doubled=False, federal=False, extra={}) for day in (13, 16))
    assert (saturday["deadline"], monday["deadline"]) == (friday["deadline"], "2026-03-23")
    assert saturday["warnings"][0].startswith("14/03/2026 não é dia de expediente: sábado. ")
    assert "se o ato se considera de 16/03/2026, o prazo vence em 23/03/2026." in saturday["warnings"][0]
    assert len(friday["warnings"]) == len(monday["warnings"]) == 2
    journal = answer(date(2026, 3, 14), "disponibilizacao", 5, doubled=False, federal=False, extra={})
    assert (journal["published"], len(journal["warnings"])) == ("2026-03-16", 2)


def test_an_act_in_the_recess_moves_to_its_end_and_in_january_stays() -> None:
    """Courts work again from 7 January on, although nothing counts before the 21st."""
    closed = answer(date(2026, 12, 24), "intimacao", 5, doubled=False, federal=False, extra={})
    assert "se o ato se considera de 07/01/2027, o prazo vence em 27/01/2027." in closed["warnings"][0]
    assert closed["deadline"] == "2027-01-27"
    open_ = answer(date(2027, 1, 11), "intimacao", 5, doubled=False, federal=False, extra={})
    assert not any("não é dia de expediente" in warning for warning in open_["warnings"])


@pytest.mark.parametrize(
    ("day", "event", "days", "reduced"),
    [
        # 18 February 2026: the first day of the count, the last one, the day of publication, none of them.
        (date(2026, 2, 13), "publicacao", 5, True),
        (date(2026, 2, 12), "publicacao", 2, True),
        (date(2026, 2, 18), "intimacao", 5, True),
        (date(2026, 2, 13), "disponibilizacao", 3, True),
        # If the court works through Carnival, the fifth day is that Wednesday; the sixth is not.
        (date(2026, 2, 11), "publicacao", 5, True),
        (date(2026, 2, 11), "publicacao", 6, False),
        (date(2026, 2, 19), "publicacao", 5, False),
        # From one year into the next: 10 February 2027.
        (date(2026, 12, 18), "publicacao", 13, True),
    ],
)
def test_a_deadline_that_begins_or_ends_on_ash_wednesday_says_so(
    day: date, event: Event, days: int, reduced: bool
) -> None:
    """Art. 224, paragraph 1: with reduced hours that day moves to the next one, which only the court knows."""
    warnings = answer(day, event, days, doubled=False, federal=False, extra={})["warnings"]
    assert any("Cinzas" in warning and "art. 224, § 1º" in warning for warning in warnings) is reduced


def test_ash_wednesday() -> None:
    """46 days before Easter, the day after Carnival."""
    assert [ash_wednesday(year) for year in (2024, 2026, 2027)] == [
        date(2024, 2, 14),
        date(2026, 2, 18),
        date(2027, 2, 10),
    ]


def test_every_answer_says_that_criminal_deadlines_are_others() -> None:
    """CPP, art. 798: they run continuously."""
    told = answer(date(2026, 3, 9), "publicacao", 5, doubled=False, federal=False, extra={})
    assert told["warnings"] == [UNKNOWN_TO_US, NOT_CRIMINAL]
    assert "art. 798" in NOT_CRIMINAL


def test_a_doubled_deadline_counts_twice_the_days() -> None:
    """Fifteen days for the treasury are thirty."""
    once = answer(date(2026, 3, 9), "publicacao", 30, doubled=False, federal=False, extra={})
    twice = answer(date(2026, 3, 9), "publicacao", 15, doubled=True, federal=False, extra={})
    assert (twice["deadline"], twice["days_counted"]) == (once["deadline"], 30)
    assert "(em dobro)" in twice["explanation"]


days_of_event = st.dates(FIRST_DAY, date(2100, 1, 1))


@given(days_of_event, st.sampled_from(EVENTS), st.integers(1, MAX_DAYS), st.booleans())
def test_every_day_is_either_counted_or_named(day: date, event: Event, days: int, federal: bool) -> None:
    """From the event to the end each day is skipped with a reason, or is publication, or one of the days counted."""
    calendar_ = Calendar({}, federal)
    found = count(day, event, days, calendar_)
    skipped = {
        group.first + timedelta(offset)
        for group in found.skipped
        for offset in range((group.last - group.first).days + 1)
    }
    span = {day + timedelta(offset) for offset in range(1, (found.ends - day).days + 1)}
    counted = span - skipped - ({found.published} if event == "disponibilizacao" else set())
    assert len(counted) == days
    assert skipped < span or not skipped
    assert all(calendar_.suspended(counted_day) is None for counted_day in counted)
    assert (min(counted), max(counted)) == (found.begins, found.ends)
    assert day <= found.published < found.begins <= found.ends


@given(days_of_event, st.sampled_from(EVENTS), st.integers(1, MAX_DAYS - 1))
def test_deadlines_grow_with_the_days_and_never_end_later_when_strict(day: date, event: Event, days: int) -> None:
    """One day more ends later; counting the customary holidays as business days never does."""
    assert count(day, event, days, PLAIN).ends < count(day, event, days + 1, PLAIN).ends
    assert count(day, event, days, Calendar({}, strict=True)).ends <= count(day, event, days, PLAIN).ends


def test_the_answer_is_json_of_plain_values() -> None:
    """Every value is text, a number, a list or an object: it goes to the model as it is."""
    told: dict[str, Any] = answer(date(2026, 3, 9), "intimacao", 5, doubled=False, federal=False, extra={})
    assert all(isinstance(value, str | int | list) for value in told.values())
