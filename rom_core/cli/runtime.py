"""The runtime a command works with: of a folder and of the environment of its process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rom_core import hookspecs
from rom_core.cli.problems import SettingsInvalid
from rom_core.cli.root import missing_settings
from rom_core.errors import ConfigurationError, StoreRefused

if TYPE_CHECKING:
    from pathlib import Path

    from rom_core.runtime import Runtime


def load_runtime(root: Path, environ: dict[str, str]) -> Runtime:
    """A runtime of what is installed and configured under `root`.

    Raises SettingsInvalid with every problem in it, written for a person, and ClickException for a folder in which
    this environment does not start, or a store that cannot be used.
    """
    if reason := missing_settings(root, environ):
        raise click.ClickException(reason)
    from rom_core.flags.stored import stored_flags
    from rom_core.plugin.catalogue import Catalogue
    from rom_core.runtime import Runtime

    try:
        catalogue = Catalogue.installed(hookspecs)
        flags = stored_flags(catalogue, root, environ)
        return Runtime(catalogue, flags.at_start, flags=flags)
    except StoreRefused as error:
        raise click.ClickException(error.detail) from None
    except ConfigurationError as error:
        raise SettingsInvalid(str(error)) from None
