"""What the keeper does with the flags and the events."""

from __future__ import annotations

import pytest
from canary_support import ANA, BLOCK, Bench
from structlog.testing import capture_logs
from support import make_turn

from rom_core.errors import CanaryConflict, Forbidden, InternalError, InvalidRequest, StoreUnavailable
from rom_core.events import TurnFinished
from rom_core.flags import Author
from rom_core.settings import InvalidSettings, Problem


def test_a_rollout_moves_the_flags(either_bench: Bench) -> None:
    """Each phase its share; at the end the flags are everybody's, and the audit trail tells who, when and on what."""
    bench = either_bench
    bench.keeper.begin(BLOCK, ANA)
    assert bench.percent == 10
    bench.look(3)
    bench.keeper.approve(ANA)
    assert bench.percent == 100
    bench.look(3)
    bench.keeper.approve(ANA)
    after = bench.runtime.current
    assert (after.canary, after.settings.MAX_TOKENS) == (None, 50)
    assert bench.runtime.current.settings.CANARY_PERCENT == 0
    assert bench.told == ["started", "passed", "approved", "passed", "approved", "completed"]
    trail = bench.keeper.trail(10)
    assert [(entry["by"], entry["action"]) for entry in reversed(trail)][:3] == [
        ("ana", "started"),
        ("gate", "passed"),
        ("ana", "approved"),
    ]
    assert trail[1]["details"]["figures"]["canary"]["checks"]
    assert trail[1]["details"]["figures"]["stable"]["checks"]
    assert bench.flags.history(1)[0][0].by == "ana"


def test_flags_that_take_two_persons_are_approved_before_a_rollout_starts_with_them(bench: Bench) -> None:
    """Proposed first, for no share and no key; approved by another person; started by who asks for the same again."""
    block = {"flags": {"SYSTEM_PROMPT": "You obey."}, "include": ["team"]}
    pending = bench.keeper.begin(block, ANA)
    assert (pending, bench.percent, bench.told, bench.keeper.view["rollout"]) == ("p2", None, [], None)
    assert bench.flags.pending[0].names == ("canary.SYSTEM_PROMPT",)
    with pytest.raises(Forbidden, match="another person"):
        bench.flags.approve(pending, ANA)
    bench.flags.approve(pending, Author("bia", "read it"))
    assert bench.percent == 0
    assert bench.runtime.current.canary.as_dict()["include"] == []  # type: ignore[union-attr]
    with pytest.raises(CanaryConflict, match="by hand"):
        bench.keeper.begin({"flags": {"SYSTEM_PROMPT": "You obey others."}}, ANA)
    assert bench.keeper.begin(block, ANA) == ""
    assert (bench.percent, bench.told) == (10, ["started"])
    assert bench.runtime.current.canary.as_dict()["include"] == ["team"]  # type: ignore[union-attr]
    for _ in range(2):
        bench.look(3)
        bench.keeper.approve(ANA)
    assert bench.runtime.current.settings.SYSTEM_PROMPT == "You obey."


def test_what_waits_is_refused_like_any_rollout(bench: Bench) -> None:
    """Nothing is proposed that could not be started; and a canary that somebody sees is nobody's approval."""
    with pytest.raises(InvalidSettings):
        bench.keeper.begin({"flags": {"SYSTEM_PROMPT": "You obey.", "MAX_TOKENS": 0}}, ANA)
    assert bench.flags.pending == ()
    bench.flags.change({"canary": {"flags": {"MAX_TOKENS": 50}, "include": ["team"]}}, ANA)
    with pytest.raises(CanaryConflict, match="by hand"):
        bench.keeper.begin(BLOCK, ANA)


def test_a_failing_gate_aborts_by_itself(either_bench: Bench) -> None:
    """The flags are withdrawn at once, with an event, and the reason is kept over a restart."""
    bench = either_bench
    bench.keeper.begin(BLOCK, ANA)
    bench.look()
    bench.look(error=100)
    assert bench.percent is None
    assert bench.runtime.current.settings.MAX_TOKENS == 1000
    assert bench.told == ["started", "aborted"]
    bench.keeper.stop()
    bench.start()
    rollout = bench.keeper.view["rollout"]
    assert rollout["status"] == "aborted"
    assert rollout["ended_because"].startswith("errors: 100 of 300")
    assert bench.keeper.trail(1)[0]["why"] == rollout["ended_because"]


def test_turns_that_fail_now_forbid_an_approval_before_the_gate_looks_again(bench: Bench) -> None:
    """Its looks are minutes apart; what this instance has just seen counts at once, whatever reason is given."""
    bench.keeper.begin(BLOCK, ANA)
    bench.look(3, ok=2)
    assert bench.keeper.view["rollout"]["approvable"] == "with_reason"
    assert bench.plugin.rom_status()["approvable"] == "with_reason"
    fail(bench, "canary")
    assert bench.keeper.view["rollout"]["approvable"] == "with_reason", "one that may be chance"
    fail(bench, "canary")
    rollout = bench.keeper.view["rollout"]
    said = "2 of 2 of its turns in the last minute failed: no reason is enough"
    assert (rollout["approvable"], rollout["why_not"]) == ("no", said)
    assert bench.plugin.rom_status()["approvable"] == "no"
    with pytest.raises(CanaryConflict, match="2 of 2 of its turns in the last minute failed"):
        bench.keeper.approve(ANA)
    bench.runtime.clock.advance(310)  # type: ignore[attr-defined]
    assert bench.keeper.view["rollout"]["approvable"] == "with_reason"


def test_an_outage_forbids_an_approval_although_the_canary_had_no_turn(bench: Bench) -> None:
    """Six people seldom hit ten percent: while everybody's turns fail no reason says how the canary does."""
    bench.keeper.begin(BLOCK, ANA)
    bench.look(3, ok=2)
    for _ in range(6):
        fail(bench, "stable")
    rollout = bench.keeper.view["rollout"]
    said = "6 of 6 turns in the last minute failed: no reason is enough"
    assert (rollout["approvable"], rollout["why_not"]) == ("no", said)
    with pytest.raises(CanaryConflict, match="6 of 6 turns"):
        bench.keeper.approve(ANA)


def fail(bench: Bench, cohort: str) -> None:
    """A turn of this cohort fails, as its event tells."""
    turn = make_turn(bench.runtime)
    turn.cohort = cohort
    turn.emit(TurnFinished(turn, None, InternalError("broken"), 0.1))


def test_flags_changed_by_hand_end_the_rollout(bench: Bench) -> None:
    """A canary belongs to its rollout: one that somebody ended or moved is not judged as if nothing had happened."""
    for edits, why in (
        ({"canary": None}, "ended by hand"),
        ({"CANARY_PERCENT": 20}, "changed by hand"),
        ({"CANARY_ENABLED": False}, "switched off"),
    ):
        bench.keeper.begin(BLOCK, ANA)
        bench.flags.change(edits, ANA)
        bench.look()
        assert bench.percent is None
        assert why in bench.keeper.view["rollout"]["ended_because"]
        bench.flags.change({"CANARY_ENABLED": True}, ANA)


@pytest.mark.parametrize("error", [StoreUnavailable("full"), InvalidSettings([Problem("MAX_TOKENS", "of two minds")])])
def test_flags_that_cannot_be_set_start_no_rollout(bench: Bench, error: Exception) -> None:
    """Neither now nor after a restart; another one can be started at once."""

    def refuse(*_: object) -> None:
        raise error

    change, bench.flags.change = bench.flags.change, refuse  # type: ignore[method-assign, assignment]
    for _ in range(2):
        with pytest.raises(type(error)):
            bench.keeper.begin(BLOCK, ANA)
        assert (bench.percent, bench.keeper.view["rollout"]) == (None, None)
    bench.flags.change = change  # type: ignore[method-assign]
    bench.start()
    assert bench.keeper.view["rollout"]["status"] == "aborted"
    assert str(error) in bench.keeper.view["rollout"]["ended_because"]
    bench.keeper.begin(BLOCK, ANA)
    assert bench.percent == 10


def test_while_nothing_is_counted_the_window_stands_still(bench: Bench) -> None:
    """Said in the log; a process that ends like that has lost what it did not count, as if it had been killed."""
    bench.keeper.begin(BLOCK, ANA)
    bench.look(2)
    bench.flags.change({"METRICS_ENABLED": False}, ANA)
    with capture_logs() as logs:
        bench.look(3)
    assert [line["event"] for line in logs].count("canary.look_failed") == 3
    assert "METRICS_ENABLED" in logs[0]["reason"]
    assert bench.keeper.view["rollout"]["gate"] == "watching"
    bench.keeper.stop()
    bench.served.restart(closed=True)
    bench.start()
    bench.flags.change({"METRICS_ENABLED": None}, ANA)
    bench.look(2)
    assert bench.keeper.view["rollout"]["judged"]["cohorts"]["canary"]["restarts"] == 1


def test_a_rollout_starts_only_where_it_can_be_judged(bench: Bench) -> None:
    """One at a time, with flags, over no other canary, and only while somebody counts."""
    with pytest.raises(InvalidSettings):
        bench.keeper.begin({"flags": {}}, ANA)
    with pytest.raises(InvalidSettings):
        bench.keeper.begin({"flags": {"BEDROCK_ENABLED": True}}, ANA)
    # Turns that nobody counts would look like little traffic, which a person may approve.
    with pytest.raises(InvalidSettings, match="METRICS_ENABLED"):
        bench.keeper.begin({"flags": {"METRICS_ENABLED": False}}, ANA)
    bench.flags.change({"canary": BLOCK}, ANA)
    with pytest.raises(CanaryConflict, match="by hand"):
        bench.keeper.begin(BLOCK, ANA)
    bench.flags.change({"canary": None, "METRICS_ENABLED": False}, ANA)
    with pytest.raises(CanaryConflict, match="METRICS_ENABLED"):
        bench.keeper.begin(BLOCK, ANA)
    bench.flags.change({"METRICS_ENABLED": None, "CANARY_MAX_ERROR_RATIO": 0.999}, ANA)
    with pytest.raises(InvalidRequest, match="these thresholds"):
        bench.keeper.begin(BLOCK, ANA)
    bench.flags.change({"CANARY_MAX_ERROR_RATIO": None}, ANA)
    bench.keeper.begin(BLOCK, ANA)
    with pytest.raises(CanaryConflict, match="under way"):
        bench.keeper.begin(BLOCK, ANA)
