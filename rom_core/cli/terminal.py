"""What commands print, cleaned of what a terminal would obey.

A server's answer, a commit's message, a model's text may hold control characters that retitle a window, write over what
stands there or turn the order of letters around. So nothing is printed past this module: `say` and `print_json` here,
rich's tables and colours by rom_core.cli.console, and errors by the group of all commands.
"""

from __future__ import annotations

import json
from typing import Any

import click

from rom_core.unicode import clean as clean
from rom_core.unicode import escaped


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, on standard error with `err`."""
    click.echo(clean(text), err=err)


def json_text(value: Any, indent: int | None = 2) -> str:
    """JSON of `value`; what `clean` takes away stands in it as an escape, so that nothing is lost."""
    return escaped(json.dumps(value, ensure_ascii=False, indent=indent))


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print for a program."""
    click.echo(json_text(value, indent))
