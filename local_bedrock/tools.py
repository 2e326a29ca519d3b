"""How the local model chooses among the offered tools, and makes up their arguments, from the words of the message.

Deterministic and without knowledge of any tool: what it goes by is the tool's name, description and JSON Schema. The
strongest hint is a schema property whose `pattern` occurs in the message.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

_FITS = 2
_FOR_PATTERN, _FOR_NAME = 10, 2
_COMMON = frozenset(
    [
        "para",
        "pelo",
        "pela",
        "como",
        "qual",
        "quais",
        "este",
        "esta",
        "isso",
        "essa",
        "esse",
        "mais",
        "menos",
        "sobre",
        "entre",
        "quando",
        "onde",
        "porque",
        "você",
        "voce",
        "favor",
        "retorna",
        "devolve",
        "usa",
        "numero",
        "número",
        "dados",
        "texto",
        "tool",
        "ferramenta",
        "with",
        "from",
        "that",
        "this",
        "returns",
        "given",
    ]
)
_READ = 20_000
_STEM_FROM = 4
_JOINING = ("de", "da", "do", "e", "em", "a", "o")
# what a pattern accepts although it says nothing is no hint
_PROBE = "palavra qualquer"


def choose_tool(tools: Sequence[Mapping[str, Any]], text: str) -> Mapping[str, Any] | None:
    """The toolSpec that fits `text` best, the earlier of equals; None if none fits."""
    words = _stems(text)
    best, best_score = None, _FITS - 1
    for spec in tools:
        score = _score(spec, text, words)
        if score > best_score:
            best, best_score = spec, score
    return best


def make_input(spec: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Arguments for this tool: every required property, and those optional ones that the message speaks of."""
    schema = spec["inputSchema"].get("json") or {}
    made = _Filler(text).object(schema)
    return made if isinstance(made, dict) else {}


def make_value(schema: Mapping[str, Any], text: str) -> Any:
    """A value for this schema, which has no references and no choices, made of the message as far as it goes."""
    return _Filler(text).value(schema)[0]


def missing_dates(spec: Mapping[str, Any], text: str) -> list[str]:
    """The dates that this tool requires and the message does not name: a date is asked for, never made up."""
    schema = spec["inputSchema"].get("json") or {}
    required = schema.get("required") if isinstance(schema.get("required"), list) else []
    filler = _Filler(text)
    return [
        key
        for key, part in _properties(schema).items()
        if not filler.value(part)[1] and key in (required or ()) and _is_date(part) and "default" not in part
    ]


def _score(spec: Mapping[str, Any], text: str, words: frozenset[str]) -> int:
    schema = spec["inputSchema"].get("json") or {}
    name = _stems(re.sub(r"[_-]+", " ", spec["name"]))
    described = _stems(spec.get("description") or "") - name
    score = _FOR_NAME * len(name & words) + len(described & words)
    for key, part in _properties(schema).items():
        if find_pattern(part.get("pattern"), text):
            score += _FOR_PATTERN
        choices = [choice for choice in part.get("enum") or () if isinstance(choice, str)]
        if any(_stems(choice) and _stems(choice) <= words for choice in choices) or _stems(key) & words - name:
            score += 1
    return score


# A repeated group with a repetition at its end: matching it may take longer than anybody waits.
_NESTED = re.compile(r"[*+}?]\)+[*+{]")


def find_pattern(pattern: Any, text: str) -> str | None:
    """The first part of `text` that matches a JSON Schema pattern, anchors aside; None if it matches anything."""
    compiled = _compile(pattern) if isinstance(pattern, str) else None
    if compiled is None:
        return None
    loose, exact = compiled
    for match in loose.finditer(text[:_READ]):
        if match[0] and exact.search(match[0]):
            return match[0]
    return None


@lru_cache(maxsize=256)
def _compile(pattern: str) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    if _NESTED.search(pattern):
        return None
    try:
        exact = re.compile(pattern)
        loose = re.compile(pattern.removeprefix("^").removesuffix("$"))
    except re.error:
        return None
    return None if loose.search(_PROBE) else (loose, exact)


def _stems(text: str) -> frozenset[str]:
    """Words of four letters or more, without accents, cut to five so that inflections meet."""
    words = [word for word in _plain(text).split() if len(word) >= _STEM_FROM]
    return frozenset(word[:5] for word in words if word not in _COMMON)


def _plain(text: str) -> str:
    """The words of a text in small letters without accents, a space between each two."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text[:_READ]) if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W\d_]+", plain.casefold()))


def _properties(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {key: part if isinstance(part, dict) else {} for key, part in properties.items()}


class _Filler:
    """Hands out the parts of one message as arguments; each number, date and quotation is used once."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._quoted = [a or b for a, b in re.findall(r"[\"\u201c]([^\"\u201d]+)[\"\u201d]|'([^']+)'", text)]
        self._dates = [_iso_date(match) for match in _DATE.finditer(text)]
        numbers = _DATE.sub(" ", text)
        self._numbers = [
            match.replace(",", ".") for match in re.findall(r"(?<![\w.,-])-?\d+(?:[.,]\d+)?(?![\w.,-]*\d)", numbers)
        ]

    def object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        required = schema.get("required") if isinstance(schema.get("required"), list) else []
        filled = {}
        for key, part in _properties(schema).items():
            value, evident = self.value(part)
            if evident or key in (required or ()):
                filled[key] = value
        return filled

    def value(self, schema: Mapping[str, Any]) -> tuple[Any, bool]:
        """An argument, and whether the message really speaks of it."""
        if "const" in schema:
            return schema["const"], False
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._choice(schema)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if kind in ("integer", "number"):
            return self._number(schema, kind)
        if kind == "boolean":
            return bool(schema.get("default", False)), False
        if kind == "null":
            return None, False
        if kind == "object":
            return self.object(schema), False
        if kind == "array":
            items = schema.get("items")
            value, evident = self.value(items if isinstance(items, dict) else {})
            return [value] * max(1, int(schema.get("minItems") or 0)), evident
        return self._string(schema)

    def _choice(self, schema: Mapping[str, Any]) -> tuple[Any, bool]:
        """The choice that the message names, of several the one with most words."""
        words, plain = _stems(self._text), set(_plain(self._text).split())
        said = []
        for choice in schema["enum"]:
            if not isinstance(choice, str):
                continue
            stems = _stems(choice)
            short = {word for word in _plain(choice).split() if len(word) < _STEM_FROM and word not in _JOINING}
            if (stems and stems <= words and short <= plain) or re.search(
                rf"\b{re.escape(choice)}\b", self._text, re.IGNORECASE
            ):
                said.append((len(stems) + len(short), choice))
        if said:
            return max(said, key=lambda one: one[0])[1], True
        return schema.get("default", schema["enum"][0]), False

    def _number(self, schema: Mapping[str, Any], kind: str) -> tuple[Any, bool]:
        for number in self._numbers:
            value = float(number)
            if kind == "integer" and not value.is_integer():
                continue
            low, high = schema.get("minimum", value), schema.get("maximum", value)
            if low <= value <= high:
                self._numbers.remove(number)
                return (int(value) if value.is_integer() else value), True
        return schema.get("default", schema.get("minimum", 1)), False

    def _string(self, schema: Mapping[str, Any]) -> tuple[str, bool]:
        if found := find_pattern(schema.get("pattern"), self._text):
            if found in self._numbers:
                self._numbers.remove(found)
            return found, True
        if _is_date(schema):
            if self._dates:
                return self._dates.pop(0), True
            return str(schema.get("default", "2026-01-02")), False
        if self._quoted and not schema.get("pattern"):
            return self._quoted.pop(0), True
        if "default" in schema:
            return str(schema["default"]), False
        return self._text[: schema.get("maxLength", _READ)], False


_DATE = re.compile(r"\b(?:(\d{4})-(\d{2})-(\d{2})|(\d{2})/(\d{2})/(\d{4}))\b")


def _iso_date(match: re.Match[str]) -> str:
    if match[1]:
        return match[0]
    return f"{match[6]}-{match[5]}-{match[4]}"


def _is_date(schema: Mapping[str, Any]) -> bool:
    return schema.get("format") == "date" or _is_date_pattern(schema.get("pattern"))


def _is_date_pattern(pattern: Any) -> bool:
    compiled = _compile(pattern) if isinstance(pattern, str) else None
    return compiled is not None and compiled[1].fullmatch("2026-01-02") is not None
