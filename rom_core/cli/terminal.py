"""What commands print, cleaned of what a terminal would obey.

A server's answer, a commit's message, a model's text may hold control characters that retitle a window, write over what
stands there or turn the order of letters around. So nothing is printed past this module: `say` and `print_json` here,
rich's tables and colours by rom_core.cli.console, and errors by the group of all commands.
"""

from __future__ import annotations

import json
import re
from typing import Any

import click

# C0 but tab and newline, DEL and C1; what turns the order of letters; Unicode's line ends; halves of a character.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)


def clean(text: str) -> str:
    """`text` without what a terminal obeys; tabs and line ends stay."""
    return _OBEYED.sub("", text)


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, on standard error with `err`."""
    click.echo(clean(text), err=err)


def json_text(value: Any, indent: int | None = 2) -> str:
    """JSON of `value`; what `clean` takes away stands in it as an escape, so that nothing is lost."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print for a program."""
    click.echo(json_text(value, indent))
