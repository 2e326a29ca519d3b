"""Lines over time as inline SVG: no script, no style sheet, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TypeAlias

Line: TypeAlias = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _LEFT, _BELOW, _ABOVE = 720, 200, 56, 24, 10
_COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")


def plot(title: str, unit: str, lines: Mapping[str, Line], seconds: float) -> str:
    """A figure of lines, each a list of (seconds since the beginning, value); without any point, a sentence."""
    points = [point for line in lines.values() for point in line]
    head = f"<figure><figcaption>{escape(title)} ({escape(unit)})</figcaption>"
    if not points:
        return f"{head}<p>nothing happened</p></figure>"
    top = max(value for _, value in points) or 1.0
    wide, high = max(seconds, 1e-9), _HEIGHT - _BELOW - _ABOVE

    def at(second: float, value: float) -> str:
        x = _LEFT + min(1.0, second / wide) * (_WIDTH - _LEFT - 10)
        return f"{x:.1f},{_ABOVE + high * (1 - value / top):.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">']
    for share in (0.0, 0.5, 1.0):
        y = _ABOVE + high * (1 - share)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * share:.3g}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + share * (_WIDTH - _LEFT - 10)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{_minutes(seconds * share)}</text>')
    for number, line in enumerate(lines.values()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(at(*point) for point in line)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
    legend = " ".join(
        f'<span style="color:{_COLOURS[number % len(_COLOURS)]}">■ {escape(name)}</span>'
        for number, name in enumerate(lines)
    )
    return f"{head}{''.join(parts)}</svg><p>{legend}</p></figure>"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
