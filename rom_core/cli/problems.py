"""What ends a command, and how: exit codes 0 done, 1 it failed, 2 it was asked for wrongly, 3 settings are invalid."""

from __future__ import annotations

import click

_EXIT_WRONG, _EXIT_SETTINGS = 2, 3


class ForeignAnswer(click.ClickException):
    """Something answers at that address, but not a server of ours."""

    exit_code = _EXIT_WRONG


class SettingsInvalid(click.ClickException):
    """The process cannot start with these settings."""

    exit_code = _EXIT_SETTINGS
