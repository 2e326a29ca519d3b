"""The one judgement: what is measured goes in, the state and its reasons come out."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from rom_core.gate.verdict import DOUBT, chance_of
from rom_core.telemetry.health import REASONS, SURE_IN_A_ROW, Reason, Signs, Span, judge, worst

DOCS = Path(__file__).parents[3]
GOOD = Span(ok=30, attempts=40)


def spans(ok: int, failed: int, *, later: int = 0) -> dict[str, Any]:
    """A minute of turns, with no others in the five but `later` good ones."""
    codes = {"upstream_unavailable": failed} if failed else {}
    return {"minute": Span(ok, codes), "five": Span(ok + later, codes)}


@pytest.mark.parametrize(
    ("signs", "state", "names"),
    [
        ({}, "well", []),
        ({"minute": GOOD, "five": GOOD}, "well", []),
        ({"bedrock_enabled": False}, "down", ["bedrock_off"]),
        (spans(5, 1), "well", []),
        (spans(39, 2), "well", []),
        (spans(38, 2), "degraded", ["failed_turns"]),
        (spans(8, 2), "degraded", ["failed_turns"]),
        (spans(3, 2), "degraded", ["failed_turns"]),
        (spans(2, 2), "down", ["failed_turns"]),
        (spans(30, 4) | {"row": -4}, "degraded", ["failed_turns"]),
        (spans(30, 5) | {"row": -5}, "down", ["failed_turns"]),
        (spans(30, 4) | {"row": -9}, "degraded", ["failed_turns"]),
        (spans(4, 40) | {"row": 4}, "down", ["failed_turns"]),
        (spans(5, 40) | {"row": 5}, "degraded", ["failed_turns"]),
        (spans(0, 6), "down", ["failed_turns"]),
        ({"minute": Span(), "five": Span(2, {"upstream_timeout": 4}), "row": -1}, "down", ["failed_turns"]),
        ({"minute": Span(), "five": Span(2, {"upstream_timeout": 4}), "row": 1}, "well", []),
        ({"minute": Span(1), "five": Span(2, {"upstream_timeout": 4})}, "well", []),
        ({"minute": Span(30, {"x": 1}), "five": Span(200, {"x": 3})}, "degraded", ["failed_turns"]),
        ({"minute": Span(30, {"x": 1}), "five": Span(200, {"x": 2})}, "well", []),
        ({"minute": Span(30, {"x": 1}), "five": Span(297, {"x": 3})}, "well", []),
        ({"minute": Span(30), "five": Span(200, {"x": 3})}, "well", []),
        ({"minute": Span(39, refused={"queue_full": 2})}, "well", []),
        ({"minute": Span(38, refused={"queue_full": 2})}, "degraded", ["refused_turns"]),
        ({"minute": Span(0, refused={"memory_pressure": 2})}, "down", ["refused_turns"]),
        ({"store": "unwritable: disk full"}, "degraded", ["store"]),
        ({"memory_ratio": 0.75}, "well", []),
        ({"memory_ratio": 0.76}, "degraded", ["memory"]),
        ({"five": Span(9, attempts=20, throttled=1)}, "well", []),
        ({"five": Span(9, attempts=20, throttled=2)}, "degraded", ["throttling"]),
        ({"circuits": {"anthropic.first": "open"}}, "degraded", ["circuit"]),
        ({"minute": Span(9, attempts=15, failed_attempts=3)}, "degraded", ["failed_requests"]),
        ({"minute": Span(9, attempts=16, failed_attempts=3)}, "well", []),
        ({"minute": Span(9, attempts=9, failed_attempts=2)}, "well", []),
        ({"buckets": {45.0: 5, math.inf: 7}}, "degraded", ["slow_turns"]),
        ({"buckets": {45.0: 6, math.inf: 8}}, "well", []),
        ({"draining": True}, "degraded", ["draining"]),
        (spans(0, 6) | {"circuits": {"m": "open"}, "draining": True}, "down", ["failed_turns", "circuit", "draining"]),
        ({"memory_ratio": 0.8} | spans(30, 2), "degraded", ["failed_turns", "memory"]),
    ],
)
def test_the_state_and_its_reasons(signs: dict[str, Any], state: str, names: list[str]) -> None:
    """Each sign by itself, at its threshold and below, and several at once: the gravest first."""
    found = judge(Signs(**signs))
    assert (worst(found), [reason.name for reason in found]) == (state, names)


def test_a_reason_says_how_much_and_of_what_kind() -> None:
    """Shares with their counts, the codes of the errors by how often, the models without requests."""
    codes = {"upstream_timeout": 1, "upstream_unavailable": 9, "circuit_open": 2}
    found = judge(
        Signs(
            minute=Span(3, codes, {"queue_full": 5}, attempts=40, failed_attempts=38),
            five=Span(3, codes, attempts=40, throttled=20),
            memory_ratio=0.914,
            circuits={"anthropic.b": "forced", "anthropic.a": "open"},
            store="unwritable: disk full",
            waiting=4,
        )
    )
    assert [reason.text for reason in found] == [
        "12 of 15 turns of the last minute failed (upstream_unavailable 9, circuit_open 2, upstream_timeout 1)",
        "5 of 20 turns of the last minute were refused (queue_full), 4 wait",
        "the store: unwritable: disk full",
        "91 % of the memory limit is used",
        "Bedrock throttled 50 % of 40 requests of 5 minutes",
        "anthropic.a, anthropic.b (forced) get no requests, the circuits are open",
        "38 of 40 requests to models of the last minute failed",
    ]


def test_five_in_a_row_are_surely_more_than_a_half() -> None:
    """By the statistics of the gate; so an outage is down although most turns of the minute went well before it."""
    assert chance_of(SURE_IN_A_ROW, SURE_IN_A_ROW, 0.5) < DOUBT <= chance_of(SURE_IN_A_ROW - 1, SURE_IN_A_ROW - 1, 0.5)
    [reason] = judge(Signs(minute=Span(30, {"x": 6}), row=-6))
    assert reason.text == "6 of 36 turns of the last minute failed (x), the last 6 in a row"
    [alone] = judge(Signs(minute=Span(0, {"x": 6}), row=-6))
    assert alone.text == "6 of 6 turns of the last minute failed (x)"
    [over] = judge(Signs(minute=Span(7, {"x": 50}), row=7))
    assert over.text == "50 of 57 turns of the last minute failed (x), the last 7 went well"


def test_a_person_has_to_act_unless_it_passes_by_itself_or_is_meant() -> None:
    """Requests whose failure retries hide, a server that stops, a circuit that somebody holds open."""
    quiet = judge(Signs(circuits={"m": "forced"}, draining=True, minute=Span(9, attempts=9, failed_attempts=9)))
    assert [(reason.name, reason.act) for reason in quiet] == [
        ("circuit", False),
        ("failed_requests", False),
        ("draining", False),
    ]
    assert all(reason.act for reason in judge(Signs(circuits={"m": "open"}, bedrock_enabled=False, store="lost: gone")))


@pytest.mark.parametrize("name", REASONS)
def test_every_reason_has_its_page(name: str) -> None:
    """The heading that a reason points to is in the documentation."""
    path, _, anchor = Reason(name, "degraded", "").page.partition("#")
    headings = re.findall(r"^#+ (.+)$", (DOCS / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
