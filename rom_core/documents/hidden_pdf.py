"""Text of a PDF that nobody sees: white, tiny, transparent, off the page, on a layer that is off, in the metadata.

Text under something else is not noticed. The invisible text of a scanned page, which makes it searchable, is looked at
only for orders to an AI.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pypdf import PageObject, PdfReader
from pypdf.errors import LimitReachedError

from rom_core.documents.suspicion import finding
from rom_core.documents.verdict import Budget, Finding

_WHITE: Final = 0.9
_DARK: Final = 0.8
_TINY_POINTS: Final = 2.5
_FAINT: Final = 0.1
_INVISIBLE: Final = (3, 7)
_OUTSIDE_POINTS: Final = 2.0
_SCANNED: Final = 0.5
_SHOWS: Final = (b"Tj", b"TJ", b"'", b'"')
_FILLS: Final = (b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*")
_ENDS_PATH: Final = (*_FILLS, b"S", b"s", b"n")
_POINTS: Final = {b"m": (0,), b"l": (0,), b"c": (0, 2, 4), b"v": (0, 2), b"y": (0, 2)}
_MAX_BOXES: Final = 5000
Matrix = tuple[float, float, float, float, float, float]
Box = tuple[float, float, float, float]
IDENTITY: Final[Matrix] = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def hidden_in(reader: PdfReader, budget: Budget) -> tuple[list[Finding], bool]:
    """What is found, and whether time sufficed to look at every page; the budget keeps their texts, if wanted."""
    found = [one for one in (_metadata(reader),) if one is not None]
    off, whole = _layers_off(reader), True
    for number, page in enumerate(reader.pages, start=1):
        if not budget.left:
            budget.cut = True
            return found, False
        text = ""
        try:
            # A page without fonts is not read, and may be a bomb all the same: unpacking it has a limit.
            page.get_contents()
            looked = _Page(page, off, number, budget)
            found += looked.findings()
            text = looked.text
            # Of a page that is a picture, nobody here knows the text.
            budget.cut = budget.cut or (looked.images > 0 and not text.strip())
        except (MemoryError, RecursionError, LimitReachedError):
            raise
        except Exception:  # noqa: BLE001 - what the library cannot read of a page, others may: it is only not looked at
            whole, budget.cut = False, True
        budget.cut = budget.cut or not budget.left
        budget.keep(text)
    return found, whole and budget.left


@dataclass(slots=True)
class _State:
    """The part of the graphics state that decides whether text is seen. `light` is None where nobody knows it."""

    light: float | None = 0.0
    alpha: float = 1.0
    mode: int = 0
    size: float = 0.0
    scaled: bool = True
    space: str = "/DeviceGray"


@dataclass(slots=True)
class _Form:
    """A form that is being drawn: its resources, and where it stands."""

    resources: Mapping[str, Any]
    matrix: Matrix = IDENTITY
    hidden: bool = False
    marks: list[bool] = field(default_factory=list)


class _OutOfTimeError(Exception):
    """There is no time left for this page."""


class _Page:
    """One page while it is read."""

    def __init__(self, page: PageObject, off: frozenset[int], number: int, budget: Budget) -> None:
        self._page = page
        self._off = off
        self._number = number
        self._budget = budget
        box = page.cropbox
        self._box: Box = (float(box.left), float(box.bottom), float(box.right), float(box.top))
        self._state = _State()
        self._saved: list[_State] = []
        self._forms = [_Form(_mapping(page.get("/Resources")))]
        self._dark: list[Box] = []
        self._path: list[tuple[float, float]] = []
        self._pending: dict[str, None] = {}
        self._texts: dict[str, list[str]] = {}
        self.images = 0.0
        self._steps = 0
        self.text = ""

    def findings(self) -> Iterator[Finding]:
        """Read it, as far as time goes, and say what is hidden on it."""
        with contextlib.suppress(_OutOfTimeError):
            self.text = self._page.extract_text(
                visitor_operand_before=self._before, visitor_operand_after=self._after, visitor_text=self._text
            )
        left, bottom, right, top = self._box
        scanned = self.images > _SCANNED * max(1.0, (right - left) * (top - bottom))
        for code, pieces in self._texts.items():
            only_orders = code == "invisible" and scanned
            if (one := finding(code, pieces, self._number, only_orders=only_orders)) is not None:
                yield one
        notes = [_text_of(_mapping(note).get("/Contents")) for note in _list(self._page.get("/Annots"))]
        if (one := finding("comment", (f"{note} " for note in notes), self._number, only_orders=True)) is not None:
            yield one

    def _text(self, text: str, *_where: Any) -> None:
        for code in self._pending:
            self._texts.setdefault(code, []).append(text)
        self._pending = {}

    def _before(self, operator: bytes, operands: Any, cm: Any, tm: Any) -> None:
        self._steps += 1
        if self._steps % 1000 == 0 and not self._budget.left:
            raise _OutOfTimeError
        if operator in _SHOWS:
            self._pending |= dict.fromkeys(self._reasons(operands, _matrix(cm), _matrix(tm)))
        elif operator == b"q":
            self._saved.append(replace(self._state))
        elif operator == b"Q" and self._saved:
            self._state = self._saved.pop()
        elif operator == b"Do":
            self._draw(operands, _matrix(cm))
        elif operator in _POINTS or operator == b"re":
            self._outline(operator, operands, _matrix(cm))
        elif operator in _ENDS_PATH:
            self._end_path(operator)
        else:
            self._change(operator, operands)

    def _after(self, operator: bytes, operands: Any, _cm: Any, _tm: Any) -> None:
        if operator == b"Do" and len(self._forms) > 1 and operands and self._is_form(operands):
            self._forms.pop()
            if self._saved:
                self._state = self._saved.pop()

    def _change(self, operator: bytes, operands: Any) -> None:
        state = self._state
        if operator in (b"g", b"rg", b"k"):
            state.space, state.light = "/Device", _light([_number(one) for one in operands])
        elif operator == b"cs" and operands:
            state.space, state.light = self._space(str(operands[0])), 0.0
        elif operator in (b"sc", b"scn"):
            state.light = _light_in(state.space, operands)
        elif operator == b"Tr" and operands:
            state.mode = int(_number(operands[0]))
        elif operator == b"Tf" and len(operands) > 1:
            state.size = _number(operands[1])
            font = _mapping(_mapping(self._forms[-1].resources.get("/Font")).get(operands[0]))
            state.scaled = font.get("/Subtype") != "/Type3"
        elif operator == b"gs" and operands:
            given = _mapping(_mapping(self._forms[-1].resources.get("/ExtGState")).get(operands[0]))
            state.alpha = _number(given["/ca"]) if "/ca" in given else state.alpha
        elif operator == b"sh":
            self._dark.append(self._box)
        elif operator in (b"BDC", b"BMC"):
            self._forms[-1].marks.append(operator == b"BDC" and self._is_off_mark(operands))
        elif operator == b"EMC" and self._forms[-1].marks:
            self._forms[-1].marks.pop()

    def _reasons(self, operands: Any, cm: Matrix, tm: Matrix) -> Iterator[str]:
        """In which ways a text is hidden that is shown now."""
        state, place = self._state, _times(tm, _times(cm, self._forms[-1].matrix))
        x, y = place[4], place[5]
        if any(form.hidden or any(form.marks) for form in self._forms):
            yield "layer_off"
        if state.mode in _INVISIBLE:
            yield "invisible"
        elif state.alpha < _FAINT:
            yield "transparent"
        elif state.light is not None and state.light >= _WHITE and not self._on_dark(x, y):
            yield "white"
        size = abs(state.size) * math.hypot(place[2], place[3])
        if state.scaled and 0 < size < _TINY_POINTS:
            yield "tiny"
        left, bottom, right, top = self._box
        long = sum(len(one) for one in _list(operands[0] if operands else None) or operands if hasattr(one, "__len__"))
        beyond = x > right + _OUTSIDE_POINTS or x + long * max(size, 1.0) < left - _OUTSIDE_POINTS
        if len(self._forms) == 1 and (beyond or not bottom - size - _OUTSIDE_POINTS <= y <= top + _OUTSIDE_POINTS):
            yield "off_page"

    def _on_dark(self, x: float, y: float) -> bool:
        return any(box[0] - 1 <= x <= box[2] + 1 and box[1] - 1 <= y <= box[3] + 1 for box in self._dark)

    def _outline(self, operator: bytes, operands: Any, cm: Matrix) -> None:
        numbers = [_number(one) for one in operands]
        matrix = _times(cm, self._forms[-1].matrix)
        if operator == b"re" and len(numbers) >= 4:
            x, y, width, height = numbers[:4]
            corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
        else:
            corners = [(numbers[n], numbers[n + 1]) for n in _POINTS.get(operator, ()) if n + 1 < len(numbers)]
        if len(self._path) < _MAX_BOXES:
            self._path += [_point(matrix, *corner) for corner in corners]

    def _end_path(self, operator: bytes) -> None:
        state = self._state
        dark = state.light is None or state.light < _DARK
        if operator in _FILLS and self._path and dark and state.alpha >= 0.3 and len(self._dark) < _MAX_BOXES:
            self._dark.append(_bounds(self._path))
        self._path = []

    def _draw(self, operands: Any, cm: Matrix) -> None:
        thing = self._object(operands)
        matrix = _times(cm, self._forms[-1].matrix)
        if thing.get("/Subtype") == "/Image":
            box = _bounds([_point(matrix, x, y) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))])
            self.images += (box[2] - box[0]) * (box[3] - box[1])
            self._dark.append(box)
        elif thing.get("/Subtype") == "/Form":
            self._saved.append(replace(self._state))
            given = [_number(one) for one in _list(thing.get("/Matrix"))]
            own: Matrix = (*given,) if len(given) == 6 else IDENTITY  # type: ignore[assignment]
            resources = _mapping(thing.get("/Resources")) or self._forms[-1].resources
            self._forms.append(_Form(resources, _times(own, matrix), self._is_off(_raw(thing, "/OC"))))

    def _is_form(self, operands: Any) -> bool:
        outer = self._forms[-2].resources
        return _mapping(_mapping(outer.get("/XObject")).get(operands[0])).get("/Subtype") == "/Form"

    def _object(self, operands: Any) -> Mapping[str, Any]:
        return _mapping(_mapping(self._forms[-1].resources.get("/XObject")).get(operands[0])) if operands else {}

    def _space(self, name: str) -> str:
        given = _mapping(self._forms[-1].resources.get("/ColorSpace")).get(name)
        array = _list(given)
        return str(array[0]) if array else name

    def _is_off_mark(self, operands: Any) -> bool:
        if len(operands) < 2 or operands[0] != "/OC":
            return False
        return self._is_off(_raw(_mapping(self._forms[-1].resources.get("/Properties")), operands[1]))

    def _is_off(self, reference: Any) -> bool:
        """Whether a layer, or each of a group of layers, is off."""
        if reference is None or not self._off:
            return False
        if getattr(reference, "idnum", -1) in self._off:
            return True
        members = _mapping(reference).get("/OCGs")
        numbers = [getattr(one, "idnum", -1) for one in _list(members)] or [getattr(members, "idnum", -1)]
        return all(number in self._off for number in numbers)


def _metadata(reader: PdfReader) -> Finding | None:
    texts = [_text_of(value) for value in (reader.metadata or {}).values()]
    stream = _resolved(reader.root_object.get("/Metadata"))
    if hasattr(stream, "get_data"):
        texts.append(stream.get_data()[:100_000].decode("utf-8", "replace"))
    return next((one for one in (finding("metadata", [text], only_orders=True) for text in texts) if one), None)


def _layers_off(reader: PdfReader) -> frozenset[int]:
    """The object numbers of the layers that are off when the document is opened."""
    properties = _mapping(reader.root_object.get("/OCProperties"))
    default = _mapping(properties.get("/D"))
    numbers = {getattr(one, "idnum", -1) for one in _list(default.get("/OFF"))}
    if default.get("/BaseState") == "/OFF":
        numbers |= {getattr(one, "idnum", -1) for one in _list(properties.get("/OCGs"))}
        numbers -= {getattr(one, "idnum", -1) for one in _list(default.get("/ON"))}
    return frozenset(numbers - {-1})


def _light(numbers: list[float]) -> float | None:
    """How light a colour is, from 0 to 1, by the number of its components: grey, RGB or CMYK."""
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 3:
        return min(numbers)
    if len(numbers) == 4:
        return (1 - max(numbers[:3])) * (1 - numbers[3])
    return None


def _light_in(space: str, operands: Any) -> float | None:
    numbers = [_number(one) for one in operands if isinstance(one, (int, float))]
    if len(numbers) != len(operands):
        return None
    if space == "/Separation" and len(numbers) == 1:
        return 1 - numbers[0]
    known = space.startswith(("/Device", "/ICCBased", "/Cal")) and space != "/DeviceN"
    return _light(numbers) if known else None


def _resolved(value: Any) -> Any:
    return value.get_object() if hasattr(value, "get_object") else value


def _raw(mapping: Any, key: Any) -> Any:
    """The value as it stands, a reference if it is one."""
    return mapping.raw_get(key) if hasattr(mapping, "raw_get") and key in mapping else None


def _mapping(value: Any) -> Mapping[str, Any]:
    resolved = _resolved(value)
    return resolved if isinstance(resolved, Mapping) else {}


def _list(value: Any) -> list[Any]:
    resolved = _resolved(value)
    return list(resolved) if isinstance(resolved, list) else []


def _text_of(value: Any) -> str:
    resolved = _resolved(value)
    return str(resolved) if isinstance(resolved, str) else ""


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _matrix(given: Any) -> Matrix:
    return tuple(float(one) for one in given)  # type: ignore[return-value]


def _times(one: Matrix, other: Matrix) -> Matrix:
    a, b, c, d, e, f = one
    g, h, i, j, k, m = other
    return (a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m)


def _point(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _bounds(points: list[tuple[float, float]]) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)
