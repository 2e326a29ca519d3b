"""The pages for operators name only what exists: scripts, commands, options, links, defaults."""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path

import click
import pytest

from rom_core import hookspecs
from rom_core.cli import main
from rom_core.cli.gate import gate
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import MIN_KEY_CHARS

ROOT = Path(__file__).parents[1]
PAGES = ("rollback.md", "go-live.md", "gate.md", "canary.md", "operate.md", "rotation.md")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page: str) -> None:
    """Scripts can be run; commands and their options exist; links lead to a page and its heading."""
    text = (ROOT / "docs" / page).read_text()
    for script in re.findall(r"scripts/[\w.-]+\.sh", text):
        assert os.access(ROOT / script, os.X_OK), script
    for words in re.findall(r"(?:^|`)rom ([^`\n#]+)", text, re.MULTILINE):
        assert_command(words)
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text):
        linked = (ROOT / "docs" / (target or page)).read_text()
        titles = {
            re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)", linked, re.M)
        }
        assert not anchor or anchor in titles


def assert_command(words: str) -> None:
    """Follow the words from group to command, then look the options up."""
    command: click.Command = main
    for word in words.split():
        inner = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if inner is not None:
            command = inner
        elif word.startswith("--"):
            options = [option for parameter in command.params for option in parameter.opts]
            assert word.split("=")[0] in options, f"rom {words}"
        else:
            assert not isinstance(command, click.Group), f"rom {words}: there is no {word}"
    assert command is not main, f"rom {words}"


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_a_page_sets_are_declared(page: str) -> None:
    """Of the form NAME=value."""
    declared = {setting.name for setting in Catalogue.installed(hookspecs).settings}
    elsewhere = {"OLD", "NEW", "ROM_URL", "ROM_ADMIN_TOKEN", "RENDER_API_KEY", "RENDER_SERVICE_ID", "BACKUP_DIR"}
    for name in re.findall(r"\b([A-Z][A-Z_]{3,})=", (ROOT / "docs" / page).read_text()):
        assert name in declared | elsewhere, name


def test_the_limits_of_the_gate_are_the_documented_ones() -> None:
    """Option by option."""
    rows = re.findall(r"^\| \w+ \| `(--max-[\w-]+)` \| (\S+) \|", (ROOT / "docs/gate.md").read_text(), re.MULTILINE)
    defaults = {p.opts[0]: str(p.default) for p in gate.params if p.opts[0].startswith("--max-")}
    assert dict(rows) == defaults


def rows(page: str, title: str) -> list[list[str]]:
    """The cells of a table, by the title of its first column."""
    section = (ROOT / "docs" / page).read_text().split(f"| {title} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in section.splitlines()[2:]]


def test_every_alert_rule_is_explained() -> None:
    """operate.md has a row for each, with its severity, what it means and what to do; and for no other."""
    rules = re.findall(
        r"alert: (\w+).*?severity: (\w+)", (ROOT / "ops/prometheus/rom.rules.yml").read_text(), re.DOTALL
    )
    documented = rows("operate.md", "Alert")
    assert [(name, severity) for name, severity, *_ in documented] == rules
    assert all(len(row) == 4 and all(row) for row in documented)


def test_every_message_to_the_webhook_is_explained() -> None:
    """By its title, as far as that is fixed."""
    titles = set()
    for node in ast.walk(ast.parse((ROOT / "plugins/alerts/messages.py").read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Message":
            title = node.args[2]
            fixed = title.values[0] if isinstance(title, ast.JoinedStr) else title
            assert isinstance(fixed, ast.Constant)
            titles.add(re.sub(r"(?<!Canary waits): .*$", "", str(fixed.value)))
    documented = rows("operate.md", "Message")
    assert {row[0] for row in documented} == titles
    assert all(len(row) == 3 and all(row) for row in documented)


def test_the_settings_of_the_canary_are_documented_with_their_defaults() -> None:
    """As declared."""
    declared = {
        setting.name: json.dumps(setting.default)
        for setting in Catalogue.installed(hookspecs).settings
        if setting.plugin == "canary"
    }
    documented = {name: default for name, default, *_ in rows("canary.md", "Setting")}
    assert declared == documented


def test_going_live_is_the_plan() -> None:
    """The phases and their windows as declared, and a stop point before each of them is left."""
    text = (ROOT / "docs/go-live.md").read_text()
    phases = next(s.default for s in Catalogue.installed(hookspecs).settings if s.name == "CANARY_PHASES")
    assert ", ".join(f"{share[:-1]} % for {window[:-1]} h" for share, window in (p.split(":") for p in phases)) in text
    assert re.findall(r"\*\*STOP (\d)", text) == ["1", "2", "3", "4", "5"]
    assert "rom release-check" in text
    assert text.count("rom canary approve") == len(phases)


def test_values_are_written_the_same_way_everywhere() -> None:
    """As they are shown: a switch is `true` or `false` in what a person copies, never on, off, yes or no."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "ops").rglob("*.yml")]
    code = [path for folder in ("rom_core", "plugins") for path in (ROOT / folder).rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}: {wrong}"
        for path in (*pages, *code, *(ROOT / ".github").rglob("*.yml"))
        for wrong in re.findall(r"\b[A-Z_]{3,}_ENABLED=(?:on|off|yes|no|1|0)\b", path.read_text())
    ]
    assert found == []


def test_the_shortest_key_is_in_the_readme() -> None:
    """Before somebody meets it as a refusal."""
    assert f"at least {MIN_KEY_CHARS} random characters" in " ".join((ROOT / "README.md").read_text().split())
