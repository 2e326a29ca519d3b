"""The pages for operators name only what exists: scripts, commands, options, links, defaults."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest

from rom_core.catalogue import Catalogue
from rom_core.cli import main
from rom_core.cli_gate import gate

ROOT = Path(__file__).parents[1]
PAGES = ("rollback.md", "go-live.md", "gate.md")


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
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
        elif word.startswith("--"):
            options = [option for parameter in command.params for option in parameter.opts]
            assert word.split("=")[0] in options, f"rom {words}"
    assert command is not main, f"rom {words}"


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_a_page_sets_are_declared(page: str) -> None:
    """Of the form NAME=value."""
    declared = {setting.name for setting in Catalogue.installed().settings}
    elsewhere = {"ROM_URL", "ROM_ADMIN_TOKEN", "RENDER_API_KEY", "RENDER_SERVICE_ID"}
    for name in re.findall(r"\b([A-Z][A-Z_]{3,})=", (ROOT / "docs" / page).read_text()):
        assert name in declared | elsewhere, name


def test_the_limits_of_the_gate_are_the_documented_ones() -> None:
    """Option by option."""
    rows = re.findall(r"^\| \w+ \| `(--max-[\w-]+)` \| (\S+) \|", (ROOT / "docs/gate.md").read_text(), re.MULTILINE)
    defaults = {p.opts[0]: str(p.default) for p in gate.params if p.opts[0].startswith("--max-")}
    assert dict(rows) == defaults
