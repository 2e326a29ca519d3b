"""The console command `rom`: one module per command, loaded when it is asked for.

Exit codes: rom_core.cli.problems.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from rom_core import __version__
from rom_core.cli.terminal import clean

_COMMANDS = (
    "bedrock-local",
    "blind",
    "canary",
    "chat",
    "config",
    "conversations",
    "cost",
    "deploy",
    "doctor",
    "drain",
    "flags",
    "gate",
    "load",
    "new-plugin",
    "plugins",
    "release-check",
    "serve",
    "status",
    "store",
    "top",
    "undrain",
)


class _Commands(click.Group):
    """Imports a command's module only when the command is used: `rom serve` starts without the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name, in order."""
        return sorted({*super().list_commands(ctx), *_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from the module and attribute of the same name."""
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{__name__}.{name}"), name)
        return command

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """As in click; what an error quotes is cleaned."""
        with _cleaned():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """As in click; what an error quotes, of a server or a command line, is cleaned."""
        with _cleaned():
            return super().invoke(ctx)


@contextmanager
def _cleaned() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        # click calls the attribute final, and shows nothing else.
        vars(error)["message"] = clean(error.message)
        raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rom")
def main() -> None:
    """ROM Agent: a production runtime for agents on Amazon Bedrock.

    Exit codes: 0 done, 1 it failed or found something, 2 it was asked for wrongly, 3 the settings are invalid.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise click.ClickException("the folder you are in does not exist any more; change to another one") from None
