"""`rom store`: is what must survive a restart whole, and how it is backed up and restored."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rom_core.cli.config import JSON
from rom_core.cli.root import ROOT
from rom_core.cli.terminal import print_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rom_core.store.address import Address
    from rom_core.store.owners import Owner

FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group("store")
def store() -> None:
    """Check, back up or restore the store that the settings of this folder name.

    It asks no server: the database itself is opened. Exit code 1 and the reason if something is wrong.
    """


@store.command("check")
@ROOT
@JSON
def check(as_json: bool, root: Path) -> None:
    """Look whether the store is whole, and at which migrations it is; nothing is changed."""
    from rom_core.store import backups

    with _refusals():
        findings = backups.check(*_named(root))
    good = all(finding.good for finding in findings)
    if as_json:
        print_json({"ok": good, "findings": [finding.as_dict() for finding in findings]})
    else:
        for finding in findings:
            say(f"{'ok  ' if finding.good else 'fail'}  {finding.about}: {finding.text}")
    sys.exit(0 if good else 1)


@store.command("backup")
@FILE
@ROOT
def backup(file: Path, root: Path) -> None:
    """Write the store into FILE as it is at one moment; servers may use it meanwhile."""
    from rom_core.store import backups

    with _refusals():
        address, owners = _named(root)
        backups.backup(address, owners, file)
    say(f"{address} → {file}, {file.stat().st_size} bytes")


@store.command("restore")
@FILE
@ROOT
def restore(file: Path, root: Path) -> None:
    """Put the backup FILE in the place of the store; servers that use it have to be stopped first.

    What was there is kept beside it. A file that does not fit is refused, and nothing is changed.
    """
    from rom_core.concurrency.clock import SystemClock
    from rom_core.store import backups

    with _refusals():
        address, owners = _named(root)
        kept = backups.restore(address, owners, file, SystemClock().time)
    say(f"{file} → {address}" + ("" if kept is None else f"; what was there is in {kept}"))


@contextmanager
def _refusals() -> Iterator[None]:
    """End the command with the sentence of a refusal."""
    from rom_core.errors import ConfigurationError, StoreRefused

    try:
        yield
    except (ConfigurationError, StoreRefused) as error:
        raise click.ClickException(error.detail) from None


def _named(root: Path) -> tuple[Address, Sequence[Owner]]:
    """The store of these settings, and who keeps tables in it. Raises ConfigurationError and StoreRefused."""
    from rom_core import hookspecs
    from rom_core.cli.inspection import read_settings
    from rom_core.plugin.catalogue import Catalogue
    from rom_core.store.setup import owners, where

    catalogue = Catalogue.installed(hookspecs)
    settings = read_settings(catalogue, root, dict(os.environ))
    return where(settings, root), owners(catalogue)
