"""`rom new-plugin`: what it writes works at once, and it never writes over anything."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from click.testing import CliRunner

from rom_core import __version__
from rom_core.cli import main
from rom_core.ops import scaffold_distribution

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the parts of the project that a plugin touches, as the current directory."""
    shutil.copytree(ROOT / "plugins", tmp_path / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    for name in (
        "setup.cfg",
        "settings.toml",
        "ruff.toml",
        "tests/support.py",
        "tests/workers.py",
        "tests/conftest.py",
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_plugin_passes_the_linter(tree: Path) -> None:
    """The four files are in place, and nothing is left to tidy up."""
    name = "a_name_of_24_characters"
    result = CliRunner().invoke(main, ["new-plugin", name])
    assert result.exit_code == 0, result.output
    produced = [f"plugins/{name}.py", f"tests/plugins/test_{name}.py"]
    written = [line.removeprefix("wrote ") for line in result.output.splitlines() if line.startswith("wrote ")]
    assert written == [*produced, "setup.cfg", "settings.toml"]
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", *command, *produced],
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def shell(tree: Path, command: str) -> str:
    """Run a command line as a person in this folder would, without any network; what it prints."""
    environ = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    run = subprocess.run(
        command, shell=True, cwd=tree, env=environ, capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.timeout(300)
def test_the_commands_it_prints_do_what_is_said(tree: Path) -> None:
    """They are run as they are printed: the plugin is installed, documented and tested; the last one tests everything.

    The project's virtual environment stands behind a new one, so that nothing is fetched and nothing of it changes.
    """
    for name in ("Makefile", "pyproject.toml", "requirements", "rom_core", "local_bedrock", "docs"):
        if (ROOT / name).is_dir():
            # Whoever runs at the same time writes there.
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    # What is installed here need not be what the lock says, and nothing may be fetched.
    (tree / "requirements" / "run.lock").write_text("# nothing\n")
    venv.create(tree / ".venv")
    (own,) = (tree / ".venv").glob("lib/*/site-packages")
    (own / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    printed = CliRunner().invoke(main, ["new-plugin", "house_style"]).output.partition("next:\n")[2]
    install, test, everything = [line.strip() for line in printed.splitlines()]

    shell(tree, install)
    assert "house_style" in shell(tree, ".venv/bin/rom plugins")
    assert "`HOUSE_STYLE_ENABLED`" in (tree / "docs" / "configuration.md").read_text()
    assert "# HOUSE_STYLE_ENABLED=false" in (tree / ".env.example").read_text()
    assert "3 passed" in shell(tree, test)
    assert everything == "make test"
    assert "scripts/ci-local.sh" in shell(tree, f"{everything} --dry-run")


def test_entry_point_and_switch_stand_where_they_belong(tree: Path) -> None:
    """The entry point among the others, in order of names; the switch on where people try things out, only there."""
    CliRunner().invoke(main, ["new-plugin", "house_style"])
    configuration = configparser.ConfigParser()
    configuration.read(tree / "setup.cfg")
    points = [line.split(" = ") for line in configuration["options.entry_points"]["rom.plugins"].strip().splitlines()]
    assert ["house_style", "plugins.house_style:HouseStyle"] in points
    assert points == sorted(points)
    sections = tomllib.loads((tree / "settings.toml").read_text())
    assert [name for name, section in sections.items() if section.get("HOUSE_STYLE_ENABLED")] == [
        "development",
        "testing",
    ]
    assert not any("HOUSE_STYLE_ENABLED" in sections[name] for name in ("default", "staging", "production"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("retry", "exists"),
        ("legal_tools", "exists"),
        ("logging", "LOGGING_ENABLED is a setting of request_log"),
        ("House", "cannot be a plugin's name"),
        ("class", "cannot be a plugin's name"),
        ("../up", "cannot be a plugin's name"),
        ("a_name_of_25_characters_xx", "cannot be a plugin's name"),
        ("a__b", "cannot be a plugin's name"),
    ],
)
def test_what_is_taken_or_no_name_is_refused(tree: Path, name: str, reason: str) -> None:
    """Exit code 2 with the reason, and nothing is written."""
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    result = CliRunner().invoke(main, ["new-plugin", name])
    assert (result.exit_code, reason in result.output) == (2, True), result.output
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


def test_a_switch_or_entry_point_of_that_name_is_not_doubled(tree: Path) -> None:
    """What another file declares already is found before anything is written."""
    CliRunner().invoke(main, ["new-plugin", "house_style"])
    (tree / "plugins" / "house_style.py").unlink()
    (tree / "tests" / "plugins" / "test_house_style.py").unlink()
    result = CliRunner().invoke(main, ["new-plugin", "house_style"])
    assert (result.exit_code, "already" in result.output) == (2, True)


def test_elsewhere_it_says_where_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the project nothing is written."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["new-plugin", "house_style"])
    assert ("clone of the project" in result.output, "--distribution PATH" in result.output) == (True, True)
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_distribution_is_written_wherever_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is made; the linter has nothing to say; of the clone it names only where it is."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["new-plugin", "a_name_of_24_characters", "--distribution", "mine/of my own"])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "mine" / "of my own"
    written = [line.removeprefix("wrote ") for line in result.output.splitlines() if line.startswith("wrote ")]
    assert sorted(tmp_path / path for path in written) == sorted(path for path in folder.rglob("*") if path.is_file())
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "rom-a-name-of-24-characters"
    assert project["entry-points"] == {
        "rom.plugins": {"a_name_of_24_characters": "rom_a_name_of_24_characters:ANameOf24Characters"}
    }
    assert f".venv/bin/python -m pip install --editable {ROOT}" in result.output
    # What others read says nothing of this machine.
    assert not [path for path in folder.rglob("*") if path.is_file() and str(ROOT) in path.read_text()]
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        subprocess.run([sys.executable, "-m", *command], cwd=folder, check=True, timeout=60)


@pytest.mark.parametrize(
    ("noted", "told"),
    [
        (None, f"rom-agent=={__version__}"),
        ("", f"rom-agent=={__version__}"),
        ('{"url": "file:///a%20clone", "dir_info": {"editable": true}}', "--editable '/a clone'"),
        ('{"url": "file:///w/rom.whl", "archive_info": {}}', "/w/rom.whl"),
        ('{"url": "https://example.com/rom.whl", "archive_info": {}}', "https://example.com/rom.whl"),
    ],
)
def test_rom_agent_is_installed_from_where_it_came(
    monkeypatch: pytest.MonkeyPatch, noted: str | None, told: str
) -> None:
    """A clone, a wheel, an address, or an index where pip has noted nothing."""

    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return noted

    monkeypatch.setattr(scaffold_distribution, "distribution", lambda name: Installed())
    assert scaffold_distribution.commands()[1] == f".venv/bin/python -m pip install {told}"


@pytest.mark.parametrize(
    ("name", "folder", "reason"),
    [
        ("house_style", "full", "full is not empty"),
        ("house_style", "full/file", "Not a directory"),
        ("retry", "new", "plugin 'retry' is installed"),
        ("logging", "new", "LOGGING_ENABLED is a setting of request_log"),
        ("House", "new", "cannot be a plugin's name"),
    ],
)
def test_a_distribution_is_never_written_over_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str, reason: str
) -> None:
    """Exit code 2 with the reason, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    result = CliRunner().invoke(main, ["new-plugin", name, "--distribution", folder])
    assert (result.exit_code, reason in result.output) == (2, True), result.output
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "file"]
