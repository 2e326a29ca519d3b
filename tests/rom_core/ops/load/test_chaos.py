"""Trouble on purpose: each kind once, undone, counted, and the next only after recovery."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rom_core.concurrency.clock import FakeClock
from rom_core.gate import Outcome, Scrape, Thresholds
from rom_core.ops.load import run
from rom_core.ops.load.chaos import FAULTS, Chaos
from rom_core.ops.load.judging import verdict_on
from rom_core.ops.load.limit import Limit, find_limit
from rom_core.ops.load.page import page
from rom_core.ops.load.player import Turn
from rom_core.ops.load.recording import Recording


class Upstream:
    """Remembers its orders."""

    def __init__(self) -> None:
        self.orders: list[str | None] = []

    def set_always(self, behaviour: str | None) -> None:
        """An order, or the end of one."""
        self.orders.append(behaviour)


class Server:
    """Ends as soon as it is told."""

    running = True
    starts = 0

    def terminate(self) -> None:
        """SIGTERM."""
        self.running = False

    def start(self) -> None:
        """Again."""
        self.running = True
        self.starts += 1


def turn(at: float, status: str = "ok") -> Turn:
    """One of a second."""
    return Turn(at, "short", status, "" if status == "ok" else "x", 1.0, 0.5, (), 10, "", "")


def test_every_trouble_comes_once_and_is_undone() -> None:
    """In order; failed turns and the time to recover stand beside each; at the end nothing is left on."""
    clock, upstream, server = FakeClock(), Upstream(), Server()
    chaos = Chaos(upstream, server, clock)
    recording = Recording("u", 10, 1000.0, clock.time(), stand_in=True)
    for _ in range(500):
        disturbed = chaos.step(recording)
        current = recording.disturbances[-1] if recording.disturbances else None
        failing = disturbed and current is not None and current.ended == current.began
        recording.turns.append(turn(clock.time(), "error" if failing else "ok"))
        clock.advance(2)
    chaos.end(recording)
    assert [one.name for one in recording.disturbances] == list(FAULTS)
    assert [order for order in upstream.orders if order] == [order for order in FAULTS.values() if order]
    assert upstream.orders[-1] is None
    assert (server.starts, server.running, recording.untried) == (1, True, [])
    for one in recording.disturbances:
        assert one.recovered is not None, one
        assert one.failed >= 1, one
        assert one.seconds_to_recover is not None
        assert one.seconds_to_recover < 5
    assert sum(one.failed for one in recording.disturbances) == sum(t.status == "error" for t in recording.turns)


def test_a_run_that_is_too_short_for_it_cannot_be_judged() -> None:
    """What was on is undone and said to be cut short; the rest was not tried."""
    clock, upstream = FakeClock(), Upstream()
    chaos = Chaos(upstream, Server(), clock)
    recording = Recording("u", 10, 100.0, clock.time(), stand_in=True)
    clock.advance(11)
    assert chaos.step(recording)
    chaos.end(recording)
    assert upstream.orders == ["[[fault=429]]", None]
    verdict = verdict_on(recording, Thresholds())
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "too short a run to see it recover: throttling storm" in verdict.reasons
    assert "too short a run to try: SIGTERM" in verdict.reasons


def test_the_limit_is_the_last_step_that_passed() -> None:
    """Half as many users more each time, then between the last two; why not more is told."""
    from rom_core.ops.load.recording import Recording as Run

    tried: list[int] = []

    def step(users: int) -> tuple[Recording, object]:
        tried.append(users)
        run = Run("u", users, 600.0, 1000.0, stand_in=True, elapsed=600.0)
        if users > 12:
            run.turns = [turn(1000.0, "error")] * 40
            return run, verdict_on(run, Thresholds())
        from rom_core.ops.load.judging import LoadVerdict

        return run, LoadVerdict(Outcome.PASS, (), verdict_on(run, Thresholds()).server, {}, ())

    limit = find_limit(5, step)  # type: ignore[arg-type]
    assert tried == [5, 8, 12, 18, 15, 13]
    assert (limit.carried, limit.outcome) == (12, Outcome.PASS)
    assert "with 13 users errors (client): 40 of 40 is surely more than 1.00%" in limit.why
    first = find_limit(18, step)  # type: ignore[arg-type]
    assert (first.carried, first.outcome) == (0, Outcome.FAIL)


def test_a_run_whose_users_do_not_end_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped after a minute and a half, and cannot be judged."""

    class Endless:
        """Users that go on for ever."""

        running = True

        def __init__(self, *_: object) -> None: ...
        def new_turns(self) -> list[Turn]:
            return []

        def end(self) -> None:
            self.running = False

        def check(self) -> None: ...

    clock = FakeClock()
    monkeypatch.setattr(run, "Players", Endless)
    recording = run.run(
        run.Plan(users=1, seconds=60.0),
        "http://127.0.0.1:1",
        stand_in=True,
        scrape=lambda: Scrape(clock.monotonic(), {}),
        clock=clock,
        stop=threading.Event(),
        folder=tmp_path,
        environ={},
    )
    assert recording.stopped == "the users did not come to an end and were stopped"
    assert verdict_on(recording, Thresholds()).outcome is Outcome.INCONCLUSIVE


def test_the_steps_to_the_limit_are_told_with_their_figures() -> None:
    """Users, turns, durations, memory and cost of each; in the report as a table and as plots by users."""
    recording = Recording("u", 4, 10.0, 1000.0, stand_in=True, elapsed=10.0, cost=0.5)
    recording.turns = [turn(1000.0), turn(1001.0), turn(1002.0, "error")]
    verdict = verdict_on(recording, Thresholds())
    step = Limit(((recording, verdict),), 0, "why").as_dict()["steps"][0]
    assert (step["users"], step["turns"], step["failed"], step["turns_per_second"]) == (4, 3, 1, 0.3)
    assert (step["p50"], step["p99"], step["memory_mb"], step["cost_an_answer"]) == (1.0, 1.0, None, 0.25)
    text = page(recording, verdict, "rom load", (), [step])
    assert "<th>cost an answer</th>" in text
    assert "Duration of good turns by users" in text
