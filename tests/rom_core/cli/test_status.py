"""`rom status`: what it prints, how it ends, what it says of a server that cannot be asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
import responses
from click.testing import CliRunner, Result
from status_support import HEALTHY, SPAN, why

from rom_core.cli import main
from rom_core.cli.status_view import BAD, MIDDLING, WELL, health_lines

URL = "http://rom.test"
FAILING = SPAN | {"failed": 12, "refused": 1, "failed_requests": 15, "throttled": 3}


DOWN = HEALTHY | {
    "state": "down",
    "why": [why("failed_turns", "12 of 24 turns of the last minute failed (x)"), why("circuit", "a: open", act=False)],
    "capacity": "critical",
    "last_minute": FAILING,
    "circuits_open": ["anthropic.a"],
    "waiting": 2,
}


def rom(health: dict[str, Any], *arguments: str, status: int = 200) -> Result:
    """`rom status` against a server that answers so; ROM_URL and ROM_ADMIN_TOKEN say which one and who asks."""
    with responses.RequestsMock() as mock:
        matcher = responses.matchers.header_matcher({"Authorization": "Bearer token-of-an-operator"})
        body = {"health": health} if status == 200 else {"detail": "no", "code": "unauthorized", "trace_id": "t"}
        mock.get(f"{URL}/admin/status", json=body, status=status, match=[matcher])
        environ = {"ROM_URL": URL, "ROM_ADMIN_TOKEN": "token-of-an-operator"}
        return CliRunner().invoke(main, ["status", *arguments], env=environ)


def test_when_all_is_well_it_says_so_and_ends_with_0() -> None:
    """The first line, then the figures of one and of five minutes."""
    done = rom(HEALTHY)
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            "well: 0 of 24 turns of the last minute failed",
            "turns failed     0 of 24 in 1 min, 0 of 120 in 5 min; p95 8.14 s",
            "requests failed  0 of 30 in 1 min, 0 of 150 in 5 min; 0 throttled",
            "turns refused    0 in 1 min, 0 in 5 min; 0 wait",
            "capacity         normal; memory 6 %",
        ],
    )


def test_when_it_is_not_well_it_says_why_and_what_to_do_and_ends_with_1() -> None:
    """Every reason in the first line, the page of each where a person has to act; in a pipe no line is broken."""
    done = rom(DOWN)
    assert done.exit_code == 1
    first, to_do, *figures = done.stdout.splitlines()
    assert first == "down: 12 of 24 turns of the last minute failed (x); a: open"
    assert to_do == "to do            docs/operate.md#failed-turns"
    assert figures == [
        "turns failed     12 of 24 (50 %) in 1 min, 0 of 120 in 5 min; p95 8.14 s",
        "requests failed  15 of 30 (50 %) in 1 min, 0 of 150 in 5 min; 0 throttled",
        "turns refused    1 in 1 min, 0 in 5 min; 2 wait",
        "capacity         critical; memory 6 %",
        "circuits open    anthropic.a",
    ]


def test_red_is_where_a_person_has_to_act() -> None:
    """Green when well; yellow when nobody has to; the pages are red too."""
    minor = HEALTHY | {"state": "degraded", "why": [why("draining", "it stops", act=False)]}
    styles = [[style for _, style in health_lines(health)] for health in (HEALTHY, minor, DOWN)]
    assert [lines[:2] for lines in styles] == [[WELL, ""], [MIDDLING, ""], [BAD, BAD]]


def test_nothing_known_is_said_so() -> None:
    """No turn, no percentile, no limit of memory."""
    span = SPAN | {"turns": 0, "requests": 0}
    health = HEALTHY | {"last_minute": span, "last_5_minutes": span, "p95_seconds": None, "memory_ratio": None}
    lines = [line for line, _ in health_lines(health)]
    assert lines[:2] == ["well: no turn ended in the last minute", "turns failed     0 of 0 in 1 min, 0 of 0 in 5 min"]
    assert "memory unknown" in lines[-1]


@pytest.mark.parametrize(("health", "code"), [(HEALTHY, 0), (DOWN, 1)])
def test_json_is_the_servers_judgement(health: dict[str, Any], code: int) -> None:
    """As GET /admin/status has it, with the same exit code."""
    done = rom(health, "--json")
    assert (json.loads(done.stdout), done.exit_code) == (health, code)


def test_a_server_that_cannot_be_asked_is_not_well() -> None:
    """A wrong token, no server at all: a sentence, and exit code 1."""
    refused = rom(HEALTHY, status=401)
    assert (refused.exit_code, "ROM_ADMIN_TOKEN" in refused.stderr) == (1, True)
    nobody = CliRunner().invoke(main, ["status", "--url", "http://127.0.0.1:1"])
    assert (nobody.exit_code, "no server answers" in nobody.stderr) == (1, True)


def test_watching_is_for_people() -> None:
    """--watch and --json exclude each other."""
    assert CliRunner().invoke(main, ["status", "--watch", "--json", "--url", URL]).exit_code == 2
