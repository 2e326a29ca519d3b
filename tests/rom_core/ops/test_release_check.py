"""`rom release-check`: each item of the go-live list, shown or standing in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from click.testing import CliRunner
from e2e.serving import until
from repositories import SCRIPTS, Clone, new_clone

from rom_core.cli import main
from rom_core.ops import release_check as checks
from rom_core.ops.doctor.findings import Finding
from rom_core.ops.release_check import OFF_AT_FIRST, Release

URL, TOKEN = "https://rom.example.org", "token-of-the-operator"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone with a checkpoint and a backup of its commit, made by the scripts themselves."""
    return new_clone(tmp_path)


def prepared(clone: Clone) -> Release:
    """Checkpoint and backup made."""
    assert clone.script("create-checkpoint.sh").returncode == 0
    assert clone.script("backup-before-pr.sh", BACKUP_DIR=str(clone.backups)).returncode == 0
    return Release(clone.path, clone.backups, run_tests=False)


def test_checkpoint_and_backup(clone: Clone) -> None:
    """Of this very commit, at the remote, undamaged; anything else stands in the way with the command to run."""
    bare = Release(clone.path, clone.backups)
    commit = clone.git("rev-parse", "HEAD")
    assert checks.checkpoint(bare, commit).todo.startswith("scripts/create-checkpoint.sh")
    assert checks.backup(bare, commit).todo == "scripts/backup-before-pr.sh"
    assert checks.backup(replace(bare, backups=None), commit).status == "fail"
    release = prepared(clone)
    assert checks.checkpoint(release, commit).status == "ok"
    assert checks.backup(release, commit).status == "ok"
    bundle = next(clone.backups.glob("*/repository.bundle"))
    bundle.write_bytes(b"damaged")
    assert "repository.bundle" in checks.backup(release, commit).text
    tag = clone.git("tag", "--list", "v*-checkpoint-*")
    clone.git("push", "-q", "--delete", "origin", tag)
    assert checks.checkpoint(release, commit).text == f"{tag} is not at the remote"
    newer = clone.commit("more.txt", "more")
    assert checks.checkpoint(release, newer).status == checks.backup(release, newer).status == "fail"


def test_tests_and_smoke_are_the_scripts(clone: Clone) -> None:
    """Their exit code decides, their own words are shown; changes that are not committed are not what is released."""
    release = Release(clone.path, staging=URL)
    script = clone.path / "scripts/ci-local.sh"
    for text, status, said in (("exit 0", "ok", "passed"), ("echo 1 FAILED, why; exit 1", "fail", "1 FAILED, why")):
        clone.commit("scripts/ci-local.sh", f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        clone.git("commit", "-qam", "may be run", "--allow-empty")
        finding = checks.tests(release)
        assert (finding.status, said in finding.text) == (status, True)
    assert checks.tests(replace(release, run_tests=False)).status == "warn"
    script.write_text("changed")
    assert "uncommitted" in checks.tests(release).text
    assert checks.staging_smoke(replace(release, staging="")).todo == "give --staging"
    smoke = clone.path / "scripts/ci-remote.sh"
    smoke.write_text('#!/bin/sh\necho "FAILED  chat $1"; exit 1\n')
    smoke.chmod(0o755)
    assert f"FAILED  chat {URL}" in checks.staging_smoke(release).text
    smoke.write_text('#!/bin/sh\necho "ok      health"\necho "skipped chat     no ROM_API_KEY"\n')
    assert (checks.staging_smoke(release).status, "no ROM_API_KEY" in checks.staging_smoke(release).text) == (
        "fail",
        True,
    )
    assert checks.tests(Release(Path("/"))).status == "fail"


def test_staging_is_asked_with_its_own_token(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Render generates one for each service; production's is what is left if there is no other."""
    monkeypatch.setenv("METRICS_TOKEN", "of-production")
    smoke = clone.path / "scripts/ci-remote.sh"
    clone.commit("scripts/ci-remote.sh", '#!/bin/sh\necho "FAILED $METRICS_TOKEN"; exit 1\n')
    smoke.chmod(0o755)
    release = Release(clone.path, staging=URL, metrics_token="of-production", staging_metrics_token="of-staging")
    assert "FAILED of-staging" in checks.staging_smoke(release).text
    assert "FAILED of-production" in checks.staging_smoke(replace(release, staging_metrics_token="")).text


def test_a_script_that_hangs_is_ended_with_all_it_started(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time limit that left the tests running would not be one."""
    clone.commit("scripts/ci-local.sh", "#!/bin/sh\nsleep 60 &\necho $! >child\nwait\n")
    (clone.path / "scripts/ci-local.sh").chmod(0o755)
    (clone.path / ".gitignore").write_text("child\n.gitignore\n")
    clone.git("commit", "-qam", "may be run")
    monkeypatch.setattr(checks, "_TEST_SECONDS", 1.0)
    written = clone.path / "child"
    communicate: Any = subprocess.Popen.communicate

    def once_it_runs(self: Any, *given: Any, **more: Any) -> Any:
        if more.get("timeout") == 1.0:
            assert until(lambda: written.is_file() and written.read_text().endswith("\n"))
        return communicate(self, *given, **more)

    monkeypatch.setattr(subprocess.Popen, "communicate", once_it_runs)
    finding = checks.tests(Release(clone.path))
    assert (finding.status, "did not end within 1 s" in finding.text) == ("fail", True)
    child = int(written.read_text())
    assert until(lambda: ended(child))


def ended(process: int) -> bool:
    """Gone, or a zombie that nobody has collected yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def test_flags_in_the_file(tmp_path: Path) -> None:
    """Of the project itself all are off; one that is on, or a file that cannot be read, stands in the way."""
    root = Path(__file__).parents[3]
    assert checks.flags_in_file(Release(root)).status == "ok"
    text = (root / "settings.toml").read_text()
    (tmp_path / "settings.toml").write_text(text + "\n[broken\n")
    assert checks.flags_in_file(Release(tmp_path)).status == "fail"
    head, tail = text.split("[production]")
    (tmp_path / "settings.toml").write_text(
        f"{head}[production]{tail.replace('RETRY_ENABLED = false', 'RETRY_ENABLED = true')}"
    )
    assert checks.flags_in_file(Release(tmp_path)).text == "on in production: RETRY_ENABLED"


def flags(**changed: Any) -> dict[str, Any]:
    """What GET /admin/flags answers in a production that is ready."""
    values = dict.fromkeys(OFF_AT_FIRST, False) | {"API_KEYS": "********"} | changed
    return {"environment": "production", "flags": {name: {"value": value} for name, value in values.items()}}


@responses.activate
@pytest.mark.parametrize(
    ("answer", "failing"),
    [
        (flags(), []),
        (flags(RETRY_ENABLED=True), ["flags"]),
        (flags(API_KEYS=""), ["API keys"]),
        (flags() | {"environment": "staging"}, ["flags"]),
        (flags() | {"canary": {"percent": 10, "flags": {"RETRY_ENABLED": True}}}, ["flags"]),
        (flags() | {"canary": None}, []),
        ([], ["admin token"]),
        ({"flags": {}}, ["admin token"]),
    ],
)
def test_production_is_asked(answer: dict[str, Any], failing: list[str]) -> None:
    """Flags off, token accepted, keys set."""
    responses.get(f"{URL}/admin/flags", json=answer)
    found = list(checks.production(Release(Path(), url=URL, admin_token=TOKEN)))
    assert [finding.about for finding in found if finding.status == "fail"] == failing
    # A webhook of another test may still be under way in this process.
    (asked,) = [call.request for call in responses.calls if str(call.request.url).startswith(URL)]
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"


@responses.activate
def test_each_hint_is_a_command_that_is_enough() -> None:
    """All that is on goes off with it; a canary ends also where no rollout has set it."""
    responses.get(f"{URL}/admin/flags", json=flags(RETRY_ENABLED=True, BEDROCK_ENABLED=True))
    responses.get(f"{URL}/admin/flags", json=flags() | {"canary": {"percent": 10, "flags": {"RETRY_ENABLED": True}}})
    for command in ("rom flags set BEDROCK_ENABLED=false RETRY_ENABLED=false", "rom flags clear canary"):
        found = checks.production(Release(Path(), url=URL, admin_token=TOKEN))
        assert [finding.todo for finding in found if finding.status == "fail"] == [command]


@responses.activate
@pytest.mark.parametrize(
    "options",
    [
        {"status": 401},
        {"body": "<html>"},
        {"body": requests.ConnectionError("no")},
        {"status": 301, "headers": {"Location": "https://elsewhere.example/"}},
    ],
)
def test_a_production_that_cannot_be_asked_stands_in_the_way(options: dict[str, Any]) -> None:
    """Closed, another site, nobody there, or one that sends the token elsewhere."""
    responses.get(f"{URL}/admin/flags", **options)
    found = list(checks.production(Release(Path(), url=URL, admin_token=TOKEN)))
    assert [(finding.about, finding.status) for finding in found] == [("admin token", "fail")]
    assert len(responses.calls) == 1


def test_a_token_that_cannot_be_one_is_named_and_not_shown() -> None:
    """Pasted with a line end in it, say."""
    release = Release(Path(), url=URL, admin_token="pasted wrongly", metrics_token="the\nsame")
    [finding] = checks.production(release)
    assert finding.text.startswith("ROM_ADMIN_TOKEN holds characters")
    assert "pasted" not in finding.text
    assert checks.memory(release).text.startswith("METRICS_TOKEN holds characters")


@responses.activate
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("rom_memory_used_ratio 0.3\n", "ok"),
        ("rom_memory_used_ratio 0.6\n", "fail"),
        ("rom_memory_used_ratio 0\n", "fail"),
        ("other 1\n", "fail"),
        ("{not prometheus", "fail"),
    ],
)
def test_memory_has_headroom(body: str, status: str) -> None:
    """Far below the gate's limit at rest; a server that knows no limit stands in the way."""
    responses.get(f"{URL}/metrics", body=body)
    assert checks.memory(Release(Path(), url=URL)).status == status


def rules(names: list[str]) -> dict[str, Any]:
    """What a Prometheus answers that has loaded these."""
    return {"status": "success", "data": {"groups": [{"rules": [{"name": name} for name in names]}]}}


@responses.activate
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda names: rules(names), "ok"),
        (lambda names: rules([name for name in names if name != "RomErrorRate"]), "fail"),
        (lambda _: {"data": None}, "fail"),
        (lambda _: [], "fail"),
    ],
)
def test_every_alert_rule_is_loaded(answer: Callable[[list[str]], Any], status: str) -> None:
    """By name."""
    root = Path(__file__).parents[3]
    names = [line.split()[2] for line in (root / checks.RULES).read_text().splitlines() if "- alert:" in line]
    responses.get("http://prometheus/api/v1/rules", json=answer(names))
    found = checks.alert_rules(Release(root, prometheus="http://prometheus"))
    assert found.status == status
    assert ("RomErrorRate" in found.text) == (status == "fail" and "not loaded" in found.text)


def test_a_checkpoint_says_who_when_and_why(clone: Clone) -> None:
    """A plain tag of that name does not."""
    clone.git("tag", "v1.2.3-checkpoint-1")
    clone.git("push", "-q", "origin", "v1.2.3-checkpoint-1")
    found = checks.checkpoint(Release(clone.path), clone.git("rev-parse", "HEAD"))
    assert (found.status, "annotated" in found.text) == ("fail", True)


def test_the_scripts_find_the_tools_beside_rom(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called as .venv/bin/rom, without an environment that was activated."""
    monkeypatch.setenv("PATH", os.defpath)
    clone.commit("scripts/ci-local.sh", '#!/bin/sh\necho "FAILED $(command -v ruff)"; exit 1\n')
    (clone.path / "scripts/ci-local.sh").chmod(0o755)
    clone.git("commit", "-qam", "may be run")
    assert f"FAILED {Path(sys.executable).parent}/ruff" in checks.tests(Release(clone.path)).text


def test_backups_are_looked_for_where_the_script_puts_them(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without BACKUP_DIR on either side, both mean the same folder."""
    environ = {name: value for name, value in clone.environ().items() if name != "BACKUP_DIR"} | {"HOME": str(tmp_path)}
    command = ["bash", str(SCRIPTS / "backup-before-pr.sh")]
    subprocess.run(command, cwd=clone.path, env=environ, check=True, capture_output=True, timeout=60)
    monkeypatch.chdir(clone.path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BACKUP_DIR", raising=False)
    told = CliRunner().invoke(main, ["release-check", "--skip-tests", "--json"])
    assert {finding["about"]: finding["status"] for finding in json.loads(told.output)["findings"]}["backup"] == "ok"


def test_the_command_says_what_stands_in_the_way(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every item with its status, exit code 1 while one fails, 0 when none does."""
    release = prepared(clone)
    monkeypatch.chdir(clone.path)
    monkeypatch.delenv("BACKUP_DIR", raising=False)
    arguments = ["release-check", "--skip-tests", "--backups", str(release.backups)]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 1
    assert "fail  staging smoke: not asked" in told.output
    assert "→ give --url" in told.output
    assert "this stands in the way" in told.output
    found = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert not found["ok"]
    statuses = {finding["about"]: finding["status"] for finding in found["findings"]}
    assert (statuses["checkpoint"], statuses["backup"], statuses["alert rules"]) == ("ok", "ok", "warn")
    monkeypatch.setattr(checks, "examine", lambda _: iter([Finding("tests", "ok", "passed")]))
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, "a person decides" in done.output) == (0, True)
