"""The commands that look at an installation: what they say, and that exit codes mean something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rom_core.catalogue import Catalogue, Plugin
from rom_core.cli import main
from rom_core.cli.plugins import plugins_as_json
from rom_core.config import Setting, load_settings

SETTINGS = """\
[default]
PLUGINS = ["metrics", "limiter"]
MAX_TOKENS = 1000
[testing]
RETRY_ENABLED = true
MAX_TOKENS = 2000
BEDROCK_ENABLED = true
BEDROCK_ENDPOINT_URL = "local"
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with these settings, in the environment `testing`."""
    (tmp_path / "settings.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROM_ENV", "testing")
    return tmp_path


def rom(*arguments: str) -> Result:
    """Run the command; whatever goes wrong must not be a traceback."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def rom_json(*arguments: str) -> Any:
    """What it prints with --json."""
    result = rom(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_config_shows_the_value_in_force_and_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section over default, environment over files, and each named."""
    monkeypatch.setenv("MAX_LOOPS_HARD", "20")
    shown = rom_json("config")
    assert shown["environment"] == "testing"
    settings = shown["settings"]
    assert (settings["MAX_TOKENS"]["value"], settings["MAX_TOKENS"]["source"]) == (2000, "settings.toml [testing]")
    assert (settings["MAX_LOOPS_HARD"]["value"], settings["MAX_LOOPS_HARD"]["source"]) == (20, "environment")
    assert settings["MAX_LOOPS_HARD"]["plugin"] == "guardrails"
    assert settings["MAX_LOOPS_SOFT"]["source"] == "default"


def test_config_masks_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the table nor the JSON holds a key."""
    monkeypatch.setenv("API_KEYS", "office=do-not-show-me-1234")
    assert rom_json("config", "API_KEYS")["settings"]["API_KEYS"]["value"] == "***"
    assert "do-not-show" not in rom("config").output


def test_config_narrows_to_names_and_to_what_is_changed() -> None:
    """NAMEs show these alone, --changed leaves defaults out; the plain form has one line for each."""
    assert list(rom_json("config", "MAX_TOKENS", "PORT")["settings"]) == ["MAX_TOKENS", "PORT"]
    assert "MAX_LOOPS_SOFT" not in rom_json("config", "--changed")["settings"]
    lines = rom("config", "--changed").output.splitlines()
    assert [line for line in lines if line.startswith("MAX_TOKENS")] == [
        "MAX_TOKENS            2000  settings.toml [testing]"
    ]


def test_config_refuses_a_name_that_nobody_declared() -> None:
    """Exit code 2, with the name that was probably meant."""
    result = rom("config", "MAX_TOKNES")
    assert result.exit_code == 2
    assert "did you mean MAX_TOKENS?" in result.output


@pytest.mark.parametrize("command", ["config", "plugins"])
def test_settings_that_cannot_be_used_are_a_message(project: Path, command: str) -> None:
    """Exit code 3 and the reason."""
    (project / "settings.toml").write_text("[default]\nMAX_TOKENS = 0\n")
    result = rom(command)
    assert result.exit_code == 3
    assert "must be at least 1" in result.output


def test_doctor_reports_settings_that_cannot_be_used(project: Path) -> None:
    """They are a finding like any other: exit code 1, and JSON for who asked for it."""
    (project / "settings.toml").write_text("[default]\nMAX_TOKENS = 0\n")
    result = rom("doctor", "--json")
    (finding,) = json.loads(result.stdout)["findings"]
    assert (result.exit_code, finding["about"], finding["status"]) == (1, "settings", "fail")
    assert "must be at least 1" in finding["text"]


def test_plugins_are_shown_in_their_order_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of PLUGINS first, the others innermost by name; on or off, by which switch and which layer."""
    monkeypatch.setenv("BOTTLENECK_LIMITER_ENABLED", "true")
    plugins = rom_json("plugins")["plugins"]
    names = [plugin["name"] for plugin in plugins]
    assert names[:2] == ["metrics", "limiter"]
    assert names[2:] == sorted(names[2:])
    by_name = {plugin["name"]: plugin for plugin in plugins}
    assert by_name["limiter"]["enabled"]
    assert by_name["limiter"]["because"] == "BOTTLENECK_LIMITER_ENABLED is true (environment)"
    assert not by_name["breaker"]["enabled"]
    assert by_name["breaker"]["because"].startswith("CIRCUIT_BREAKER_ENABLED is false (default); not named in PLUGINS")
    assert "rom_turn" in by_name["limiter"]["hooks"]
    assert "QUEUE_TIMEOUT_SECONDS" in by_name["limiter"]["settings"]
    text = rom("plugins").output
    assert " 2 limiter: on\n" in text
    assert "RETRY_ENABLED is true (settings.toml [testing])" in text


def test_a_plugin_that_does_not_load_is_shown_with_its_error(tmp_path: Path) -> None:
    """Broken is not the same as off."""
    switch = Setting("ODD_ENABLED", bool, False, "plugin odd", switch=True, plugin="odd")
    catalogue = Catalogue([Plugin("odd", None, "ODD_ENABLED", (switch,), error="it does not load: no module")])
    settings = load_settings(catalogue.settings, root=tmp_path / "nowhere", environ={})
    (shown,) = plugins_as_json(catalogue, settings)
    assert (shown["enabled"], shown["error"]) == (False, "it does not load: no module")


def test_doctor_says_what_fails_and_its_exit_code_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 with warnings only, 1 with a failure; every failure says what to do."""
    assert rom_json("doctor")["ok"]
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "")
    result = rom("doctor", "--json")
    assert result.exit_code == 1
    failures = [finding for finding in json.loads(result.stdout)["findings"] if finding["status"] == "fail"]
    assert [(failure["about"], failure["todo"]) for failure in failures] == [("bearer", "unset it")]
    text = rom("doctor").output
    assert "fail  bearer:" in text
    assert "→ unset it" in text
