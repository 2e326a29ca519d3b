"""Text of a DOCX that nobody sees: hidden, white or tiny runs; and orders to an AI in comments, deletions, properties.

The parts are read as a stream, with a bound on each: no tree of a document is ever built.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from rom_core.documents.docx_text import Handler, Words, whole_text
from rom_core.documents.suspicion import finding
from rom_core.documents.verdict import Budget, Finding, Refused

# A part of this size is a book of a thousand pages.
MAX_PART: Final = 4 * 1024 * 1024
_MAX_DEPTH: Final = 256
_PIECE: Final = 64 * 1024
_TEXT_PARTS: Final = ("word/document", "word/header", "word/footer", "word/footnotes", "word/endnotes")
_ORDERS_ONLY: Final = {
    "word/comments.xml": "comment",
    "docProps/core.xml": "metadata",
    "docProps/app.xml": "metadata",
    "docProps/custom.xml": "metadata",
}
# Of lightness, from 0 to 255, and of half points.
_WHITE: Final = 230
_TINY_HALF_POINTS: Final = 5
_OFF: Final = ("0", "false", "off", "none")
_SEPARATORS: Final = ("p", "tab", "br", "cr")


@dataclass(slots=True)
class _Look:
    """How text looks, as far as it is said: None where it is not."""

    hidden: bool | None = None
    light: int | None = None
    half_points: float | None = None
    shaded: bool | None = None

    def over(self, other: _Look) -> _Look:
        """This one, and `other` where it says nothing."""
        return _Look(
            other.hidden if self.hidden is None else self.hidden,
            other.light if self.light is None else self.light,
            other.half_points if self.half_points is None else self.half_points,
            other.shaded if self.shaded is None else self.shaded,
        )


def hidden_in(package: zipfile.ZipFile, budget: Budget) -> tuple[list[Finding], bool]:
    """What is found, and whether every part was looked at to its end; the budget keeps the text, if it wants it."""
    names = package.namelist()
    styles = _Styles()
    whole = "word/styles.xml" not in names or _parse(package, "word/styles.xml", styles, budget)
    found: list[Finding] = []
    words: dict[str, Words] = {}
    for name in names:
        if name in _ORDERS_ONLY:
            plain = _Plain()
            whole = _parse(package, name, plain, budget) and whole
            made = [finding(_ORDERS_ONLY[name], plain.pieces, only_orders=True)]
        elif name.startswith(_TEXT_PARTS) and name.endswith(".xml"):
            body = _Body(styles)
            words[name] = Words(body)
            read = _parse(package, name, words[name] if budget.wants_text else body, budget)
            whole, budget.cut = read and whole, budget.cut or not read
            made = [*body.findings()]
        else:
            continue
        found += [one for one in made if one is not None]
    budget.keep(whole_text(words))
    return found, whole


class _Handler:
    """A handler that does nothing."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A tag opens."""

    def end(self, tag: str) -> None:
        """It closes."""

    def text(self, text: str) -> None:
        """Characters between tags."""


def _parse(package: zipfile.ZipFile, name: str, handler: Handler, budget: Budget) -> bool:
    """Read a part; False if it was not read to its end."""
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise Refused("too_complex", f"{name} is nested more than {_MAX_DEPTH} levels deep")
        handler.start(_local(tag), {_local(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(_local(tag))

    def declared(*_: Any) -> None:
        raise Refused("too_complex", f"{name} declares entities")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.text
    parser.EntityDeclHandler = declared
    parser.buffer_text = True
    read = 0
    try:
        with package.open(name) as stream:
            while piece := stream.read(_PIECE):
                read += len(piece)
                if read > MAX_PART or not budget.left:
                    return False
                parser.Parse(piece)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Refused("broken", f"{name} is not XML: {expat.ErrorString(error.code)}") from None
    return True


class _Plain(_Handler):
    """All text of a part."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def end(self, tag: str) -> None:
        """What stands in two elements is two things."""
        if tag != "t":
            self.pieces.append(" ")

    def text(self, text: str) -> None:
        """Kept."""
        self.pieces.append(text)


class _Styles(_Handler):
    """The looks that styles give, each with that of the style it is based on."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}
        self._based: dict[str, str] = {}
        self._style = ""
        self._in_run = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Conditional parts of a table's style are none of a run."""
        if tag == "style":
            self._style = attributes.get("styleId", "")
            self._looks[self._style] = _Look()
        elif tag == "basedOn" and self._style:
            self._based[self._style] = attributes.get("val", "")
        elif tag == "tblStylePr":
            self._style = ""
        elif tag == "rPr":
            self._in_run = True
        elif self._style and (self._in_run or tag == "shd"):
            _note(self._looks[self._style], tag, attributes)

    def end(self, tag: str) -> None:
        """A style, or what it says of runs, is over."""
        if tag == "style":
            self._style = ""
        elif tag == "rPr":
            self._in_run = False

    def look(self, style: str) -> _Look:
        """That of a style."""
        look, seen = _Look(), set[str]()
        while style in self._looks and style not in seen:
            seen.add(style)
            look = look.over(self._looks[style])
            style = self._based.get(style, "")
        return look


@dataclass(slots=True)
class _Place:
    """A paragraph, cell, table or text box that is open."""

    tag: str
    shaded: bool = False


@dataclass(slots=True)
class _Body(_Handler):
    """The text of a part, sorted by the ways in which it is hidden."""

    styles: _Styles
    texts: dict[str, list[str]] = field(default_factory=dict)
    _places: list[_Place] = field(default_factory=list)
    _paragraph: _Look = field(default_factory=_Look)
    _run: _Look = field(default_factory=_Look)
    _runs: int = 0
    _in_properties: str = ""
    _in_text: str = ""
    _dark_page: bool = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Looks are gathered until text comes."""
        if tag in ("tbl", "tc", "txbxContent"):
            self._places.append(_Place(tag, shaded=tag == "txbxContent"))
        elif tag == "p":
            self._paragraph = _Look()
        elif tag == "r":
            self._run = _Look()
        elif tag == "background":
            self._dark_page = _lightness(attributes.get("color", "")) is not None
        elif tag in ("rPr", "pPr", "tcPr", "tblPr"):
            self._in_properties = tag if not self._in_properties else self._in_properties
        elif tag == "tblStyle" and self._places:
            # A table's style gives its head a colour that no cell repeats.
            self._places[-1].shaded = attributes.get("val", "") not in ("", "TableGrid", "TableNormal")
        elif tag == "pStyle":
            self._paragraph = self._paragraph.over(self.styles.look(attributes.get("val", "")))
        elif tag == "rStyle":
            self._run = self._run.over(self.styles.look(attributes.get("val", "")))
        elif tag in ("t", "delText"):
            self._in_text = tag
        elif self._in_properties == "rPr":
            _note(self._run, tag, attributes)
        elif self._in_properties == "pPr" and tag == "shd":
            _note(self._paragraph, tag, attributes)
        elif self._in_properties == "tcPr" and tag == "shd" and self._places:
            look = _Look()
            _note(look, tag, attributes)
            self._places[-1].shaded = bool(look.shaded)

    def end(self, tag: str) -> None:
        """Text of two paragraphs is two things."""
        if tag == self._in_properties:
            self._in_properties = ""
        elif tag in ("t", "delText"):
            self._in_text = ""
        elif tag in ("tbl", "tc", "txbxContent") and self._places:
            self._places.pop()
        elif tag in _SEPARATORS:
            for pieces in self.texts.values():
                pieces.append(" ")

    def text(self, text: str) -> None:
        """Sorted."""
        if self._in_text == "delText":
            self.texts.setdefault("deleted", []).append(text)
        elif self._in_text:
            for code in self._reasons():
                self.texts.setdefault(code, []).append(text)

    def findings(self) -> Iterator[Finding | None]:
        """One for each way."""
        for code, pieces in self.texts.items():
            yield finding(code.removesuffix("?"), pieces, only_orders=code == "deleted" or code.endswith("?"))

    def _reasons(self) -> Iterator[str]:
        look = self._run.over(self._paragraph)
        if look.hidden:
            yield "hidden_run"
        if look.light is not None and look.light >= _WHITE and not look.shaded:
            # On a ground that may be dark, white is no secret.
            yield "white?" if self._dark_page or any(place.shaded for place in self._places) else "white"
        if look.half_points is not None and 0 < look.half_points < _TINY_HALF_POINTS:
            yield "tiny"


def _note(look: _Look, tag: str, attributes: Mapping[str, str]) -> None:
    """What a property of a run says about how its text looks."""
    value = attributes.get("val", "")
    if tag == "vanish":
        look.hidden = value not in _OFF
    elif tag == "color":
        # Not `auto`: it is whatever can be read.
        look.light = _lightness(value) or 0
    elif tag == "sz":
        look.half_points = _number(value)
    elif tag == "shd":
        fill = _lightness(attributes.get("fill", ""))
        look.shaded = (fill is not None and fill < _WHITE) or value in ("solid", "pct75", "pct80", "pct90", "pct95")
    elif tag == "highlight":
        look.shaded = value not in ("none", "white", "")


def _lightness(colour: str) -> int | None:
    """The darkest component of RRGGBB; None for `auto` and the like."""
    try:
        return min(bytes.fromhex(colour)) if len(colour) == 6 else None
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _local(name: str) -> str:
    return name.rpartition(":")[2]
