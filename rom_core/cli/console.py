"""rich's console as every command uses it. Imported where something is printed: rich takes a tenth of a second."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions
from rich.console import Group as Group
from rich.console import RenderableType as RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rom_core.cli.terminal import clean

# Wider than any line: what reads a pipe wants each row on a line of its own, whole.
_PIPE_COLUMNS = 100_000


class Console(RichConsole):
    """A console that prints nothing which a terminal would obey, whoever the text is from (rom_core.cli.terminal).

    Text is not searched for markup. Where the output is no terminal nothing is wrapped or cut.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else _PIPE_COLUMNS
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, width=width, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of rich, cleaned; its own control segments move the cursor of a progress line, and stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)


def table(*columns: str, title: str = "") -> Table:
    """A table without lines; the first column, a name, is never broken."""
    made = Table(title=title or None, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    return made


def add_row(made: Table, cells: Iterable[str], style: str = "") -> None:
    """A row of plain texts: what stands in brackets is no markup."""
    made.add_row(*(Text(clean(cell)) for cell in cells), style=style)
