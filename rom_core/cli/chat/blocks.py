"""Where Markdown that is still being written can be cut: what stands before a later block will not change."""

from __future__ import annotations

from functools import cache
from itertools import accumulate

from markdown_it import MarkdownIt

# Of the same length, so that places in the text stay what they are.
_ONE_LINE_END = str.maketrans("\r", " ")


@cache
def _parser() -> MarkdownIt:
    # As rich reads it.
    return MarkdownIt().enable("strikethrough").enable("table")


def block_starts(text: str) -> list[int]:
    """Where the blocks of `text` (paragraphs, lists, tables, fences) begin but for the first; [] for fewer than two."""
    text = text.translate(_ONE_LINE_END)
    tokens = _parser().parse(text)
    lines = [token.map[0] for token in tokens if token.level == 0 and token.map and token.nesting >= 0]
    ends = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    return [ends[line] for line in lines[1:]]
