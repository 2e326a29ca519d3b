"""--root and ROM_HOME: the folder that a command reads settings from and keeps its state in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

ROOT = click.option(
    "--root",
    envvar="ROM_HOME",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    default=".",
    help="Folder of the settings files, and of STATE_DIR unless that is absolute (or ROM_HOME); default: this one.",
)


def missing_settings(root: Path, environ: Mapping[str, str]) -> str | None:
    """Why nothing starts in `root`: staging and production need the settings.toml that somebody wrote for them.

    In the wrong folder they would run with other settings, and not see a kill switch that is stored in the right one.
    """
    from rom_core.settings.files import SETTINGS_FILE
    from rom_core.settings.layers import chosen_environment

    environment = chosen_environment(root, environ)
    if environment not in ("staging", "production") or (root / SETTINGS_FILE).is_file():
        return None
    return (
        f"{environment} does not start without a {SETTINGS_FILE}, and {root} has none; "
        "name its folder with --root or ROM_HOME"
    )
