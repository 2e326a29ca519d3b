"""Service by DJEN and Domicílio Judicial Eletrônico: worked examples on a calendar, and what is not certain."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.legal_tools.deadline_answer import answer, missing
from plugins.legal_tools.deadlines import Calendar, count
from plugins.legal_tools.electronic import IN_FORCE, LAW, SERVICES, Service, served

DAYS = st.dates(date(2025, 5, 16), date(2099, 12, 31))
RUNNING = tuple(event for event in SERVICES if event != "citacao_nao_confirmada_empresa")


def told(day: date, event: Any, days: int = 1) -> dict[str, Any]:
    """The answer of the tool, without special circumstances."""
    return answer(day, event, days, doubled=False, federal=False, extra={})


@pytest.mark.parametrize(
    ("event", "day", "days", "published", "ends"),
    [
        # Confirmed on a Monday: the fifth business day is the next Monday, Tuesday counts first; Good Friday does not.
        ("citacao_confirmada", date(2026, 3, 9), 15, date(2026, 3, 16), date(2026, 4, 7)),
        # Confirmed on a Saturday: the five days begin on Monday.
        ("citacao_confirmada", date(2026, 3, 14), 1, date(2026, 3, 20), date(2026, 3, 23)),
        # Sent on a Monday: the tenth day after it is a Thursday.
        ("citacao_nao_confirmada_ente_publico", date(2026, 3, 9), 1, date(2026, 3, 19), date(2026, 3, 20)),
        ("intimacao_nao_confirmada", date(2026, 3, 9), 1, date(2026, 3, 19), date(2026, 3, 20)),
        # Holidays do not stop the ten days: Good Friday is the fourth.
        ("intimacao_nao_confirmada", date(2026, 3, 30), 1, date(2026, 4, 9), date(2026, 4, 10)),
        # Read on a business day, and on a Saturday.
        ("intimacao_confirmada", date(2026, 3, 9), 1, date(2026, 3, 9), date(2026, 3, 10)),
        ("intimacao_confirmada", date(2026, 3, 14), 1, date(2026, 3, 16), date(2026, 3, 17)),
    ],
)
def test_deadlines_counted_by_hand(event: Service, day: date, days: int, published: date, ends: date) -> None:
    """CPC, art. 231, IX; Resolution 455/2022, art. 20; Lei 11.419/2006, art. 5."""
    found = count(day, event, days, Calendar({}))
    assert (found.published, found.ends) == (published, ends)


def test_a_company_that_did_not_confirm_has_no_deadline() -> None:
    """Service is repeated, a fine threatens, and the answer says until when it could have confirmed."""
    said = told(date(2026, 3, 13), "citacao_nao_confirmada_empresa", 15)
    assert (said["deadline"], said["confirm_until"]) == (None, "2026-03-18")
    assert "O prazo não começou" in said["explanation"]
    assert "multa de até 5%" in said["explanation"]
    with pytest.raises(ValueError, match="no deadline runs"):
        count(date(2026, 3, 13), "citacao_nao_confirmada_empresa", 15, Calendar({}))


@pytest.mark.parametrize(
    ("event", "day", "words", "other"),
    [
        ("citacao_confirmada", date(2026, 3, 9), "contar o próprio quinto dia útil", "16/03/2026"),
        # Ends on a Saturday.
        ("intimacao_nao_confirmada", date(2026, 3, 4), "término em dia sem expediente", "17/03/2026"),
        # Sent on a Friday: do the ten days begin on Saturday or on Monday?
        ("citacao_nao_confirmada_ente_publico", date(2026, 3, 13), "primeiro dia útil depois do envio", "26/03/2026"),
    ],
)
def test_where_the_rule_is_not_certain_the_answer_says_so(event: str, day: date, words: str, other: str) -> None:
    """With the date that the other reading leads to; `earliest_deadline` is never later than any of them."""
    said = told(day, event)
    (warning,) = [text for text in said["warnings"] if words in text]
    assert warning.startswith("A regra não é certa")
    assert other in warning
    assert said["earliest_deadline"] <= said["deadline"]


@pytest.mark.parametrize("event", SERVICES)
def test_every_answer_names_its_source_and_when_it_came_into_force(event: Service) -> None:
    """The resolution by number, and a warning for a date before 16 May 2025."""
    said = told(date(2026, 3, 9), event)
    assert set(LAW[event]) <= set(said["law"])
    assert any("569/2024" in law for law in said["law"])
    assert not any("16/05/2025" in text for text in said["warnings"])
    assert any("16/05/2025" in text for text in told(IN_FORCE - timedelta(1), event)["warnings"])
    json.dumps(said)


def test_publication_in_the_djen_names_the_resolution() -> None:
    """What the journal made available counts from its publication, whatever else told of it (art. 11, § 3)."""
    assert any("art. 11, § 3º" in law for law in told(date(2026, 3, 9), "disponibilizacao")["law"])
    assert not any("art. 11" in law for law in told(date(2024, 3, 8), "disponibilizacao")["law"])


@given(DAYS, st.sampled_from(RUNNING), st.integers(1, 60))
@settings(deadline=None)
def test_a_deadline_begins_after_the_party_is_served(day: date, event: Service, days: int) -> None:
    """On a business day; the day of service is never counted."""
    calendar = Calendar({})
    found = count(day, event, days, calendar)
    when = served(day, event, calendar)
    assert when is not None
    assert day <= when.day < found.begins <= found.ends
    assert calendar.suspended(found.begins) is None


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, ["data", "evento", "dias"]),
        ({"dias": 15}, ["data", "evento"]),
        ({"data": "2026-03-09", "dias": 15}, ["evento"]),
        ({"data": "2026-03-09", "evento": "publicacao", "dias": 15}, None),
    ],
)
def test_what_is_not_known_is_asked_for(given: dict[str, Any], needed: list[str] | None) -> None:
    """No date, event or number of days is ever assumed."""
    question = missing(given)
    assert (question and question["missing"]) == needed
    if question is not None:
        assert question["deadline"] is None
        assert question["explanation"].startswith("Para calcular o vencimento preciso saber: ")
