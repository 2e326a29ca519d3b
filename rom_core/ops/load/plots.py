"""Lines over time as inline SVG: no script, no style sheet, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TypeAlias

Line: TypeAlias = Sequence[tuple[float, float]]
Label: TypeAlias = Callable[[float], str]

_WIDTH, _HEIGHT, _LEFT, _BELOW, _ABOVE, _LEGEND = 720, 220, 56, 44, 10, 16
# So few points are shown as dots, too.
_FEW = 12
_COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")


def minutes(seconds: float) -> str:
    """Seconds as minutes and seconds, for an axis."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def plot(title: str, unit: str, lines: Mapping[str, Line], span: float, label: Label = minutes) -> str:
    """A figure for a page: `svg` under its title; without any point, a sentence."""
    head = f"<figure><figcaption>{escape(title)} ({escape(unit)})</figcaption>"
    if not any(lines.values()):
        return f"{head}<p>nothing happened</p></figure>"
    return f"{head}{svg(title, lines, span, label)}</figure>"


def svg(title: str, lines: Mapping[str, Line], span: float, label: Label = minutes) -> str:
    """Lines by name, each of points (x from 0 to `span`, value), over an axis whose values `label` writes."""
    top = max((value for line in lines.values() for _, value in line), default=0.0) or 1.0
    wide, high = max(span, 1e-9), _HEIGHT - _BELOW - _ABOVE

    def at(x: float, value: float) -> tuple[float, float]:
        return _LEFT + min(1.0, x / wide) * (_WIDTH - _LEFT - 10), _ABOVE + high * (1 - value / top)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" font-size="11" fill="#57606a" '
        f'aria-label="{escape(title, quote=True)}">'
    ]
    for share in (0.0, 0.5, 1.0):
        y = _ABOVE + high * (1 - share)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * share:.3g}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, _ = at(wide * share, 0.0)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 6 - _LEGEND}" text-anchor="middle">{label(span * share)}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [at(*point) for point in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
        if len(places) <= _FEW:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        x = _LEFT + number * (_WIDTH - _LEFT) / max(4, len(lines))
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 4}" fill="{colour}">■ {escape(name)}</text>')
    return f"{''.join(parts)}</svg>"
