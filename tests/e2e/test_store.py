"""The store of a real server: refused at start in one sentence, kept over kill -9 in both databases."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import requests
from e2e.serving import RomServer

from bench.postgres import PostgresServer

PASSWORD = "pass-w0rd-of-mine"
ADMIN = {"Authorization": "Bearer token-of-the-operator"}
START_SECONDS = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings that name a store of the test's own."""
    settings = {"STATE_DIR": str(tmp_path / "state"), "ADMIN_TOKEN": "ops=token-of-the-operator"}
    if request.param == "postgresql":
        settings["STATE_URL"] = request.getfixturevalue("postgres_url")
    return settings


def start(root: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """`rom serve` that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "rom_core", "serve"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "ROM_ENV": "development", "PORT": "0", "LOG_FORMAT": "json"} | environ,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def refused(root: Path, **environ: str) -> str:
    """The sentence of a start that is refused: exit code 1, no traceback, and no password anywhere."""
    done = start(root, **environ)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert PASSWORD not in said
    assert said.count("\n") == 1, said
    assert said.startswith("Error: ")
    return said


def test_a_url_that_names_no_database_is_refused(tmp_path: Path) -> None:
    """Each in its own words, with what to write instead."""
    for url, says in {
        f"mysql://ana:{PASSWORD}@db/rom": "cannot use",
        f"postgresql://ana:{PASSWORD}@db": "names no database",
        f"postgresql://ana:{PASSWORD}@db:port/rom": "is no URL",
        "sqlite://": "names no file",
    }.items():
        assert says in refused(tmp_path, STATE_URL=url)


def test_a_database_that_refuses_or_is_not_there_is_told(tmp_path: Path, postgres: PostgresServer) -> None:
    """A refusal ends the start at once; one that nobody answers for is tried for eight seconds first."""
    base = f"127.0.0.1:{postgres.port}"
    assert "does not know the user" in refused(tmp_path, STATE_URL=f"postgresql://nobody:{PASSWORD}@{base}/postgres")
    assert "no database of that name" in refused(tmp_path, STATE_URL=f"postgresql://postgres:{PASSWORD}@{base}/none")
    away = refused(tmp_path, STATE_URL=f"postgresql://postgres:{PASSWORD}@127.0.0.1:9/rom")
    assert "postgresql://postgres:***@127.0.0.1:9/rom (STATE_URL): nobody listens there" in away


def test_a_missing_driver_is_told(tmp_path: Path) -> None:
    """With what to install."""
    (tmp_path / "psycopg.py").write_text("raise ImportError('no libpq')\n")
    said = refused(tmp_path, STATE_URL="postgresql://db/rom", PYTHONPATH=str(tmp_path))
    assert "its driver does not load (no libpq): pip install 'psycopg[binary]'" in said


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """What, where, and what to do."""
    (tmp_path / "file").touch()
    for folder in ("/proc/rom", str(tmp_path / "file")):
        said = refused(tmp_path, STATE_DIR=folder)
        assert f"the store {folder}/rom.db cannot be made or written" in said
        assert "name another one in STATE_DIR" in said


def test_a_database_of_something_else_is_told(tmp_path: Path, postgres: PostgresServer, postgres_url: str) -> None:
    """And left as it is."""
    (tmp_path / "var").mkdir()
    with closing(sqlite3.connect(tmp_path / "var" / "rom.db")) as connection, connection:
        connection.execute("CREATE TABLE notes (text)")
    assert "is a database of something else" in refused(tmp_path)
    postgres.execute("CREATE TABLE rom_versions (text text)", postgres_url.rpartition("/")[2])
    assert "holds a table rom_versions that is not ours" in refused(tmp_path, STATE_URL=postgres_url)


def test_a_database_of_a_newer_release_is_told(tmp_path: Path, kept: dict[str, str]) -> None:
    """With the release that is needed."""
    server = RomServer(tmp_path, **kept)
    server.signal()
    server.wait()
    change = [
        "INSERT INTO rom_migrations VALUES ('9999', '99.0')",
        "UPDATE rom_alembic_version SET version_num = '9999'",
    ]
    if "STATE_URL" in kept:
        import psycopg

        with psycopg.connect(kept["STATE_URL"]) as shared:
            for statement in change:
                shared.execute(statement.encode())
    else:
        with closing(sqlite3.connect(Path(kept["STATE_DIR"]) / "rom.db")) as connection, connection:
            for statement in change:
                connection.execute(statement)
    assert "needs 99.0 or newer" in refused(tmp_path, **kept)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, kept: dict[str, str]) -> None:
    """Flags with their history, a canary and its rollout, a held circuit: all of it, in both databases."""
    server = RomServer(tmp_path, **kept)
    try:
        for path, body in (
            ("/admin/reload-flags", {"MAX_TOKENS": 777}),
            ("/admin/canary", {"action": "start", "flags": {"MAX_LOOPS_SOFT": 3}, "reason": "try"}),
            ("/admin/breaker", {"model": "anthropic.claude-haiku-4-5", "state": "open", "reason": "incident"}),
        ):
            answer = requests.post(server.url + path, json=body, headers=ADMIN, timeout=60)
            assert answer.status_code == 200, answer.text
    finally:
        server.process.kill()
        server.wait()
    server = RomServer(tmp_path, **kept)
    try:

        def get(path: str) -> requests.Response:
            return requests.get(server.url + path, headers=ADMIN, timeout=60)

        assert get("/admin/flags").json()["flags"]["MAX_TOKENS"]["value"] == 777
        rollout = get("/admin/canary").json()
        assert (rollout["rollout"]["status"], rollout["rollout"]["percent"]) == ("running", 10)
        assert [entry["action"] for entry in rollout["trail"]] == ["started"]
        (breaker,) = (each for each in get("/admin/status").json()["plugins"] if each["name"] == "breaker")
        circuit = breaker["status"]["models"]["anthropic.claude-haiku-4-5"]
        assert (circuit["state"], circuit["by"], circuit["why"]) == ("open", "ops", "incident")
        assert [each["by"] for each in get("/admin/flags/history").json()["versions"]][:2] == ["ops", "ops"]
    finally:
        server.signal()
        server.wait()
