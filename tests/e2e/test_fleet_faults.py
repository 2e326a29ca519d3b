"""What breaks a fleet: the database away, a network that swallows everything, two operators at once."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from e2e.fleet import OTHER_TOKEN, TOKEN, Load, admin, fleet, rom
from e2e.serving import RomServer, until
from waiting import LONG_SECONDS

from bench.postgres import PostgresServer
from bench.proxy import Proxy

ROUNDS = 200
AWAY_SECONDS = 60
# A local turn takes some ten milliseconds; nine of ten no more than this on a busy machine, and if they waited for the
# database more.
TURN_SECONDS = 4.0


def history(server: RomServer) -> Any:
    """All versions, oldest first."""
    return admin(server, "GET", "/admin/flags/history?limit=1000").json()["versions"][::-1]


def version(server: RomServer) -> int:
    """Which is in force."""
    return int(admin(server, "GET", "/admin/status").json()["version"])


@pytest.mark.timeout(600)
def test_two_operators_at_once(postgres_url: str) -> None:
    """Two settings changed together, at two instances, 200 times: each change whole, kept once, or refused."""
    with fleet(postgres_url, postgres_url, postgres_url) as three:
        first, second, _ = three.servers

        def operate(server: RomServer, token: str, number: int) -> tuple[int, int, int | None]:
            answer = three.change(server, token, MAX_TOKENS=number, MAX_TOOL_RESULT_CHARS=number)
            body = answer.json()
            if answer.status_code == 200:
                assert three.confirmed(body), body
            # Who has stalled under the lock is told 503, and nobody knows whether the change was kept.
            assert answer.status_code in (200, 412, 503), body
            return answer.status_code, number, body.get("version")

        answers = []
        with ThreadPoolExecutor(2) as pool:
            for number in range(ROUNDS):
                ana = pool.submit(operate, first, TOKEN, 10_000 + 2 * number)
                eva = pool.submit(operate, second, OTHER_TOKEN, 10_001 + 2 * number)
                answers += [ana.result(), eva.result()]
        acknowledged = {version: number for status, number, version in answers if status == 200}
        unknown = {number for status, number, _ in answers if status == 503}
        assert len(acknowledged) >= ROUNDS - len(unknown)
        assert len(unknown) < ROUNDS / 4
        kept = {}
        for entry in history(first):
            changes = entry["changes"]
            if set(changes) & {"MAX_TOKENS", "MAX_TOOL_RESULT_CHARS"}:
                values = {changes[name]["to"] for name in ("MAX_TOKENS", "MAX_TOOL_RESULT_CHARS")}
                assert len(values) == 1, entry
                kept[entry["version"]] = values.pop()
        assert {version: number for version, number in kept.items() if number not in unknown} == acknowledged
        assert len(set(kept.values())) == len(kept)
        assert three.have(max(kept))
        last = kept[max(kept)]
        assert three.values("MAX_TOKENS") == three.values("MAX_TOOL_RESULT_CHARS") == [last] * 3


def test_the_version_an_operator_has_seen(postgres_url: str) -> None:
    """If-Match at one instance sees what was changed at another a moment ago."""
    with fleet(postgres_url, postgres_url) as two:
        first, second = two.servers
        seen = version(first)
        made = two.change(second, MAX_TOKENS=50)
        assert made.status_code == 200
        assert two.confirmed(made.json())
        headers = {"Authorization": f"Bearer {TOKEN}", "If-Match": f'"{seen}"'}
        late = requests.post(f"{first.url}/admin/reload-flags", json={"MAX_TOKENS": 51}, headers=headers, timeout=60)
        assert (late.status_code, late.json()["code"]) == (412, "version_conflict")
        assert two.values("MAX_TOKENS") == [50, 50]


@pytest.mark.timeout(600)
def test_the_database_is_stopped_for_a_minute() -> None:
    """Turns go on as before; changes are refused; a kill counts where it is heard, and in the end everywhere."""
    with PostgresServer(durable=True) as database, fleet(*[database.url()] * 3) as three:
        first, second, third = three.servers
        assert three.confirmed(three.change(first, MAX_TOKENS=77).json())
        with Load(three.servers) as load:
            assert until(lambda: len(load.statuses) > 20)
            stopped = time.monotonic()
            database.stop()
            away = len(load.turns)
            assert until(lambda: all(three.status(each)["fleet_away"] for each in three.servers))
            refused = three.change(second, MAX_TOKENS=78)
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            assert refused.elapsed.total_seconds() < 40
            assert three.values("MAX_TOKENS") == [77, 77, 77]
            assert [len(three.status(each)["instances"]) for each in three.servers] == [3, 3, 3]
            assert max(load.usual(each, away) for each in three.servers) < TURN_SECONDS
            load.turn_to(first, second)
            killed_at = len(load.turns)
            killed = three.change(third, BEDROCK_ENABLED="false")
            assert killed.status_code == 200
            assert killed.json()["durable"] is False
            reached = killed.json()["in_force"]
            assert (reached["instances"], reached["of"], len(reached["unconfirmed"])) == (1, 3, 2)
            assert third.chat("oi").json()["code"] == "bedrock_disabled"
            assert [three.status(each)["bedrock_enabled"] for each in three.servers] == [True, True, False]
            told = rom(third, "flags", "status").stdout
            assert "fleet     AWAY" in told
            while time.monotonic() - stopped < AWAY_SECONDS:
                time.sleep(0.2)
            assert set(load.statuses) == {200}
            assert max(load.usual(each, killed_at) for each in (first, second)) < TURN_SECONDS
            assert load.slowest < LONG_SECONDS
            database.start()
            assert until(lambda: not any(three.status(each)["bedrock_enabled"] for each in three.servers))
        assert set(load.statuses) <= {200, 503}
        assert until(three.complete)
        assert history(first)[-1]["changes"]["BEDROCK_ENABLED"]["to"] is False
        assert len({version(each) for each in three.servers}) == 1
        assert three.status(third)["store"]["durable"] is True
        on = three.change(second, BEDROCK_ENABLED="true", MAX_TOKENS=79).json()
        assert three.confirmed(on), on
        assert three.values("MAX_TOKENS") == [79, 79, 79]
        assert third.chat("[[say=um]] oi").status_code == 200


def test_off_wins_over_what_was_written_meanwhile(postgres: PostgresServer, postgres_url: str) -> None:
    """Cut off from the database, one instance is switched off while another is switched on: all end with off."""
    with (
        Proxy(postgres.port) as proxy,
        fleet(postgres_url, postgres_url.replace(str(postgres.port), str(proxy.port))) as two,
    ):
        whole, cut_off = two.servers
        proxy.hang()
        assert two.change(cut_off, BEDROCK_ENABLED="false").status_code == 200
        assert two.change(whole, BEDROCK_ENABLED="true", MAX_TOKENS=88).status_code == 200
        assert two.status(whole)["bedrock_enabled"] is True
        proxy.resume()
        assert until(lambda: not any(two.status(each)["bedrock_enabled"] for each in two.servers))
        assert until(lambda: two.values("MAX_TOKENS") == [88, 88])


@pytest.mark.timeout(600)
def test_a_network_that_swallows_everything(postgres: PostgresServer, postgres_url: str) -> None:
    """Connections hang and break nowhere: whoever is behind it goes on, is named, leaves the list, and comes back."""
    with Proxy(postgres.port) as proxy:
        behind = postgres_url.replace(str(postgres.port), str(proxy.port))
        with fleet(postgres_url, postgres_url, behind) as three:
            first, _, third = three.servers
            own = three.status(third)["instances"][0]["id"]
            numbers = itertools.count(1000)

            def named_alone() -> bool:
                proxy.resume()
                assert until(three.complete)
                proxy.hang()
                answer = three.change(first, MAX_TOKENS=next(numbers)).json()
                return bool(answer["in_force"] == {"instances": 2, "of": 3, "unconfirmed": [own]})

            with Load(three.servers) as load:
                assert until(lambda: len(load.statuses) > 20)
                # Once more where another one stalled, too.
                assert until(named_alone)
                hung = len(load.turns)
                refused = three.change(third, MAX_TOKENS=67)
                assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
                assert refused.elapsed.total_seconds() < 40
                assert until(lambda: len(three.status(first)["instances"]) == 2)
                assert three.change(first, MAX_TOKENS=68).json()["in_force"]["of"] == 2
                assert max(load.usual(each, hung) for each in three.servers) < TURN_SECONDS
                proxy.resume()
                assert until(lambda: three.values("MAX_TOKENS") == [68, 68, 68])
                assert until(three.complete)
            assert set(load.statuses) == {200}
            assert load.slowest < LONG_SECONDS
