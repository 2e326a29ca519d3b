"""--root and ROM_HOME: which folder's settings a command reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rom_core.cli import main

COMMANDS = ("config", "plugins", "doctor")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings; the current one is another, without any."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (there / "settings.toml").write_text("[production]\nMAX_TOKENS = 1234\nALLOW_UNAUTHENTICATED = true\n")
    (there / ".env").write_text("ROM_ENV=production\n")
    monkeypatch.chdir(here)
    return there


def rom(*arguments: str, **environ: str) -> Result:
    """Run the command; whatever goes wrong must not be a traceback."""
    result = CliRunner().invoke(main, arguments, env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.mark.parametrize("way", ["option", "variable"])
def test_the_named_folder_is_read(elsewhere: Path, way: str) -> None:
    """Its settings.toml and its .env, by the option after the command or by the variable."""
    option, variable = (["--root", str(elsewhere)], {}) if way == "option" else ([], {"ROM_HOME": str(elsewhere)})
    for command in COMMANDS:
        assert json.loads(rom(command, *option, "--json", **variable).stdout)["environment"] == "production"
    settings = json.loads(rom("config", "MAX_TOKENS", *option, "--json", **variable).stdout)["settings"]
    assert settings["MAX_TOKENS"]["value"] == 1234


def test_the_option_outranks_the_variable(elsewhere: Path, tmp_path: Path) -> None:
    """What stands in the command line is meant."""
    result = rom("config", "--root", str(elsewhere), "--json", ROM_HOME=str(tmp_path / "here"))
    assert json.loads(result.stdout)["environment"] == "production"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Exit code 2: it was asked for wrongly."""
    for command in (*COMMANDS, "serve"):
        result = rom(command, "--root", str(tmp_path / "nowhere"))
        assert (result.exit_code, "does not exist" in result.output) == (2, True)


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_staging_and_production_need_settings(elsewhere: Path, environment: str) -> None:
    """`rom serve` ends with exit code 1 and one sentence, and makes nothing; who only looks is told too."""
    result = rom("serve", ROM_ENV=environment)
    assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
    assert f"{environment} does not start without a settings.toml" in result.output
    assert "--root or ROM_HOME" in result.output
    assert list(Path.cwd().iterdir()) == []
    for command in ("config", "plugins"):
        result = rom(command, ROM_ENV=environment)
        assert (result.exit_code, "does not start without a settings.toml" in result.output) == (3, True)
