"""`rom config`: the settings in force here, and the layer that each came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from rom_core.cli.inspection import inspected
from rom_core.cli.root import ROOT
from rom_core.cli.terminal import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from rom_core.settings import Settings

_SHOWN_CHARS = 80
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("config")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@ROOT
@JSON
def config(names: tuple[str, ...], changed: bool, as_json: bool, root: Path) -> None:
    """Show the settings in force, or those NAMEd, and where each comes from; secrets are masked.

    The process that serves may have been started with another environment: see `rom flags` for that one. Exit code 3
    and the reasons, behind what could be read, if `rom serve` would not start with these settings.
    """
    found = inspected(root)
    settings = found.settings
    wrong = {problem.name for problem in found.problems}
    shown = {
        name: entry
        for name, entry in settings_as_json(settings).items()
        if (not names or name in _known(settings, names))
        and not (changed and entry["source"] == "default" and name not in wrong)
    }
    if as_json:
        print_json(found.as_dict() | {"settings": shown})
        found.end()
        return
    from rich.text import Text

    from rom_core.cli.console import Console

    console = Console(soft_wrap=True)
    console.print(f"environment: {settings.environment}")
    width = max(map(len, shown), default=0)
    for name, entry in shown.items():
        line = Text.assemble((f"{name:{width}}", "bold"), f"  {_cell(entry['value'])}  ", (entry["source"], "dim"))
        console.print(line.append("  see the problem below", "bold red") if name in wrong else line)
    found.end()


def settings_as_json(settings: Settings) -> dict[str, dict[str, Any]]:
    """{NAME: {value, source, type, plugin, help, runtime, secret}} of all of them, secrets masked."""
    return {
        name: {
            "value": settings.shown(name),
            "source": settings.source(name),
            "type": setting.type.__name__,
            "plugin": setting.plugin,
            "help": setting.help,
            "runtime": setting.runtime and not setting.secret,
            "secret": setting.secret,
        }
        for name, setting in settings.declared.items()
    }


def _known(settings: Settings, names: tuple[str, ...]) -> set[str]:
    from rom_core.settings.files import suggestion

    for name in names:
        if name not in settings.declared:
            raise click.UsageError(f"unknown setting {name}{suggestion(name, settings.declared)}")
    return set(names)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    first, _, rest = text.partition("\n")
    return f"{first[:_SHOWN_CHARS]}…" if rest or len(first) > _SHOWN_CHARS else first or "(empty)"
