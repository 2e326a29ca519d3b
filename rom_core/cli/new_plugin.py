"""`rom new-plugin`: the files of a plugin, ready to be filled in."""

from __future__ import annotations

from pathlib import Path

import click

from rom_core.cli.terminal import say


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--distribution",
    "folder",
    type=click.Path(path_type=Path),
    help="A new folder: write the plugin there, as a distribution that is installed beside rom-agent.",
)
def new_plugin(name: str, folder: Path | None) -> None:
    """Write the plugin NAME, its test, its entry point and its switch, in the project in this folder.

    With --distribution nothing of this folder is needed or changed.
    """
    from rom_core.ops import scaffold, scaffold_distribution

    root = Path.cwd()
    try:
        if folder is None:
            written, commands = scaffold.new_plugin(name, root), scaffold.commands(name)
        else:
            written, commands = scaffold_distribution.new_distribution(name, folder), scaffold_distribution.commands()
    except scaffold.CannotCreate as error:
        raise click.UsageError(str(error)) from None
    for path in written:
        say(f"wrote {path.relative_to(root) if folder is None else path}")
    say("next:" if folder is None else f"next, in {folder}:")
    for command in commands:
        say(f"  {command}")
