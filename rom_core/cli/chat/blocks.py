"""Where Markdown that is still being written can be cut: what stands before is whole and will not change."""

from __future__ import annotations

from functools import cache

from markdown_it import MarkdownIt

# Of the same length, so that places in the text stay what they are.
_ONE_LINE_END = str.maketrans("\r", " ")


@cache
def _parser() -> MarkdownIt:
    # As rich reads it.
    return MarkdownIt().enable("strikethrough").enable("table")


def whole_blocks(text: str) -> int:
    """How many characters of `text` are blocks (paragraphs, lists, tables, fences) that are over: another one began."""
    text = text.translate(_ONE_LINE_END)
    starts = [token.map[0] for token in _parser().parse(text) if token.level == 0 and token.map and token.nesting >= 0]
    if len(starts) < 2:
        return 0
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: starts[-1]])
