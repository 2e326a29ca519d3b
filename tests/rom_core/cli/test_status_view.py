"""What somebody reads who was just woken."""

from __future__ import annotations

from typing import Any

from rom_core.cli.status_view import status_lines

CALM: dict[str, Any] = {
    "version": 12,
    "environment": "production",
    "release": "1.2.3",
    "bedrock_enabled": True,
    "draining": False,
    "admitted": 4,
    "max_admitted": 20,
    "active_turns": 3,
    "pools": {"turns": {"size": 20, "outstanding": 3, "abandoned": 0}},
    "plugins": [
        {"name": "limiter", "enabled": True, "error": "", "status": {"running": 3, "memory_ratio": 0.51234}},
        {"name": "retry", "enabled": False, "error": ""},
    ],
    "observer_errors": [],
    "canary": None,
    "store": {"state": "ok", "detail": "", "durable": True},
    "fleet_away": "",
    "instances": [],
}


def instance(id_: str, version: int, **members: Any) -> dict[str, Any]:
    """An instance of the fleet."""
    times = {"since": "2026-11-24T23:56:42.000+00:00", "seen": "2026-11-25T10:00:01.000+00:00"}
    return {"id": id_, "release": "1.2.3", "version": version, "draining": False, "self": False, **times, **members}


def test_when_all_is_well_it_is_short() -> None:
    """One line for each plugin, figures rounded, and nothing about what is as it should be."""
    assert list(status_lines(CALM)) == [
        "production, release 1.2.3, version 12",
        "bedrock   on",
        "turns     3 running, 4 of 20 places taken",
        "",
        "limiter  on   running=3  memory_ratio=0.512",
        "retry    off",
    ]


def test_what_is_not_as_it_should_be_is_told() -> None:
    """Kill switch, draining, threads given up, the store, a canary, failing observers, a broken plugin, circuits."""
    circuit = {"state": "open", "forced": False, "recent_failures": 5, "seconds_to_probe": None}
    plugins = [
        {"name": "breaker", "enabled": True, "error": "", "status": {"models": {"sonnet": circuit, "haiku": "?"}}},
        {
            "name": "metrics",
            "enabled": True,
            "error": "",
            "status": {"capacity": "alert", "since": "2026-11-24T23:56:42Z"},
        },
        {"name": "mine", "enabled": False, "error": "does not import"},
    ]
    wrong = CALM | {
        "bedrock_enabled": False,
        "draining": True,
        "drained": {"by": "ana", "why": "deploy", "at": "2026-11-25T10:00:01.000+00:00"},
        "pools": {"tools": {"size": 16, "outstanding": 2, "abandoned": 2}},
        "plugins": plugins,
        "observer_errors": [{"plugin": "mine", "hook": "rom_event", "count": 7}],
        "canary": {"percent": 10, "flags": {"RETRY_ENABLED": True}, "include": [], "salt": ""},
        "store": {"state": "unwritable", "detail": "disk full", "durable": False},
    }
    assert list(status_lines(wrong))[1:] == [
        "bedrock   OFF: every chat is refused",
        "turns     3 running, 4 of 20 places taken; DRAINING, new ones are refused",
        "drained   by ana at 10:00:01 UTC: deploy",
        "threads   2 of 16 for tools given up and still busy",
        "store     unwritable: disk full; what is in force would not survive a restart",
        "canary    10 %: RETRY_ENABLED=true",
        "observer  mine failed 7 times in rom_event",
        "",
        "breaker  on",
        "              sonnet  state=open  forced=false  recent_failures=5  seconds_to_probe=-",
        "              haiku  ?",
        "metrics  on   capacity=alert  since=2026-11-24T23:56:42Z",
        "mine     BROKEN: does not import",
    ]


def test_without_a_store_nothing_is_said_of_it() -> None:
    """A server whose settings cannot change has none."""
    assert not [line for line in status_lines(CALM | {"store": None}) if line.startswith("store")]


def test_a_fleet_is_listed() -> None:
    """A line for each instance, with what it has that the others do not; and whether they can be heard at all."""
    fleet = [instance("a-1", 12, self=True), instance("b-2", 11), instance("c-3", 12, draining=True)]
    lines = list(status_lines(CALM | {"instances": fleet, "fleet_away": "no answer within 5 s"}))
    assert [line for line in lines if line.startswith(("fleet", "instance"))] == [
        "fleet     AWAY, as last heard of: no answer within 5 s",
        "instance  a-1: release 1.2.3, version 12, since 2026-11-24 23:56:42, seen 10:00:01 UTC, this one",
        "instance  b-2: release 1.2.3, version 11, BEHIND version 12, since 2026-11-24 23:56:42, seen 10:00:01 UTC",
        "instance  c-3: release 1.2.3, version 12, since 2026-11-24 23:56:42, seen 10:00:01 UTC, draining",
    ]
    assert not [line for line in status_lines(CALM | {"instances": fleet[:1]}) if line.startswith("instance")]
