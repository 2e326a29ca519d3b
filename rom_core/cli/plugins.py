"""`rom plugins`: every installed plugin, in the order in which they stand around a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rom_core.cli.config import JSON
from rom_core.cli.inspection import inspected
from rom_core.cli.root import ROOT
from rom_core.cli.terminal import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from rom_core.plugin.catalogue import Catalogue
    from rom_core.settings import Settings


@click.command("plugins")
@ROOT
@JSON
def plugins(as_json: bool, root: Path) -> None:
    """Show every plugin, outermost first: on or off and why, its hooks, its settings and where it comes from.

    Exit code 3 and the reasons, behind what could be read, if `rom serve` would not start.
    """
    found = inspected(root)
    settings = found.settings
    described = plugins_as_json(found.catalogue, settings)
    if as_json:
        print_json(found.as_dict() | {"plugins": described})
        found.end()
        return
    from rom_core.cli.console import Console

    console = Console(soft_wrap=True)
    console.print(f"environment: {settings.environment}; outermost first")
    for plugin in described:
        state = "broken" if plugin["error"] else "on" if plugin["enabled"] else "off"
        style = {"on": "bold green", "broken": "bold red"}.get(state, "bold")
        console.print(f"\n{plugin['place']:2} {plugin['name']}: {state}", style=style)
        console.print(f"   because   {plugin['because']}")
        for title, names in (("hooks", plugin["hooks"]), ("settings", plugin["settings"])):
            console.print(f"   {title:9} {', '.join(names) or 'none'}")
        console.print(f"   from      {plugin['origin']}")
        if plugin["error"]:
            console.print(f"   error     {plugin['error']}")
    found.end()


def plugins_as_json(catalogue: Catalogue, settings: Settings) -> list[dict[str, Any]]:
    """Every plugin, outermost first: what `describe` tells, its place, its settings, and why it is on or off."""
    from rom_core.plugin.catalogue import describe

    return [
        dict(plugin)
        | {
            "place": place,
            "listed": plugin["name"] in settings.PLUGINS,
            "settings": [setting.name for setting in catalogue.plugins[plugin["name"]].settings],
            "because": _reason(plugin["switch"], settings, listed=plugin["name"] in settings.PLUGINS),
        }
        for place, plugin in enumerate(describe(catalogue, settings), start=1)
    ]


def _reason(switch: str, settings: Settings, *, listed: bool) -> str:
    value = "true" if getattr(settings, switch) else "false"
    place = "" if listed else "; not named in PLUGINS, so innermost, by name"
    return f"{switch} is {value} ({settings.source(switch)}){place}"
