"""The commands that look at an installation: what they say, and that exit codes mean something."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from store_support import opened

from rom_core import hookspecs
from rom_core.cli import main
from rom_core.cli.plugins import plugins_as_json
from rom_core.errors import PluginError
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import GROUP, Catalogue, Plugin
from rom_core.settings import Setting, load_settings
from rom_core.store.overrides import Change, Version

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


def test_a_folder_that_is_gone_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the command, and what to do is said."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = CliRunner().invoke(main, ["config"])
    assert result.exit_code == 1
    assert "change to another one" in result.output


def test_config_refuses_a_name_that_nobody_declared() -> None:
    """Exit code 2, with the name that was probably meant."""
    result = rom("config", "MAX_TOKNES")
    assert result.exit_code == 2
    assert "did you mean MAX_TOKENS?" in result.output


BROKEN = """\
[default]
MAX_TOKENS = 0
TURN_DEADLINE_SECONDS = 1000
NOBODY = 1
[testing]
RETRY_ENABLED = true
"""
BROKEN_NAMES = ["MAX_TOKENS", "NOBODY", "TURN_DEADLINE_SECONDS"]


@pytest.mark.parametrize("command", ["config", "plugins"])
def test_settings_that_cannot_be_used_are_shown_with_what_is_wrong(project: Path, command: str) -> None:
    """What could be read goes to stdout, every reason to stderr, and the exit code is 3."""
    (project / "settings.toml").write_text(BROKEN)
    result = rom(command)
    assert result.exit_code == 3
    assert "RETRY_ENABLED" in result.stdout
    assert "settings.toml [testing]" in result.stdout
    assert "Invalid settings, 3 problems:" in result.stderr
    assert all(f"  {name}: " in result.stderr for name in BROKEN_NAMES)
    asked = rom(command, "--json")
    shown = json.loads(asked.stdout)
    assert (asked.exit_code, shown["environment"]) == (3, "testing")
    assert [problem["name"] for problem in shown["problems"]] == BROKEN_NAMES


def test_config_marks_what_is_wrong(project: Path) -> None:
    """With the value that there would be without it, even where only changes are asked for."""
    (project / "settings.toml").write_text(BROKEN)
    lines = {line.split()[0]: line for line in rom("config", "--changed").stdout.splitlines()}
    assert list(lines) == ["environment:", "MAX_TOKENS", "TURN_DEADLINE_SECONDS", "RETRY_ENABLED"]
    assert lines["MAX_TOKENS"].endswith("4096  default  see the problem below")
    assert lines["TURN_DEADLINE_SECONDS"].endswith("1000.0  settings.toml [default]  see the problem below")
    assert "problem" not in lines["RETRY_ENABLED"]


@pytest.mark.parametrize(
    ("text", "reason"), [("[default\n", "not valid TOML"), ("[default]\nSTATE_DIR = ' '\n", "must not be blank")]
)
def test_files_that_cannot_be_read_are_no_traceback(project: Path, text: str, reason: str) -> None:
    """Not even where the store of overrides is can be said then; the rest is shown."""
    (project / "settings.toml").write_text(text)
    for command in ("config", "plugins"):
        result = rom(command)
        assert (result.exit_code, reason in result.stderr, "METRICS_ENABLED" in result.stdout) == (3, True, True)


def test_doctor_goes_on_with_what_it_can_read(project: Path) -> None:
    """Each problem is a finding like any other, and the other checks are made: exit code 1, JSON for who asked."""
    (project / "settings.toml").write_text(BROKEN)
    result = rom("doctor", "--json")
    shown = json.loads(result.stdout)
    failed = [finding["text"] for finding in shown["findings"] if finding["about"] == "settings"]
    assert (result.exit_code, shown["environment"]) == (1, "testing")
    assert [text.partition(":")[0] for text in failed] == BROKEN_NAMES
    assert {"switch", "models", "data"} <= {finding["about"] for finding in shown["findings"]}


@pytest.mark.parametrize("command", ["config", "plugins", "doctor"])
def test_looking_makes_nothing(project: Path, command: str) -> None:
    """No STATE_DIR, no database, no copy: a command that looks leaves the folder as it found it."""
    (project / ".env").write_text("AWS_REGION=sa-east-1\n")
    before = sorted(project.rglob("*"))
    assert rom(command).exit_code == 0
    assert sorted(project.rglob("*")) == before


def test_stored_overrides_are_shown_and_what_of_them_is_skipped(project: Path) -> None:
    """Read without being touched; one that does not fit this code is told, and is no reason to fail."""
    changes = [Change("MAX_TOKENS", "set", 2000, 3000), Change("NOBODY", "set", None, 1)]
    opened(project / "var").append(1, [Version(2, 0.0, "ana", changes=tuple(changes))])
    before = {path: path.read_bytes() for path in (project / "var").iterdir()}
    result = rom("config", "MAX_TOKENS")
    assert (result.exit_code, "3000  override" in result.stdout) == (0, True)
    assert "override skipped: NOBODY: " in result.stderr
    doctor = {finding["about"]: finding for finding in rom_json("doctor")["findings"]}
    assert (doctor["override"]["status"], "NOBODY is skipped" in doctor["override"]["text"]) == ("warn", True)
    (project / "settings.toml").write_text(BROKEN)
    assert "3000  override" in rom("config", "MAX_TOKENS").stdout
    assert {path: path.read_bytes() for path in (project / "var").iterdir()} == before


class Misspelt:
    """A plugin whose hook does not exist."""

    @hookimpl
    def rom_trun(self) -> None:
        """A typing error."""


@pytest.mark.parametrize("command", ["config", "plugins", "doctor"])
def test_a_plugin_that_breaks_the_contract_is_shown(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rom serve` stops at it; what looks shows it as broken, with the reason, beside all the others."""
    points = [
        *entry_points(group=GROUP),
        SimpleNamespace(name="odd", value="odd:Odd", dist=None, load=lambda: Misspelt),
    ]
    monkeypatch.setattr("rom_core.plugin.catalogue.entry_points", lambda group: points)
    result = rom(command)
    assert result.exit_code == (1 if command == "doctor" else 3)
    assert "plugin odd: " in result.output
    assert "rom_trun" in result.output
    if command == "plugins":
        assert "odd: broken" in result.stdout
        assert "retry: on" in result.stdout
    with pytest.raises(PluginError, match="rom_trun"):
        Catalogue.installed(hookspecs)
    monkeypatch.setenv("MAX_TOKENS", "0")
    both = rom(command).output
    assert "plugin odd: " in both
    assert "MAX_TOKENS: environment: must be at least 1" in both


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
    catalogue = Catalogue(
        hookspecs, [Plugin("odd", None, "ODD_ENABLED", (switch,), error="it does not load: no module")]
    )
    settings = load_settings(catalogue.settings, root=tmp_path / "nowhere", environ={})
    (shown,) = plugins_as_json(catalogue, settings)
    assert (shown["enabled"], shown["error"]) == (False, "it does not load: no module")


def test_a_plugin_that_is_on_and_does_not_import_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off it is only shown; switched on, it is why the server would not start."""

    def load() -> None:
        raise ImportError("no module named odd")

    odd = SimpleNamespace(name="odd", value="odd:Odd", dist=None, load=load)
    monkeypatch.setattr("rom_core.plugin.catalogue.entry_points", lambda group: [odd])
    monkeypatch.setenv("PLUGINS", "odd")
    (Path.cwd() / "settings.toml").write_text("")
    off = rom("plugins")
    assert (off.exit_code, "odd: broken" in off.stdout) == (0, True)
    monkeypatch.setenv("ODD_ENABLED", "true")
    on = rom("plugins")
    assert (on.exit_code, "odd: broken" in on.stdout) == (3, True)
    assert "ODD_ENABLED: plugin 'odd': ODD_ENABLED is on, but it does not load" in on.stderr


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


def test_a_damaged_store_is_read_from_its_copy(project: Path) -> None:
    """One bad byte, which is no text, keeps no command from showing what the server would start with."""
    opened(project / "var").append(1, [Version(2, 2.0, "ana", changes=(Change("MAX_TOKENS", "set", 1, 77),))])
    file = project / "var" / "rom.db"
    file.write_bytes(file.read_bytes().replace(b"MAX_TOKENS", b"MAX\xffTOKENS"))
    assert rom_json("config", "MAX_TOKENS")["settings"]["MAX_TOKENS"]["value"] == 77
    assert rom("doctor").exit_code in (0, 1)
