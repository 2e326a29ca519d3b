"""`rom new-plugin`: the files of a plugin, ready to be filled in."""

from __future__ import annotations

from pathlib import Path

import click

from rom_core.cli.terminal import say


@click.command("new-plugin")
@click.argument("name")
def new_plugin(name: str) -> None:
    """Write the plugin NAME, its test, its entry point and its switch, in the project in this folder."""
    from rom_core.ops.scaffold import CannotCreate, commands
    from rom_core.ops.scaffold import new_plugin as create

    root = Path.cwd()
    try:
        written = create(name, root)
    except CannotCreate as error:
        raise click.UsageError(str(error)) from None
    for path in written:
        say(f"wrote {path.relative_to(root)}")
    say("next:")
    for command in commands(name):
        say(f"  {command}")
