"""What the keeper has on disk: a rollout survives a restart, and one that nobody can judge is withdrawn."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from canary_support import ANA, BLOCK, Bench
from sqlalchemy import text

from plugins.canary.kept import KeptRollout
from rom_core.errors import StoreUnavailable
from rom_core.flags import Author
from rom_core.store.sqlite.store import SqliteStore


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
