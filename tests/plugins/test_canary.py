"""The canary: its state machine played through, and what the keeper does with the flags, the disk, the events."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon.testing
import pytest
from flag_support import Site
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapes import Served
from support import Recorder, make_settings

from plugins.canary import CanaryPlugin
from plugins.canary.keeper import Keeper
from plugins.canary.phases import Phase, check_settings, phases_of
from plugins.canary.rollout import Finding, Plan, Rollout
from plugins.flags import FlagsPlugin
from plugins.metrics import Metrics
from rom_core.catalogue import Catalogue
from rom_core.clock import FakeClock
from rom_core.config import InvalidSettings
from rom_core.errors import CanaryConflict, InvalidRequest
from rom_core.events import CanaryAborted, CanaryChanged
from rom_core.flags import Author
from rom_core.gate import Scrape, Thresholds
from rom_core.http.app import create_app
from rom_core.runtime import Runtime

ANA = Author("ana", "looks good")
HOUR = 3600.0
PLAN = Plan(
    {"flags": {"MAX_TOKENS": 50}, "include": [], "salt": ""},
    (Phase(10, 2 * HOUR), Phase(50, 4 * HOUR), Phase(100, 24 * HOUR)),
    Thresholds(),
    600.0,
)


class World:
    """Both cohorts of one process, and the rollout that looks at them every ten minutes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.canary, self.stable = Served(cohort="canary"), Served()
        self.rollout = Rollout(PLAN, self.clock, "ana", "go-live")

    def look(self) -> Finding | None:
        """Look now."""
        at = self.clock.monotonic()
        values = {**self.stable.scrape(at).values, **self.canary.scrape(at).values}
        return self.rollout.look(Scrape(at, values))

    def watch(self, hours: float, ok: int = 0, error: int = 0, stable_error: int = 0) -> list[str]:
        """So many hours with so many turns of the canary in each ten minutes; what was found."""
        found = [self.look()]
        for _ in range(round(hours * 6)):
            self.canary.serve(ok)
            self.canary.serve(error, status="error")
            self.stable.serve(100)
            self.stable.serve(stable_error, status="error")
            self.clock.advance(600)
            found.append(self.look())
        return [finding.action for finding in found if finding is not None]

    def restart(self, *, closed: bool) -> None:
        """Another process goes on with what was kept: other counters, another monotonic clock."""
        kept = json.loads(json.dumps(self.rollout.as_dict(closed=closed)))
        self.clock = FakeClock(start=5.0)
        self.canary, self.stable = Served(began=2000.0, cohort="canary"), Served(began=2000.0)
        self.rollout = Rollout.of(kept, self.clock)


# -- the state machine -----------------------------------------------------------------------------------------------


def test_a_rollout_played_through() -> None:
    """10 % for 2 h, 50 % for 4 h, 100 % for 24 h: each left once the gate has held and a person has approved."""
    world, percents = World(), []
    for hours in (2, 4, 24):
        percents.append(world.rollout.phase.percent)
        assert world.watch(hours - 0.5, ok=30) == []
        with pytest.raises(CanaryConflict, match="whole window"):
            world.rollout.approve("ana", "early")
        assert world.watch(0.5, ok=30) == ["passed"]
        assert world.watch(1, ok=30) == []
        entry = world.rollout.approve("ana", "")
        assert (entry.action, entry.by, entry.details["outcome"]) == ("approved", "ana", "pass")
        assert entry.details["figures"]["canary"]["watched_seconds"] >= hours * HOUR
    assert percents == [10, 50, 100]
    assert world.rollout.status == "completed"


def test_without_an_approval_nothing_goes_on() -> None:
    """However long the gate holds."""
    world = World()
    world.watch(10, ok=30)
    assert (world.rollout.index, world.rollout.status) == (0, "running")


def test_the_canary_is_judged_by_its_own_figures() -> None:
    """A bad canary fails amid a good stable cohort, early; a bad stable cohort does not fail a good canary."""
    bad = World()
    assert bad.watch(1, ok=20, error=3)[0] == "failed"
    good = World()
    assert good.watch(2, ok=50, stable_error=50) == ["passed"]
    judged = good.rollout.judged
    assert judged is not None
    assert {cohort: verdict["outcome"] for cohort, verdict in judged.cohorts.items()} == {
        "canary": "pass",
        "stable": "fail",
    }


def test_a_bad_day_for_both_is_said() -> None:
    """The reason of an abort names the stable cohort's failure beside the canary's own."""
    world = World()
    world.watch(0.5, ok=20, error=20, stable_error=100)
    finding = world.look()
    assert finding is not None
    assert "stable meanwhile: fail" in finding.judged.why
    assert "need not be the canary's doing" in finding.judged.why
    entry = world.rollout.abort("gate", finding.judged.why, finding.judged)
    assert (world.rollout.status, world.rollout.ended_because) == ("aborted", finding.judged.why)
    assert entry.details["figures"]["canary"]["outcome"] == "fail"


def test_too_little_traffic_takes_a_person_with_a_reason() -> None:
    """It is no pass; the window goes on, and traffic that comes later makes it one."""
    world = World()
    assert world.watch(2, ok=2) == ["inconclusive"]
    with pytest.raises(CanaryConflict, match="takes a reason"):
        world.rollout.approve("ana", "")
    assert world.watch(1, ok=2) == []
    later = Rollout.of(world.rollout.as_dict(closed=True), world.clock)
    assert later.approve("ana", "six people, no complaint").details["outcome"] == "inconclusive"
    assert later.phase.percent == 50
    assert world.watch(1, ok=50) == ["passed"]


def test_figures_with_a_hole_cannot_be_approved() -> None:
    """A missing series is not a want of traffic: the window begins anew."""
    world = World()
    world.canary.without = world.stable.without = ("rom_memory_used_ratio",)
    assert world.watch(2, ok=50) == ["inconclusive"]
    with pytest.raises(CanaryConflict, match="not for want of traffic"):
        world.rollout.approve("ana", "never mind")
    world.canary.without = world.stable.without = ()
    assert world.watch(1.5, ok=50) == []
    assert world.rollout.figures("canary").watched < 2 * HOUR


@pytest.mark.parametrize("closed", [True, False])
def test_time_without_data_does_not_count(closed: bool) -> None:
    """What was watched before a restart counts, the time between does not, and figures are added up."""
    world = World()
    world.watch(1.5, ok=50)
    world.restart(closed=closed)
    assert world.rollout.figures("canary").watched == 1.5 * HOUR
    world.clock.advance(10 * HOUR)
    assert world.watch(1 / 3, ok=50) == []
    assert world.watch(1 / 6, ok=50) == ["passed"]
    judged = world.rollout.judged
    assert judged is not None
    assert judged.cohorts["canary"]["restarts"] == (0 if closed else 1)


def test_a_gap_between_two_looks_does_not_count() -> None:
    """Nor looks that failed."""
    world = World()
    world.watch(1, ok=50)
    for _ in range(6):
        world.clock.advance(600)
        world.rollout.look(None)
    assert world.watch(0.5, ok=50) == []
    assert world.rollout.figures("canary").watched == 1.5 * HOUR


def test_processes_that_keep_dying_fail_the_gate() -> None:
    """What each counted at its end is lost: errors could hide there."""
    world = World()
    for _ in range(2):
        world.watch(0.5, ok=50)
        world.restart(closed=False)
    finding = world.watch(1 / 6, ok=50)[0]
    assert finding == "failed"


def test_a_pass_can_be_lost_again() -> None:
    """While it waits for a person the gate goes on watching; a quiet night takes nothing back."""
    world = World()
    world.watch(2, ok=50)
    assert world.watch(6) == []
    world.rollout.may_leave("")
    assert "failed" in world.watch(1, ok=10, error=10)


def test_hold_refuses_approvals() -> None:
    """Until it is released; the gate goes on meanwhile, and what has ended takes no decision."""
    world = World()
    world.rollout.hold("bia", "wait for the lawyers")
    assert world.watch(2, ok=50) == ["passed"]
    with pytest.raises(CanaryConflict, match="held"):
        world.rollout.approve("ana", "")
    with pytest.raises(CanaryConflict):
        world.rollout.hold("bia", "")
    world.rollout.hold("bia", "", held=False)
    world.rollout.approve("ana", "")
    world.rollout.abort("ana", "enough")
    assert world.look() is None
    for decide in (world.rollout.approve, world.rollout.hold, world.rollout.abort):
        with pytest.raises(CanaryConflict, match="has ended"):
            decide("ana", "x")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("watch"), st.integers(0, 60), st.integers(0, 2)),
        st.tuples(st.sampled_from(["approve", "reason", "hold", "release", "crash", "restart", "blind"])),
    ),
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_no_way_leads_past_the_gate(steps: list[tuple[Any, ...]]) -> None:
    """Whatever happens, a phase was left only after its whole window was watched, and by an approval of that window."""
    world, watched = World(), 0.0
    for step, *numbers in steps:
        before = world.rollout.index
        match step:
            case "watch":
                ok, error = numbers
                first = world.clock.monotonic()
                if "failed" in world.watch(1, ok=ok, error=error):
                    return
                watched += world.clock.monotonic() - first
            case "crash" | "restart":
                world.restart(closed=step == "restart")
            case "blind":
                world.clock.advance(10 * HOUR)
            case _:
                reason = "judged by hand" if step == "reason" else ""
                needed = world.rollout.phase.seconds
                try:
                    if step in ("hold", "release"):
                        world.rollout.hold("bia", "", held=step == "hold")
                    else:
                        entry = world.rollout.approve("ana", reason)
                        assert watched >= needed
                        assert entry.details["outcome"] == "pass" or reason
                        watched = 0.0
                except CanaryConflict:
                    assert world.rollout.index == before
        assert step in ("approve", "reason") or world.rollout.index == before
        assert Rollout.of(world.rollout.as_dict(closed=True), world.clock).as_dict(
            closed=True
        ) == world.rollout.as_dict(closed=True)


def test_phases_are_read_strictly() -> None:
    """Shares grow, windows have a length; the default is the one of the plan."""
    declared = make_settings(Catalogue.of(canary=CanaryPlugin()))
    assert phases_of(declared.CANARY_PHASES) == PLAN.phases
    assert phases_of(["5:30s"]) == (Phase(5, 30.0),)
    for wrong in ([], ["10%"], ["0%:1h"], ["50%:1h", "10%:1h"], ["101%:1h"], ["10%:0s"], ["10%:1w"]):
        with pytest.raises(ValueError, match=r"phase|share|window"):
            phases_of(wrong)
    assert check_settings(declared) is None
    with pytest.raises(InvalidSettings):
        make_settings(Catalogue.of(canary=CanaryPlugin()), CANARY_PHASES=["10%"])


# -- the keeper ------------------------------------------------------------------------------------------------------


class Bench:
    """Processes one after another on one folder, each with a keeper that looks when told to."""

    def __init__(self, root: Path) -> None:
        self.site = Site(root)
        self.site.write(
            '[default]\nBEDROCK_ENABLED = true\nMAX_TOKENS = 1000\nSTATE_DIR = "state"\nCANARY_INTERVAL_SECONDS = 300\n'
            'CANARY_PHASES = ["10%:10m", "100%:10m"]\n'
        )
        self.site.environ["RECORDER_ENABLED"] = "true"
        self.served = World()
        self.start()

    def start(self) -> None:
        """A process that starts."""
        self.recorder, self.plugin = Recorder(), CanaryPlugin()
        self.site.plugins = {
            "recorder": self.recorder,
            "flags": FlagsPlugin(),
            "canary": self.plugin,
            "metrics": Metrics(),
        }
        self.runtime, self.flags = self.site.start()
        self.runtime.exposition = self._text
        # By hand: the looks of a test are its own.
        self.keeper._watch = lambda: None  # type: ignore[method-assign]
        self.keeper.start(self.runtime)

    @property
    def keeper(self) -> Keeper:
        """The plugin's."""
        return self.plugin.keeper

    def _text(self) -> bytes:
        return (self.served.stable.text + self.served.canary.text).encode()

    def look(self, times: int = 1, ok: int = 200, error: int = 0) -> None:
        """Looks five minutes apart, with so many turns of the canary before each."""
        for _ in range(times):
            self.served.canary.serve(ok)
            self.served.canary.serve(error, status="error")
            self.runtime.clock.advance(300)  # type: ignore[attr-defined]
            self.keeper.look()

    @property
    def told(self) -> list[str]:
        """Events of the rollout, in order."""
        events = [event for event in self.recorder.events if isinstance(event, CanaryChanged | CanaryAborted)]
        return [event.action if isinstance(event, CanaryChanged) else "aborted" for event in events]

    @property
    def percent(self) -> int | None:
        """Share of the canary in force."""
        canary = self.runtime.current.canary
        return None if canary is None else canary.percent


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A process without a rollout."""
    bench = Bench(tmp_path)
    yield bench
    bench.keeper.stop()
    bench.runtime.stop()


BLOCK = {"flags": {"MAX_TOKENS": 50}}


def test_a_rollout_moves_the_flags(bench: Bench) -> None:
    """Each phase its share; at the end the flags are everybody's, and the audit trail tells who, when and on what."""
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


def test_a_failing_gate_aborts_by_itself(bench: Bench) -> None:
    """The flags are withdrawn at once, with an event, and the reason is kept over a restart."""
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


def test_a_rollout_survives_a_restart(bench: Bench) -> None:
    """Phase, window and figures go on in the next process, whose stop before lost nothing."""
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
    database = tmp_path / "state" / "canary.db"
    database.rename(database.with_suffix(".away"))
    bench.keeper.hold(ANA, held=True)
    assert bench.keeper.view["durable"] is False
    database.with_suffix(".away").rename(database)
    bench.look()
    assert bench.keeper.view["durable"] is True
    assert [entry["action"] for entry in bench.keeper.trail(9)] == ["held", "started"]


def test_a_damaged_record_withdraws_the_canary(bench: Bench, tmp_path: Path) -> None:
    """Nobody knows any more how it does; the file is put aside."""
    bench.keeper.begin(BLOCK, ANA)
    bench.keeper.stop()
    (tmp_path / "state" / "canary.db").write_bytes(b"damaged" * 1000)
    bench.start()
    assert (bench.percent, bench.keeper.view["rollout"]) == (None, None)
    assert (tmp_path / "state" / "canary.db.damaged").exists()
    bench.keeper.begin(BLOCK, ANA)


def test_a_record_of_something_else_is_refused(bench: Bench, tmp_path: Path) -> None:
    """A state that this version cannot read is as good as damaged."""
    bench.keeper.begin(BLOCK, ANA)
    bench.keeper.stop()
    with sqlite3.connect(tmp_path / "state" / "canary.db") as connection:
        connection.execute("UPDATE state SET value = '{}'")
    connection.close()
    bench.start()
    assert bench.percent is None


def test_a_rollout_starts_only_where_it_can_be_judged(bench: Bench) -> None:
    """One at a time, with flags, over no other canary, and only while somebody counts."""
    with pytest.raises(InvalidSettings):
        bench.keeper.begin({"flags": {}}, ANA)
    with pytest.raises(InvalidSettings):
        bench.keeper.begin({"flags": {"BEDROCK_ENABLED": True}}, ANA)
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


def test_the_routes(bench: Bench) -> None:
    """GET shows it, POST decides; approving takes a named token, aborting does not; nonsense is refused."""
    bench.site.environ |= {"ADMIN_TOKEN": "ana=first-token-of-ana"}
    bench.flags.change({}, ANA)
    client = falcon.testing.TestClient(create_app(bench.runtime))

    def post(token: str = "first-token-of-ana", **body: Any) -> falcon.testing.Result:
        return client.simulate_post("/admin/canary", json=body, headers={"Authorization": f"Bearer {token}"})

    assert post(action="approve").json["code"] == "canary_conflict"
    started = post(action="start", flags={"MAX_TOKENS": "50"}, reason="go-live")
    assert (started.status_code, started.json["rollout"]["percent"]) == (200, 10)
    assert post(action="hold").json["rollout"]["held"] is True
    assert post(action="release").json["rollout"]["held"] is False
    assert post(action="hold", flags={}).status_code == 422
    assert post(action="approve").status_code == 409
    shown = client.simulate_get("/admin/canary", headers={"Authorization": "Bearer first-token-of-ana"}).json
    assert [entry["action"] for entry in shown["trail"]] == ["released", "held", "started"]
    assert shown["rollout"]["approvable"] == "no"
    assert bench.runtime.current.pipeline.status()["canary"]["percent"] == 10
    bench.site.environ["ADMIN_TOKEN"] = "token-without-a-name"
    bench.flags.change({}, ANA)
    assert post("token-without-a-name", action="approve", reason="x").json["code"] == "forbidden"
    aborted = post("token-without-a-name", action="abort", reason="smoke")
    assert aborted.json["rollout"]["ended_because"] == "smoke"
    assert client.simulate_post("/admin/canary", json={"action": "abort"}).status_code == 401


def test_without_changeable_flags_there_is_no_rollout() -> None:
    """A runtime that was only given settings starts, and answers 404."""
    catalogue = Catalogue.of(canary=CanaryPlugin())
    runtime = Runtime(catalogue, make_settings(catalogue, ADMIN_TOKEN="ana=first-token-of-ana"), clock=FakeClock())
    client = falcon.testing.TestClient(create_app(runtime))
    runtime.start()
    answer = client.simulate_get("/admin/canary", headers={"Authorization": "Bearer first-token-of-ana"})
    assert answer.status_code == 404
    runtime.stop()
