"""The built wheel, installed into an empty environment: it serves the same as the clone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from e2e.serving import RomServer

from rom_core import __version__

ROOT = Path(__file__).parents[3]
SOURCES = ("rom_core", "plugins", "local_bedrock", "docs", "examples", "requirements")
FILES = (
    "setup.cfg",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "settings.toml",
    ".secrets.toml",
    ".env.example",
)

_WHERE = "import rom_core, sys; sys.stdout.write(rom_core.__file__)"


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """Run it to its end, without any network; what it prints."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "PIP_ROOT_USER_ACTION": "ignore"} | environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built as `make dist` does from a copy of the sources."""
    tree = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".venv", ".mypy_cache"))
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    run(sys.executable, "-m", "build", "--quiet", "--no-isolation", cwd=tree)
    return tree / "dist"


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel and what it needs, and nothing of this clone."""
    return environment(tmp_path_factory.mktemp("environment"), built)


def environment(folder: Path, built: Path) -> Path:
    """Make it in `folder`; its Python."""
    venv.create(folder, with_pip=False)
    (own,) = folder.glob("lib/*/site-packages")
    # Only the folder is put on the path: its own .pth files, which would lead to the clone, are not read.
    (own / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = built.glob("*.whl")
    run(
        sys.executable, "-m", "pip", "--python", folder, "install", "--no-deps", "--ignore-installed", wheel, cwd=folder
    )
    return folder / "bin" / "python"


def rom_json(python: str | Path, *arguments: str, cwd: Path) -> Any:
    """What the command prints with --json."""
    return json.loads(run(python, "-m", "rom_core", *arguments, "--json", cwd=cwd))


def test_both_distributions_are_fit_for_an_index(built: Path) -> None:
    """`twine check --strict` finds nothing, and the licence, the types and the shipped defaults are inside."""
    files = sorted(built.iterdir())
    assert [file.name for file in files] == [
        f"rom_agent-{__version__}-py3-none-any.whl",
        f"rom_agent-{__version__}.tar.gz",
    ]
    run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=built)
    names = set(zipfile.ZipFile(files[0]).namelist())
    shipped = {f"{package}/py.typed" for package in ("rom_core", "plugins", "local_bedrock")}
    assert shipped | {"rom_core/settings/defaults.toml"} <= names
    static = ROOT / "plugins" / "page" / "static"
    assert {path.relative_to(ROOT).as_posix() for path in static.rglob("*") if path.is_file()} <= names
    assert f"rom_agent-{__version__}.dist-info/licenses/LICENSE" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "examples/"))]
    with tarfile.open(files[1]) as sources:
        assert f"rom_agent-{__version__}/examples/masking/pyproject.toml" in sources.getnames()


@pytest.mark.timeout(300)
def test_the_wheel_serves_the_same_as_the_clone(installed: Path, tmp_path: Path) -> None:
    """From an empty folder: the same plugins in the same order, the same settings and models, and it answers."""
    home = tmp_path / "home"
    home.mkdir()
    where = run(installed, "-c", _WHERE, cwd=home)
    assert not Path(where).is_relative_to(ROOT)

    def told(python: str | Path, cwd: Path) -> tuple[Any, Any]:
        plugins, settings = rom_json(python, "plugins", cwd=cwd), rom_json(python, "config", cwd=cwd)
        assert not plugins["problems"]
        return (
            [(plugin["name"], plugin["enabled"], plugin["hooks"]) for plugin in plugins["plugins"]],
            {name: entry["value"] for name, entry in settings["settings"].items()},
        )

    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("settings.toml", ".secrets.toml"):
        shutil.copy(ROOT / name, clone / name)
    assert told(installed, home) == told(sys.executable, clone)

    rows = (ROOT / "bench/workload/conversations.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (home / "work.jsonl").write_text("".join(rows[:4]), encoding="utf-8")
    cost = rom_json(installed, "cost", "--workload", "work.jsonl", cwd=home)
    assert cost["total"]["usd"] <= 1.01 * cost["without_caching"]["usd"]

    server = RomServer(home, python=str(installed))
    try:
        assert "<!doctype html>" in server.get("/").text
        answer = server.chat("O número 0001234-08.2023.8.26.0100 é válido?").json()
        assert [call["status"] for call in answer["tool_calls"]] == ["success"]
        first = json.loads(server.lines[0])
        assert (first["event"], first["root"], first["files"]) == ("settings.read", str(home), [])
        assert first["state"] == f"{server.state_dir}/rom.db"
    finally:
        server.signal()
        server.wait()
        shutil.rmtree(server.state_dir, ignore_errors=True)


NOTES = {
    "notes_plugin/__init__.py": """
import falcon
from rom_core.markers import hookimpl
from rom_core.settings import Setting
from rom_core.tables import Tables


class Notes:
    auth = "open"

    @hookimpl
    def rom_settings(self):
        return [Setting("NOTES_ENABLED", bool, True, "Keeps notes.", switch=True)]

    @hookimpl
    def rom_tables(self):
        from notes_plugin.tables import METADATA
        return Tables(METADATA, migrations="notes_plugin.migrations")

    @hookimpl
    def rom_routes(self, app, runtime):
        self.store = runtime.store
        app.add_route("/notes", self)

    def on_post(self, req, resp):
        from notes_plugin.tables import LINES
        from sqlalchemy import insert
        line = req.bounded_stream.read().decode()
        self.store.write(lambda connection: connection.execute(insert(LINES).values(line=line)).rowcount)
        resp.status = falcon.HTTP_204

    def on_get(self, req, resp):
        from notes_plugin.tables import LINES
        from sqlalchemy import select
        resp.media = list(self.store.read(lambda c: c.execute(select(LINES.c.line)).scalars().all()))
""",
    "notes_plugin/tables.py": """
from sqlalchemy import Column, Integer, MetaData, Table, Text

METADATA = MetaData()
LINES = Table("notes_lines", METADATA, Column("id", Integer, primary_key=True), Column("line", Text, nullable=False))
""",
    "notes_plugin/migrations/__init__.py": "",
    "notes_plugin/migrations/r0001_lines.py": """
import sqlalchemy as sa
from alembic import op

revision, down_revision, oldest_release = "0001", None, "1.0"


def upgrade():
    op.create_table(
        "notes_lines", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("line", sa.Text(), nullable=False)
    )
""",
    "notes_plugin-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: notes-plugin\nVersion: 1.0\n",
    "notes_plugin-1.0.dist-info/entry_points.txt": "[rom.plugins]\nnotes = notes_plugin:Notes\n",
}


@pytest.mark.timeout(300)
def test_a_third_partys_tables_are_kept_by_the_wheel(installed: Path, tmp_path: Path) -> None:
    """A plugin of another distribution keeps something across a restart; once it is uninstalled its table stays."""
    (site,) = installed.parents[1].glob("lib/*/site-packages")
    for name, content in NOTES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(content)
    state = str(tmp_path / "state")
    home = tmp_path / "home"
    home.mkdir()
    try:
        for begun in (True, False):
            server = RomServer(home, python=str(installed), STATE_DIR=state)
            try:
                if begun:
                    assert requests.post(f"{server.url}/notes", data=b"one", timeout=10).status_code == 204
                assert server.get("/notes").json() == ["one"]
            finally:
                server.signal()
                server.wait()
    finally:
        for name in ("notes_plugin", "notes_plugin-1.0.dist-info"):
            shutil.rmtree(site / name)
    server = RomServer(home, python=str(installed), STATE_DIR=state)
    try:
        assert server.get("/ready").status_code == 200
    finally:
        server.signal()
        server.wait()
    with closing(sqlite3.connect(tmp_path / "state" / "rom.db")) as connection:
        assert connection.execute("SELECT line FROM notes_lines").fetchall() == [("one",)]


@pytest.mark.timeout(300)
def test_a_distribution_of_ones_own_works_beside_the_wheel(built: Path, tmp_path: Path) -> None:
    """`rom new-plugin --distribution`: what it prints is run as it is printed, in an environment that has the wheel.

    It is installed, its tests pass, mypy is content with it in strict mode, and the server finds it.
    """
    folder = tmp_path / "rom-house-style"
    rom = environment(tmp_path / "with_wheel", built).parent / "rom"
    printed = run(rom, "new-plugin", "house_style", "--distribution", folder, cwd=tmp_path).partition("next, in ")[2]
    make, ours, *commands = [line.strip() for line in printed.splitlines()[1:]]
    (wheel,) = built.glob("*.whl")
    assert (make, ours) == ("python3 -m venv .venv", f".venv/bin/python -m pip install {wheel}")
    environment(folder / ".venv", built)

    # Nothing is fetched: what the build needs is there as well.
    told = [run("sh", "-c", command, cwd=folder, PIP_NO_BUILD_ISOLATION="false") for command in commands]
    assert "3 passed" in told[1]
    assert told[2].startswith("Success: no issues found")
    assert "house_style: off" in told[3]
    assert not Path(run(folder / ".venv/bin/python", "-c", _WHERE, cwd=folder)).is_relative_to(ROOT)
    # A mistake in a type of ours is found: mypy has read them and not taken everything for Any.
    module = folder / "src" / "rom_house_style" / "__init__.py"
    module.write_text(module.read_text().replace("attempt.turn.settings", "attempt.turned.settings"))
    with pytest.raises(AssertionError, match='"Attempt" has no attribute "turned"'):
        run("sh", "-c", commands[2], cwd=folder)
