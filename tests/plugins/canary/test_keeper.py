"""What the keeper does with the flags, the disk, the events."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from canary_support import ANA, BLOCK, Bench
from sqlalchemy import text
from structlog.testing import capture_logs
from support import make_turn

from plugins.canary.kept import KeptRollout
from rom_core.errors import CanaryConflict, Forbidden, InternalError, InvalidRequest, StoreUnavailable
from rom_core.events import TurnFinished
from rom_core.flags import Author
from rom_core.settings import InvalidSettings, Problem
from rom_core.store.sqlite.store import SqliteStore


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


def test_a_rollout_survives_a_restart(either_bench: Bench) -> None:
    """Phase, window and figures go on in the next process, whose stop before lost nothing."""
    bench = either_bench
    bench.keeper.begin(BLOCK, ANA)
    bench.look(2)
    bench.keeper.stop()
    bench.served.restart(closed=True)
    bench.start()
    assert bench.keeper.view["rollout"]["watched_seconds"] == 300
    assert bench.percent == 10
    bench.look(2)
    assert bench.keeper.view["rollout"]["gate"] == "pass"
    assert bench.keeper.view["rollout"]["judged"]["cohorts"]["canary"]["restarts"] == 0


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


def test_an_abort_needs_no_store(bench: Bench) -> None:
    """The flags are withdrawn also while nothing can be written or a settings file is broken."""
    bench.keeper.begin(BLOCK, ANA)
    bench.site.store.broken = True
    bench.site.write("not toml")
    bench.keeper.abort(Author("bia", "now"))
    assert bench.percent is None
    assert bench.keeper.view["rollout"]["status"] == "aborted"


def test_what_cannot_be_kept_is_said_and_tried_again(bench: Bench, tmp_path: Path) -> None:
    """`durable` is false until the next look can write; nothing of the trail is lost."""
    bench.keeper.begin(BLOCK, ANA)
    database = tmp_path / "state" / "rom.db"
    database.rename(database.with_suffix(".away"))
    database.mkdir()
    bench.keeper.hold(ANA, held=True)
    assert bench.keeper.view["durable"] is False
    database.rmdir()
    database.with_suffix(".away").rename(database)
    bench.look()
    assert bench.keeper.view["durable"] is True
    assert [entry["action"] for entry in bench.keeper.trail(9)] == ["held", "started"]


@pytest.mark.parametrize("stopped", [False, True])
def test_an_end_that_could_not_be_kept_is_tried_again(bench: Bench, tmp_path: Path, stopped: bool) -> None:
    """At the next look, or when the process ends: the next one must not find the rollout running."""
    bench.keeper.begin(BLOCK, ANA)
    database = tmp_path / "state" / "rom.db"
    database.rename(database.with_suffix(".away"))
    database.mkdir()
    bench.keeper.abort(Author("bia", "smoke"))
    assert bench.keeper.view["durable"] is False
    database.rmdir()
    database.with_suffix(".away").rename(database)
    if stopped:
        bench.keeper.stop()
    else:
        bench.look()
        assert bench.keeper.view["durable"] is True
    bench.start()
    assert bench.percent is None
    assert bench.keeper.view["rollout"]["status"] == "aborted"
    assert [(entry["action"], entry["by"]) for entry in bench.keeper.trail(9)] == [
        ("aborted", "bia"),
        ("started", "ana"),
    ]


def test_an_end_is_kept_only_with_the_withdrawal_of_its_flags(bench: Bench) -> None:
    """A canary that a restart brings back is one that a rollout judges; once both are on disk, it stays away."""
    bench.keeper.begin(BLOCK, ANA)
    bench.site.store.broken = True
    bench.keeper.abort(Author("bia", "smoke"))
    assert (bench.percent, bench.keeper.view["durable"]) == (None, False)
    bench.site.store.broken = False
    bench.start()
    assert (bench.percent, bench.keeper.view["rollout"]["status"]) == (10, "running")
    bench.site.store.broken = True
    bench.keeper.abort(Author("bia", "smoke"))
    bench.site.store.broken = False
    bench.look()
    assert bench.keeper.view["durable"] is True
    bench.start()
    assert (bench.percent, bench.keeper.view["rollout"]["status"]) == (None, "aborted")
    assert [entry["action"] for entry in bench.keeper.trail(9)] == ["aborted", "started"]


@pytest.mark.parametrize("column", ["value", "checksum"])
def test_a_damaged_record_withdraws_the_canary(either_bench: Bench, column: str) -> None:
    """Its state is unknown if what is stored is not what was written."""
    bench = either_bench
    bench.keeper.begin(BLOCK, ANA)
    bench.keeper.stop()
    statement = text(f"UPDATE canary_rollout SET {column} = {column} || ' '")
    bench.store.write(lambda connection: connection.execute(statement))
    bench.start()
    assert (bench.percent, bench.keeper.view["rollout"]) == (None, None)
    bench.keeper.begin(BLOCK, ANA)


def test_a_damaged_database_keeps_the_rollout(bench: Bench, tmp_path: Path) -> None:
    """It is in the good copy, trail and all."""
    bench.keeper.begin(BLOCK, ANA)
    bench.look(2)
    bench.keeper.stop()
    (tmp_path / "state" / "rom.db").write_bytes(b"damaged" * 1000)
    bench.start()
    assert (bench.percent, bench.keeper.view["rollout"]["status"]) == (10, "running")
    assert [entry["action"] for entry in bench.keeper.trail(9)] == ["started"]


def test_a_record_that_cannot_be_read_withdraws_the_canary(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a damaged one: a canary that nobody judges is no rollout; once it can be read again, it has ended."""

    def away(*_: object) -> None:
        raise StoreUnavailable("told to fail")

    bench.keeper.begin(BLOCK, ANA)
    bench.keeper.stop()
    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "read", away)
        bench.start()
        assert (bench.percent, bench.keeper.view) == (None, {"rollout": None, "durable": False})
        bench.keeper.stop()
    bench.start()
    bench.look()
    assert (bench.percent, bench.keeper.view["rollout"]["status"]) == (None, "aborted")


def test_a_rollout_that_cannot_be_kept_does_not_start(bench: Bench, tmp_path: Path) -> None:
    """After a restart nobody would know of it: its canary would be in force, and never be judged."""
    (tmp_path / "state" / "rom.db").unlink()
    (tmp_path / "state" / "rom.db").mkdir()
    with pytest.raises(StoreUnavailable):
        bench.keeper.begin(BLOCK, ANA)
    assert (bench.percent, bench.keeper.view["rollout"], bench.told) == (None, None, [])


def test_a_process_that_dies_while_it_starts_a_rollout_leaves_none(bench: Bench) -> None:
    """The record is written before the flags are set: the next process finds a rollout without canary, and ends it."""

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    change, bench.flags.change = bench.flags.change, die  # type: ignore[method-assign, assignment]
    with pytest.raises(Killed):
        bench.keeper.begin(BLOCK, ANA)
    bench.flags.change = change  # type: ignore[method-assign]
    bench.start()
    assert bench.keeper.view["rollout"]["status"] == "running"
    bench.look()
    assert (bench.percent, bench.keeper.view["rollout"]["status"]) == (None, "aborted")


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


def test_a_record_of_something_else_is_refused(bench: Bench) -> None:
    """A state that this version cannot read is as good as damaged."""
    bench.keeper.begin(BLOCK, ANA)
    bench.keeper.stop()
    KeptRollout(bench.store, bench.runtime.fleet, bench.runtime.clock).write({}, [])
    bench.start()
    assert bench.percent is None


EARLIER = """
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL);
CREATE TABLE entries (number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, by TEXT NOT NULL,
    action TEXT NOT NULL, why TEXT NOT NULL, details TEXT NOT NULL);
"""


def test_a_rollout_of_an_earlier_release_goes_on(either_bench: Bench, tmp_path: Path) -> None:
    """Its canary.db is read in once, trail and all, and put away under another name."""
    bench = either_bench
    bench.keeper.begin(BLOCK, ANA)
    bench.look(2)
    rows = bench.store.read(lambda connection: connection.execute(text("SELECT value FROM canary_rollout")).all())
    trail = bench.keeper.trail(9)
    bench.keeper.stop()
    bench.store.write(lambda connection: connection.execute(text("DELETE FROM canary_rollout")))
    bench.store.write(lambda connection: connection.execute(text("DELETE FROM canary_entries")))
    path = tmp_path / "state" / "canary.db"
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(EARLIER)
        connection.execute("INSERT INTO state VALUES (1, ?)", (rows[0][0],))
        for entry in reversed(trail):
            row = [entry[name] for name in ("at", "by", "action", "why")]
            connection.execute("INSERT INTO entries VALUES (NULL, ?, ?, ?, ?, ?)", (*row, json.dumps(entry["details"])))
    bench.start()
    assert (bench.percent, bench.keeper.view["rollout"]["status"]) == (10, "running")
    assert bench.keeper.trail(9) == trail
    assert {each.name for each in path.parent.iterdir() if "canary" in each.name} == {"canary.db.imported"}


def test_one_that_is_damaged_withdraws_the_canary(bench: Bench, tmp_path: Path) -> None:
    """It is put aside, and the next start does not stumble over it."""
    bench.flags.change({"canary": BLOCK, "CANARY_PERCENT": 10}, ANA)
    bench.keeper.stop()
    (tmp_path / "state" / "canary.db").write_bytes(b"damaged" * 1000)
    bench.start()
    assert bench.percent is None
    assert (tmp_path / "state" / "canary.db.damaged").exists()


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
