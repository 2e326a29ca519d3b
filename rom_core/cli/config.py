"""`rom config`: the settings in force here, and the layer that each came from."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rom_core.config import Settings
    from rom_core.runtime import Runtime

_SHOWN_CHARS = 80
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("config")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@JSON
def config(names: tuple[str, ...], changed: bool, as_json: bool) -> None:
    """Show the settings in force, or those NAMEd, and where each comes from; secrets are masked.

    The process that serves may have been started with another environment: see `rom flags` for that one.
    """
    settings = inspected().current.settings
    shown = {
        name: entry
        for name, entry in settings_as_json(settings).items()
        if (not names or name in _known(settings, names)) and not (changed and entry["source"] == "default")
    }
    if as_json:
        print_json({"environment": settings.environment, "settings": shown})
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"environment: {settings.environment}", markup=False)
    width = max(map(len, shown), default=0)
    for name, entry in shown.items():
        console.print(
            Text.assemble((f"{name:{width}}", "bold"), f"  {_cell(entry['value'])}  ", (entry["source"], "dim"))
        )


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


def inspected() -> Runtime:
    """A runtime of this folder and environment that is not started: only to be looked at.

    Raises click.ClickException for settings that cannot be used.
    """
    from rom_core.cli.runtime import load_runtime

    with _logging_aside():
        return load_runtime(Path.cwd(), dict(os.environ))


def print_json(value: Any) -> None:
    """Print for a program."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def _logging_aside() -> Iterator[None]:
    """What is logged meanwhile goes to stderr: stdout belongs to the answer."""
    import structlog

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)


def _known(settings: Settings, names: tuple[str, ...]) -> set[str]:
    from rom_core.config.files import suggestion

    for name in names:
        if name not in settings.declared:
            raise click.UsageError(f"unknown setting {name}{suggestion(name, settings.declared)}")
    return set(names)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    first, _, rest = text.partition("\n")
    return f"{first[:_SHOWN_CHARS]}…" if rest or len(first) > _SHOWN_CHARS else first or "(empty)"
