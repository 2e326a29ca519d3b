"""A new plugin's files in a clone of the project: the plugin, its test, its entry point and its switch."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_GROUP = "rom.plugins ="
_SECTIONS = ("development", "testing")

PLUGIN = '''\
"""{title}: says in one sentence what it does for whom.

Settings: {switch} (switch), {upper}_TEXT.
Hooks: rom_settings, rom_model_request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rom_core.markers import hookimpl
from rom_core.settings import Setting
from rom_core.turn import Attempt


def amended(system: Sequence[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The system blocks of a Converse request with `text` behind them, if there is any."""
    return [*system, {{"text": text}}] if text.strip() else [*system]


class {cls}:
    """The plugin; it keeps nothing. One instance serves all threads: guard what you remember with a lock."""

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch, and what is added."""
        return [
            Setting("{switch}", bool, False, "Puts text behind the system prompt.", switch=True),
            Setting("{upper}_TEXT", str, "", "That text; empty adds nothing."),
        ]

    @hookimpl
    def rom_model_request(self, attempt: Attempt, request: dict[str, Any]) -> None:
        """Put the text of the turn's settings behind the system prompt."""
        request["system"] = amended(request["system"], attempt.turn.settings.{upper}_TEXT)
'''
TEST = '''\
"""The plugin {name}."""

from __future__ import annotations

from typing import Any

from support import make_runtime, make_turn, says

from plugins.{name} import {cls}, amended

OURS = {{"text": "You answer."}}
TEXT = {{"{upper}_TEXT": "Be brief."}}


def system_of(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The system blocks that reach the model with these settings."""
    plugins = {{"{name}": {cls}()}}
    runtime, transport = make_runtime(says("ok"), plugins=plugins, **values)
    runtime.run(make_turn(runtime))
    blocks: list[dict[str, Any]] = transport.requests[0]["system"]
    return blocks


def test_blank_text_adds_nothing() -> None:
    """Only text that says something becomes a block."""
    assert amended([OURS], " ") == [OURS]


def test_the_text_stands_behind_the_system_prompt() -> None:
    """The model reads the system prompt first, then the plugin's text."""
    assert system_of(TEXT) == [OURS, {{"text": "Be brief."}}]


def test_switched_off_it_changes_nothing() -> None:
    """The switch alone decides."""
    assert system_of(TEXT | {{"{switch}": False}}) == [OURS]
'''
_WHERE = "go to a clone of the project, or make a distribution of its own with --distribution PATH"
_MAX_NAME = 24
_NEXT = (
    # Installs the entry point too, because setup.cfg has changed.
    "make docs env-example",
    ".venv/bin/python -m pytest tests/plugins/test_{name}.py",
    "make test",
)


class CannotCreate(Exception):
    """The plugin cannot be made; the text says why. Nothing was written."""


def commands(name: str) -> list[str]:
    """What makes the new plugin `name` part of the project, as shell commands in its folder, in order.

    The entry point is installed and what is generated is written anew, then the plugin's own test is run, then all.
    """
    return [command.format(name=name) for command in _NEXT]


def names(name: str) -> dict[str, str]:
    """What is called after the plugin `name`: its class, its switch, … Raises CannotCreate for one that is no good."""
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME or keyword.iskeyword(name):
        raise CannotCreate(f"{name!r} cannot be a plugin's name: lower case, digits, single underscores")
    words = name.split("_")
    return {
        "name": name,
        "upper": name.upper(),
        "switch": f"{name.upper()}_ENABLED",
        "cls": "".join(word.capitalize() for word in words),
        "title": " ".join(words).capitalize(),
    }


def new_plugin(name: str, root: Path) -> list[Path]:
    """Write the plugin `name` into the project at `root`; the files written or changed.

    Raises CannotCreate: a name that is no good or taken, or `root` is not the project's folder.
    """
    fields = names(name)
    created = {
        root / "plugins" / f"{name}.py": PLUGIN.format_map(fields),
        root / "tests" / "plugins" / f"test_{name}.py": TEST.format_map(fields),
    }
    for path in (*created, root / "plugins" / name):
        if path.exists():
            raise CannotCreate(f"{path.relative_to(root)} exists")
    texts = {
        **created,
        root / "setup.cfg": _with_entry_point(_read(root / "setup.cfg"), fields),
        root / "settings.toml": _with_switch(_read(root / "settings.toml"), fields),
    }
    refuse_taken(fields)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def refuse_taken(fields: Mapping[str, str]) -> None:
    """Raise CannotCreate for what an installed plugin or the core is called already: the server would not start."""
    catalogue = Catalogue.installed(hookspecs, [])
    if fields["name"] in catalogue.plugins:
        raise CannotCreate(f"plugin {fields['name']!r} is installed: {catalogue.plugins[fields['name']].origin}")
    owners = {setting.name: setting.plugin for setting in catalogue.settings}
    for setting in (fields["switch"], f"{fields['upper']}_TEXT"):
        if setting in owners:
            raise CannotCreate(f"{setting} is a setting of {owners[setting] or 'the core'}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        raise CannotCreate(f"there is no {path.name} here; {_WHERE}") from None


def _with_entry_point(text: str, fields: Mapping[str, str]) -> str:
    """setup.cfg with the plugin among the others, in the order of names."""
    lines = text.splitlines(keepends=True)
    if f"{_GROUP}\n" not in lines:
        raise CannotCreate(f"setup.cfg has no line {_GROUP!r}; {_WHERE}")
    at = lines.index(f"{_GROUP}\n") + 1
    while at < len(lines) and lines[at].startswith(" "):
        known = lines[at].split("=")[0].strip()
        if known == fields["name"]:
            raise CannotCreate(f"setup.cfg has an entry point {known!r} already")
        if known > fields["name"]:
            break
        at += 1
    return "".join([*lines[:at], "    {name} = plugins.{name}:{cls}\n".format_map(fields), *lines[at:]])


def _with_switch(text: str, fields: Mapping[str, str]) -> str:
    """settings.toml with the switch on in development and testing; elsewhere the declared default, off, holds."""
    if re.search(rf"^{fields['switch']}\b", text, re.MULTILINE):
        raise CannotCreate(f"settings.toml sets {fields['switch']} already")
    for section in _SECTIONS:
        text, found = re.subn(
            rf"^(\[{section}\]\n)", rf"\g<1>{fields['switch']} = true\n", text, count=1, flags=re.MULTILINE
        )
        if not found:
            raise CannotCreate(f"settings.toml has no section [{section}]")
    return text
