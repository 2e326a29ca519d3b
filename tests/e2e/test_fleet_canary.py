"""One rollout in a fleet: decided anywhere, judged by the leader over what all instances have counted."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from e2e.fleet import Fleet, Load, admin, fleet
from e2e.serving import RomServer
from waiting import until

SETTINGS: dict[str, Any] = {
    "CANARY_PHASES": '["50%:3s", "100%:2s"]',
    "CANARY_INTERVAL_SECONDS": "1",
    "CANARY_MAX_ERROR_RATIO": "0.2",
}
# The lease runs out after 9 s, and another one asks for it every 3 s; the rest is for a machine that stalls.
TAKEOVER_SECONDS = 60.0
pytestmark = pytest.mark.timeout(400)


def decide(server: RomServer, action: str, **body: Any) -> Any:
    """POST /admin/canary."""
    return admin(server, "POST", "/admin/canary", {"action": action, "reason": "go-live", **body})


def rollout(server: RomServer) -> Any:
    """Where it stands."""
    return admin(server, "GET", "/admin/canary").json()["rollout"]


def leader(three: Fleet) -> RomServer | None:
    """The instance that leads, as the log of each tells."""
    led = []
    for server in three.servers:
        events = [event for line in ("fleet.leads", "fleet.leads_no_longer") for event in server.events(line, 0)]
        events.sort(key=lambda event: event["timestamp"])
        if events and events[-1]["event"] == "fleet.leads" and server.process.poll() is None:
            led.append((events[-1]["term"], server))
    return max(led, key=lambda each: each[0])[1] if led else None


def test_a_rollout_is_judged_over_all_instances(postgres_url: str) -> None:
    """Started at one, approved at another; the figures are the sum of all, the flags in force at all."""
    with fleet(postgres_url, postgres_url, postgres_url, **SETTINGS) as three:
        first, second, third = three.servers
        assert decide(first, "start", flags={"MAX_TOKENS": 77}).status_code == 200
        assert decide(second, "start", flags={"MAX_TOKENS": 78}).status_code == 409
        with Load(three.servers) as load:
            assert until(lambda: rollout(second)["gate"] == "pass", 100), rollout(second)
            assert until(lambda: decide(third, "approve").status_code == 200), rollout(third)
            assert until(lambda: all(rollout(each)["percent"] == 100 for each in three.servers))
            assert until(lambda: rollout(first)["gate"] == "pass", 100), rollout(first)
            assert until(lambda: decide(second, "approve").status_code == 200)
        assert set(load.statuses) == {200}
        assert until(lambda: three.values("MAX_TOKENS") == [77, 77, 77])
        assert until(lambda: {rollout(each)["status"] for each in three.servers} == {"completed"})
        trail = admin(third, "GET", "/admin/canary").json()["trail"]
        actions = [entry["action"] for entry in reversed(trail)]
        # How many windows it took is the machine's; each phase was left after one that passed.
        assert [each for each in actions if each not in ("passed", "inconclusive")] == [
            "started",
            "approved",
            "approved",
            "completed",
        ]
        first_phase, second_phase = actions[: actions.index("approved")], actions[actions.index("approved") :]
        assert "passed" in first_phase
        assert "passed" in second_phase


def test_errors_at_one_instance_end_it_everywhere(postgres_url: str) -> None:
    """The gate sees the sum: what fails at one instance only withdraws the flags at all."""
    with fleet(postgres_url, postgres_url, postgres_url, **SETTINGS) as three:
        first, _, third = three.servers
        assert decide(first, "start", flags={"MAX_TOKENS": 77}, include=["default"]).status_code == 200
        for number in range(80):
            third.chat("[[fault=403]] oi", user=f"user-{number}")
        assert until(lambda: rollout(first)["status"] == "aborted", 100), rollout(first)
        assert "errors" in rollout(first)["ended_because"]
        assert until(lambda: all(three.status(each)["canary"] is None for each in three.servers))


def test_the_leader_is_killed_during_a_rollout(postgres_url: str) -> None:
    """Another takes over, goes on with the same window, and nothing that was decided is lost."""
    settings = SETTINGS | {"CANARY_PHASES": '["50%:20s"]'}
    with fleet(postgres_url, postgres_url, postgres_url, **settings) as three:
        assert until(lambda: leader(three) is not None)
        assert decide(three.servers[0], "start", flags={"MAX_TOKENS": 77}).status_code == 200
        with Load(three.servers) as load:
            assert until(lambda: rollout(three.servers[0])["watched_seconds"] > 1, 60)
            led = leader(three)
            assert led is not None
            others = [server for server in three.servers if server is not led]
            load.turn_to(*others)
            led.process.kill()
            led.wait()
            killed = time.time()
            before = rollout(others[0])["watched_seconds"]
            three.servers = others
            assert until(lambda: leader(three) in others, 60)
            assert until(lambda: any(server.events("fleet.leads", 0) for server in others))
            taken = next(event for server in others for event in server.events("fleet.leads", 0))
            assert _seconds(taken["timestamp"]) - killed < TAKEOVER_SECONDS
            assert until(lambda: rollout(others[1])["watched_seconds"] > before + 2, 100), rollout(others[1])
            assert until(lambda: rollout(others[0])["gate"] == "pass", 100), rollout(others[0])
            assert rollout(others[0])["judged"]["cohorts"]["canary"]["restarts"] == 1
            assert until(lambda: decide(others[1], "approve").status_code == 200)
        assert set(load.statuses) == {200}
        assert until(lambda: three.values("MAX_TOKENS") == [77, 77])


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
