"""Increases between scrapes: restarts, gaps, several instances, missing series."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapes import Served
from support import make_runtime

from rom_core.gate import BadScrape, Figures, Scrape, Window, parse
from rom_core.gate.figures import TURN_ROUTES
from rom_core.http.app import create_app
from rom_core.http.routes.count_tokens import CountTokensResource


def test_totals_from_before_the_window_do_not_count() -> None:
    """Only what came after the first scrape; health checks and other routes never."""
    server, window = Served(), Window(10)
    server.serve(500, status="error")
    window.add(server.scrape(0))
    server.serve(7)
    server.serve(2, status="error")
    window.add(server.scrape(10))
    figures = window.figures
    assert (figures.turns["ok"], figures.turns["error"], figures.attempts["ok"]) == (7, 2, 9)
    assert (figures.watched, figures.scrapes, figures.restarts) == (10, 2, 0)


@pytest.mark.parametrize("route", TURN_ROUTES)
def test_every_route_that_runs_turns_counts(route: str) -> None:
    """Whatever API its client speaks, a lawyer waits for the answer."""
    server, window = Served(route=route), Window(10)
    window.add(server.scrape(0))
    server.serve(7)
    server.serve(2, status="error")
    window.add(server.scrape(10))
    assert (window.figures.turns["ok"], window.figures.turns["error"]) == (7, 2)
    assert window.figures.buckets[math.inf] == 7


def test_the_routes_that_count_are_those_that_run_turns() -> None:
    """Of all that the app serves; counting tokens takes a place in line but runs no turn."""
    runtime, _ = make_runtime()
    resources = create_app(runtime).resources
    runtime.stop()
    assert {route for route, found in resources.items() if getattr(found, "takes_turns", False)} == {
        *TURN_ROUTES,
        CountTokensResource.route,
    }


def test_a_restart_starts_counting_from_zero() -> None:
    """Nothing is lost that was scraped, nothing is counted twice, nothing is negative."""
    server, window = Served(), Window(10)
    window.add(server.scrape(0))
    server.serve(20)
    window.add(server.scrape(10))
    server.restart()
    server.serve(3)
    window.add(server.scrape(20))
    assert window.figures.turns["ok"] == 23
    assert window.figures.buckets[math.inf] == 23
    assert window.figures.restarts == 1


def test_a_restart_that_the_counters_have_outgrown_is_seen() -> None:
    """The time the process began tells, where the totals look like plain growth."""
    server, window = Served(), Window(10)
    server.serve(5)
    window.add(server.scrape(0))
    server.restart()
    server.serve(8)
    window.add(server.scrape(10))
    assert window.figures.turns["ok"] == 8
    assert window.figures.restarts == 1


def test_one_counter_that_fell_restarts_all_of_them() -> None:
    """A server that does not say when it began: those that have grown began anew as well."""
    server, window = Served(without=("process_start_time",)), Window(10)
    server.serve(5)
    server.serve(5, status="error")
    window.add(server.scrape(0))
    server.turns["error"] = 0
    server.serve(4)
    window.add(server.scrape(10))
    assert (window.figures.turns["ok"], window.figures.turns["error"]) == (9, 0)


def test_a_series_that_appears_later_counts_from_zero() -> None:
    """Its first value is its increase."""
    server, window = Served(), Window(10)
    window.add(server.scrape(0))
    server.turns["cancelled"] = 3
    window.add(server.scrape(10))
    assert window.figures.turns["cancelled"] == 3


@pytest.mark.parametrize(
    "line",
    [
        'status="ok"',
        'status="error"',
        'status="rejected"',
        "duration_seconds_bucket",
        'outcome="throttled"',
        "memory",
        "instance_info",
    ],
)
def test_a_missing_series_is_reported(line: str) -> None:
    """In whichever scrape it is missing."""
    server, window = Served(), Window(10)
    window.add(server.scrape(0))
    assert not window.figures.missing
    server.without = (line,)
    window.add(server.scrape(10))
    server.without = ()
    window.add(server.scrape(20))
    assert window.figures.missing


def test_not_a_number_is_missing_and_is_never_added() -> None:
    """NaN would poison every sum and make every comparison false."""
    server, window = Served(), Window(10)
    window.add(server.scrape(0))
    server.serve(4)
    text = server.text.replace('status="error"} 0', 'status="error"} NaN').replace("ratio 0.4", "ratio NaN")
    window.add(parse(text, 10))
    window.add(server.scrape(20))
    figures = window.figures
    assert len(figures.missing) == 2
    assert (figures.turns["ok"], figures.turns.get("error", 0), figures.memory) == (4, 0, 0.4)


def test_a_memory_ratio_of_zero_is_unknown() -> None:
    """That is what the server exposes where it finds no limit."""
    window = Window(10)
    window.add(Served(memory=0.0).scrape(0))
    assert window.figures.missing == {"rom_memory_used_ratio"}


def test_memory_is_judged_at_its_highest() -> None:
    """Not at the last look."""
    server, window = Served(), Window(10)
    for at, server.memory in ((0, 0.4), (10, 0.8), (20, 0.5)):
        window.add(server.scrape(at))
    assert window.figures.memory == 0.8


def test_another_instance_is_noticed() -> None:
    """Between two scrapes or within one."""
    window = Window(10)
    window.add(Served(instance="a").scrape(0))
    assert not window.figures.mixed
    window.add(Served(instance="b").scrape(10))
    assert window.figures.mixed
    both = Window(10)
    both.add(parse(Served(instance="a").text + 'rom_instance_info{instance="b",version="1"} 1\n', 0))
    assert both.figures.mixed


def test_time_nobody_watched_is_not_counted_as_watched() -> None:
    """What was counted in a gap still counts; the time does not."""
    server, window = Served(), Window(10)
    for at in (0, 10, 100, 110):
        server.serve(1)
        window.add(server.scrape(at))
    assert window.figures.watched == 20
    assert window.figures.turns["ok"] == 3


@pytest.mark.parametrize(
    ("first", "moments", "watched"),
    [
        # (resumed, restart) before each further look, ten seconds apart
        (0, [(0, False), (0, False)], 20),
        (0, [(1, False), (1, False)], 10),
        (0, [(1, False), (2, False)], 0),
        (0, [(0, True), (0, False)], 20),
        (0, [(1, True), (1, False)], 10),
        (1, [(1, False), (0, True)], 20),
        (1, [(1, True), (1, False)], 10),
    ],
)
def test_time_in_which_nothing_was_counted_is_not_watched(
    first: int, moments: list[tuple[int, bool]], watched: float
) -> None:
    """However short: the totals of before and after join as if nothing had happened. Also in a process that is new."""
    server, window = Served(resumed=first), Window(10)
    window.add(server.scrape(0))
    for number, (server.resumed, restart) in enumerate(moments, start=1):
        if restart:
            resumed = server.resumed
            server.restart()
            server.resumed = resumed
        window.add(server.scrape(10.0 * number))
    assert window.figures.watched == watched


def test_a_start_time_that_is_no_number_is_no_restart() -> None:
    """NaN differs from itself: each look would be a restart, and two of them a fail."""
    server, window = Served(began=math.nan), Window(10)
    for at in (0, 10, 20):
        server.serve(3)
        window.add(server.scrape(at))
    assert (window.figures.restarts, window.figures.turns["ok"]) == (0, 6)


def test_a_cohort_is_judged_by_its_own_turns() -> None:
    """Those of the other one are left out."""
    for cohort, expected in (("canary", 5), ("stable", 0), (None, 5)):
        server, window = Served(cohort="canary"), Window(10, cohort)
        window.add(server.scrape(0))
        server.serve(5)
        window.add(server.scrape(10))
        assert window.figures.turns.get("ok", 0) == expected


def test_several_processes_add_up_and_the_worst_decides() -> None:
    """Counts are sums; memory, time and trouble are of whoever is worst off."""
    together = Figures.together(
        [
            Figures(turns={"ok": 2}, buckets={1.0: 1}, memory=0.5, watched=60, scrapes=7),
            Figures(turns={"ok": 3, "error": 1}, memory=0.7, watched=50, scrapes=6, mixed=True, missing=frozenset("x")),
        ]
    )
    assert together.turns == {"ok": 5, "error": 1}
    assert (together.memory, together.watched, together.scrapes, together.mixed) == (0.7, 50, 6, True)
    assert together.missing == {"x"}


@pytest.mark.parametrize("text", ["<html>", 'rom_requests_total{status="ok"', "rom_requests_total x"])
def test_what_is_no_prometheus_text_is_refused(text: str) -> None:
    """A proxy's page is not an empty scrape."""
    with pytest.raises(BadScrape):
        parse(text, 0)


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=20))
def test_increases_are_exact_whatever_the_order_of_turns_and_restarts(steps: list[tuple[int, bool]]) -> None:
    """Sum of everything served after the first look; a restart loses only what no look has seen."""
    server, window, expected = Served(), Window(1), 0
    server.serve(3)
    window.add(server.scrape(0))
    for at, (turns, restart) in enumerate(steps, start=1):
        if restart:
            server.restart()
        server.serve(turns)
        expected += turns
        window.add(server.scrape(at))
    assert window.figures.turns["ok"] == window.figures.buckets[math.inf] == expected


def test_nothing_is_a_window_too() -> None:
    """No scrape, no figures, no exception."""
    window = Window(10)
    window.fail()
    assert (window.figures.scrapes, window.figures.failed, window.figures.memory) == (0, 1, None)
    window.add(Scrape(0, {}))
    assert len(window.figures.missing) == 8
