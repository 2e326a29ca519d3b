"""`rom deploy` and its client, against Render's API by its HTTP contract."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
from click.testing import CliRunner, Result

from rom_core.cli.deploy import deploy
from rom_core.concurrency.clock import FakeClock
from rom_core.ops.deploy import Deploy, Render, RenderError, rollback_target

BASE = "https://api.render.com/v1/services/srv-1"
TOKEN = "a-key-of-render"


def entry(number: int, status: str = "deactivated", commit: str = "", **more: Any) -> dict[str, Any]:
    """A deploy as Render shows it."""
    return {
        "id": f"dep-{number}",
        "status": status,
        "commit": {"id": commit or f"{number}" * 40, "message": f"change {number}\n\nbody"},
        "createdAt": "2026-11-24T20:00:00Z",
    } | more


def listed(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    """As the list is wrapped."""
    return [{"deploy": entry, "cursor": "c"} for entry in entries]


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    """Render's API; anything not registered is a failed test."""
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def render() -> Render:
    """A client on a fake clock."""
    return Render(TOKEN, "srv-1", clock=FakeClock())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, on a fake clock."""
    monkeypatch.setattr("rom_core.concurrency.clock.SystemClock", FakeClock)

    def run(*arguments: str, **options: Any) -> Result:
        environ = {"RENDER_API_KEY": TOKEN, "RENDER_SERVICE_ID": "srv-1", "COLUMNS": "200"} | options.pop("env", {})
        return CliRunner(env=environ).invoke(deploy, [*arguments], **options)

    return run


def test_status_lists_deploys(api: responses.RequestsMock, run: Any) -> None:
    """Newest first, with the key as a bearer token."""
    api.get(
        f"{BASE}/deploys",
        json=listed(entry(3, "build_failed"), entry(2, "live"), entry(1)),
        match=[
            responses.matchers.query_param_matcher({"limit": "10"}),
            responses.matchers.header_matcher({"Authorization": f"Bearer {TOKEN}"}),
        ],
    )
    result = run("status")
    assert result.exit_code == 0, result.output
    assert [line.split()[:3] for line in result.stdout.splitlines()[1:]] == [
        ["dep-3", "build_failed", "3333333333"],
        ["dep-2", "live", "2222222222"],
        ["dep-1", "deactivated", "1111111111"],
    ]
    assert "body" not in result.stdout


def test_rollback_stops_automatic_deploys_first_and_waits(api: responses.RequestsMock, run: Any) -> None:
    """Render's own rollback through the API leaves them on: the next push would undo it."""
    api.get(f"{BASE}/deploys", json=listed(entry(4, "canceled"), entry(3, "live"), entry(2, "build_failed"), entry(1)))
    api.patch(BASE, json={"id": "srv-1"}, match=[responses.matchers.json_params_matcher({"autoDeploy": "no"})])
    api.post(
        f"{BASE}/rollback",
        status=201,
        json=entry(5, "update_in_progress", "1" * 40),
        match=[responses.matchers.json_params_matcher({"deployId": "dep-1"})],
    )
    api.get(f"{BASE}/deploys/dep-5", json=entry(5, "update_in_progress"))
    api.get(f"{BASE}/deploys/dep-5", json=entry(5, "live"))
    result = run("rollback", "--yes")
    assert result.exit_code == 0, result.output
    assert [call.request.method for call in api.calls] == ["GET", "PATCH", "POST", "GET", "GET"]
    assert result.stdout.splitlines()[-1].startswith("dep-5 live")


def test_rollback_asks_and_changes_nothing_without_a_yes(api: responses.RequestsMock, run: Any) -> None:
    """Only reads were sent; both deploys were shown."""
    api.get(f"{BASE}/deploys", json=listed(entry(2, "live"), entry(1)))
    result = run("rollback", input="n\n")
    assert result.exit_code == 1
    assert "dep-2 live" in result.stdout
    assert "dep-1 deactivated" in result.stdout
    assert len(api.calls) == 1


def test_rollback_to_a_named_deploy(api: responses.RequestsMock, run: Any) -> None:
    """Also one that the list no longer shows."""
    api.get(f"{BASE}/deploys", json=listed(entry(9, "live")))
    api.get(f"{BASE}/deploys/dep-1", json=entry(1))
    api.patch(BASE, json={})
    api.post(f"{BASE}/rollback", status=201, json=entry(10, "live"))
    assert run("rollback", "dep-1", "--yes").exit_code == 0
    assert json.loads(api.calls[-1].request.body or "") == {"deployId": "dep-1"}


def test_a_deploy_that_fails_is_exit_code_1(api: responses.RequestsMock, run: Any) -> None:
    """A pipeline must stop there."""
    api.post(f"{BASE}/deploys", status=201, json=entry(5, "created", "a" * 40))
    api.get(f"{BASE}/deploys/dep-5", json=entry(5, "build_failed"))
    result = run("start", "a" * 40)
    assert result.exit_code == 1
    assert "build_failed" in result.stderr
    assert json.loads(api.calls[0].request.body or "")["commitId"] == "a" * 40


def test_a_queued_deploy_is_found(api: responses.RequestsMock, render: Render) -> None:
    """202 comes without an object: it is the one of that commit that has not ended, once the list shows it."""
    api.post(f"{BASE}/deploys", status=202)
    before = [entry(5, "build_in_progress"), entry(4, "live", "a" * 40)]
    api.get(f"{BASE}/deploys", json=listed(*before))
    api.get(f"{BASE}/deploys", json=listed(entry(6, "queued", "a" * 40), *before))
    assert render.start("a" * 40).id == "dep-6"
    api.post(f"{BASE}/rollback", status=202)
    assert render.rollback("dep-1").id == "dep-6"


def test_a_deploy_that_is_never_shown_is_not_taken_for_the_live_one(
    api: responses.RequestsMock, render: Render
) -> None:
    """Waiting for the live one would report a success that never was."""
    api.post(f"{BASE}/deploys", status=202)
    api.get(f"{BASE}/deploys", json=listed(entry(4, "live", "a" * 40)))
    with pytest.raises(RenderError, match="does not show it"):
        render.start("a" * 40)


def test_the_key_goes_to_render_alone(api: responses.RequestsMock, run: Any) -> None:
    """No redirect is followed, by reads or by what changes something; a key that cannot be one is named, not shown."""
    elsewhere = {"status": 302, "headers": {"Location": "https://elsewhere.example/deploys"}}
    api.get(f"{BASE}/deploys", **elsewhere)
    api.post(f"{BASE}/deploys", **elsewhere)
    for arguments in (("status",), ("start", "a" * 40)):
        result = run(*arguments)
        assert (result.exit_code, "redirects to https://elsewhere.example" in result.stderr) == (1, True)
    assert len(api.calls) == 2
    broken = run("status", env={"RENDER_API_KEY": "of two\nlines"})
    assert broken.exit_code == 1
    assert "RENDER_API_KEY holds characters" in broken.stderr
    assert "lines" not in broken.output


def test_a_deploy_under_way_is_pointed_out(api: responses.RequestsMock, run: Any) -> None:
    """It may become live after the rollback."""
    api.get(f"{BASE}/deploys", json=listed(entry(4, "build_in_progress"), entry(3, "live"), entry(2)))
    result = run("rollback", input="n\n")
    assert "NOTE: dep-4 build_in_progress" in result.stdout


@pytest.mark.parametrize(
    ("entries", "target"),
    [
        ([entry(3, "live"), entry(2), entry(1)], "dep-2"),
        ([entry(4, "build_in_progress"), entry(3, "live"), entry(2, "update_failed"), entry(1)], "dep-1"),
        ([entry(3, "live", "c" * 40), entry(2, commit="c" * 40), entry(1)], "dep-1"),
        ([entry(3, "live", trigger="rollback"), entry(2), entry(1)], None),
        ([entry(2, "build_failed"), entry(1)], None),
        ([entry(1, "live")], None),
        ([], None),
    ],
)
def test_the_target_is_what_was_live_before(entries: list[dict[str, Any]], target: str | None) -> None:
    """Not one that failed, not the same commit again, and not what somebody has just rolled back."""
    deploys = [Deploy.of(entry) for entry in entries]
    if target is None:
        with pytest.raises(RenderError, match="name the one"):
            rollback_target(deploys)
    else:
        assert rollback_target(deploys).id == target


def test_waiting_survives_passing_trouble_and_is_bounded(api: responses.RequestsMock) -> None:
    """A 500 or a broken connection now and then is no failed deploy; nothing is waited for for ever."""
    clock = FakeClock()
    render, begun, stop = Render(TOKEN, "srv-1", clock=clock), Deploy.of(entry(5, "created")), threading.Event()
    for answer in ({"status": 500}, {"body": requests.ConnectionError()}, {"status": 429}, {"json": entry(5, "live")}):
        api.get(f"{BASE}/deploys/dep-5", **answer)
    assert render.wait(begun, 600, stop).status == "live"
    api.get(f"{BASE}/deploys/dep-5", json=entry(5, "build_in_progress"))
    before = clock.monotonic()
    with pytest.raises(RenderError, match="not live after 600 s"):
        render.wait(begun, 600, stop)
    assert clock.monotonic() - before == 600
    stop.set()
    with pytest.raises(RenderError, match="no longer waiting"):
        render.wait(begun, 600, stop)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status": 401, "json": {"message": "unauthorized"}}, "401: unauthorized"),
        ({"status": 502, "body": "<html>"}, "502: Bad Gateway"),
        ({"body": requests.ConnectTimeout()}, "no answer from Render: ConnectTimeout"),
        ({"json": {}}, "not a list of deploys"),
        ({"json": ["?"]}, "not a deploy"),
        ({"json": listed({"status": "live"})}, "not a deploy"),
    ],
)
def test_what_render_says_is_told(api: responses.RequestsMock, run: Any, answer: dict[str, Any], told: str) -> None:
    """One line, exit code 1, and never the key."""
    api.get(f"{BASE}/deploys", **answer)
    result = run("status")
    assert result.exit_code == 1
    assert told in result.stderr
    assert TOKEN not in result.output


def test_an_id_is_no_path(api: responses.RequestsMock, render: Render) -> None:
    """Whatever is given as one stays one segment of the address."""
    api.get(f"{BASE}/deploys/..%2F..%2Fowners", json=entry(1))
    assert render.deploy("../../owners").id == "dep-1"


def test_without_a_key_or_a_service_nothing_is_asked() -> None:
    """Exit code 2, and the variable that is missing is named."""
    for missing, present in (("RENDER_API_KEY", "RENDER_SERVICE_ID"), ("RENDER_SERVICE_ID", "RENDER_API_KEY")):
        refused = CliRunner(env={missing: None, present: "srv-1"}).invoke(deploy, ["status"])
        assert refused.exit_code == 2
        assert f"env var: '{missing}'" in refused.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("rollback", "--yes", "--", "--service=srv-production"),
        ("rollback", "--yes", "dep-1/../../srv-2"),
        ("rollback", "--yes", "DEP-1"),
        ("rollback", "--yes", "dep-1\n"),
        ("start", "main"),
        ("start", "--", "-" * 40),
        ("status", "--service", "srv-1/deploys"),
        ("status", "--service", "--limit"),
    ],
)
def test_what_is_no_id_is_refused_before_anything_is_sent(
    api: responses.RequestsMock, run: Any, arguments: tuple[str, ...]
) -> None:
    """Exit code 2: an id of Render's, or a commit's, has its form; an option in its place is none."""
    assert run(*arguments).exit_code == 2
    assert len(api.calls) == 0
