"""What ends a command, and how: exit codes 0 done, 1 it failed, 2 it was asked for wrongly, 3 settings are invalid."""

from __future__ import annotations

import click

_EXIT_SETTINGS = 3


class SettingsInvalid(click.ClickException):
    """The process cannot start with these settings."""

    exit_code = _EXIT_SETTINGS
