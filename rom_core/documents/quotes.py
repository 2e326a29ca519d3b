"""Whether a quote is in a document, by the text that was extracted from it, and where."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from rom_core.turn_values import Checked

# Invisible characters, and those that print as a plain one: NFKC knows neither.
_PLAIN: Final = str.maketrans(
    {
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", ""),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
    }
)
_PIECE: Final = 50_000
_HYPHEN: Final = re.compile(r"(?<=[^\W\d_])-\s*(?=[^\W\d_])")
_BLANK: Final = re.compile(r"(?<!\d) | (?!\d)")


def letters(text: str) -> str:
    """A text as it is compared: what is different by typesetting alone is the same.

    Ligatures and other compatibility characters are their letters (NFKC), case is folded, hyphens between letters go
    (and so does hyphenation at the end of a line), dashes are hyphens, typographic quotation marks plain ones, soft
    hyphens and characters of no width go. Blanks and line breaks go, except between two digits: `1 2` is not `12`, and
    a minus before a figure stays.

    >>> letters("A ﬁança pres-\\ntada  pelo Autor") == letters("a fiança prestada pelo autor")
    True
    >>> letters("10 20") == letters("1020")
    False
    """
    plain = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return _BLANK.sub("", " ".join(_HYPHEN.sub("", plain).split()).casefold())


@dataclass(slots=True)
class Source:
    """The text of one document. `number` counts the documents of a request from 0; `name` is the client's name for it.

    `pages` are those of a PDF, in order, as far as they could be read; of another document there is `text`, the very
    one that the model gets.
    """

    number: int
    name: str
    text: str = ""
    pages: tuple[str, ...] = ()
    _letters: dict[tuple[int, int], str] = field(default_factory=dict)

    def place(self, quote: str, claimed: Mapping[str, Any]) -> dict[str, Any] | None:
        """Where the quote stands, as a Converse location; None if it is not in the document.

        What the model says, `claimed`, counts where the quote is there; else it is the first place where it is. Pages
        count from 1, characters from 0, and the end is the first that does not belong to it. If only the comparison
        finds the quote in a text, the place is the whole of it.
        """
        wanted = letters(quote)
        if not any(char.isalnum() for char in wanted):
            return None
        start, end = (_whole(claimed.get(name)) for name in ("start", "end"))
        if self.pages:
            found = self._on_pages(wanted, start, end)
            return found and {"documentPage": {"documentIndex": self.number, "start": found[0], "end": found[1]}}
        found = self._in_text(quote, wanted, start, end)
        return found and {"documentChar": {"documentIndex": self.number, "start": found[0], "end": found[1]}}

    def _on_pages(self, wanted: str, start: int, end: int) -> tuple[int, int] | None:
        last = len(self.pages)
        if 1 <= start < end <= last + 1 and wanted in self._known(start - 1, end - 1):
            return start, end
        each = [self._known(number, number + 1) for number in range(last)]
        place = "".join(each).find(wanted)
        if place < 0:
            return None
        ends = list(accumulate(map(len, each)))
        first = next(number for number, one in enumerate(ends) if one > place)
        until = next(number for number, one in enumerate(ends) if one >= place + len(wanted))
        return first + 1, until + 2

    def _in_text(self, quote: str, wanted: str, start: int, end: int) -> tuple[int, int] | None:
        if 0 <= start < end <= len(self.text) and wanted in letters(self.text[start:end]):
            return start, end
        place = self.text.find(quote)
        if place >= 0:
            return place, place + len(quote)
        whole = (0, len(self.text))
        if whole not in self._letters:
            # In pieces: other threads must not wait for megabytes.
            self._letters[whole] = "".join(map(letters, _pieces(self.text)))
        return whole if wanted in self._letters[whole] else None

    def _known(self, first: int, until: int) -> str:
        """The letters of these pages, each looked at once."""
        for number in range(first, until):
            if (number, number) not in self._letters:
                self._letters[number, number] = letters(self.pages[number])
        return "".join(self._letters[number, number] for number in range(first, until))


class Sources:
    """The documents of a request by the names that the model knows them by, in their order."""

    def __init__(self, by_name: Iterable[tuple[str, Source]]) -> None:
        self._by_name = dict(by_name)
        self._in_order = list(self._by_name.values())
        self._seen: dict[tuple[int, str, int, int], dict[str, Any] | None] = {}

    @property
    def by_name(self) -> Mapping[str, Source]:
        """The texts by what the model calls them."""
        return self._by_name

    def check(self, citation: Mapping[str, Any]) -> Checked:
        """What a model's citation is worth; see `turn_values.Checked`."""
        location = next((one for one in _mapping(citation.get("location")).values() if isinstance(one, Mapping)), {})
        source = self._source(citation.get("title"), location)
        quote = "".join(_text(part) for part in citation.get("sourceContent") or ())
        if source is None:
            return Checked()
        key = (source.number, quote, _whole(location.get("start")), _whole(location.get("end")))
        if key not in self._seen:
            self._seen[key] = source.place(quote, location)
        place = self._seen[key]
        if place is None:
            return Checked(name=source.name)
        name = next(name for name, one in self._by_name.items() if one is source)
        block = {"title": name, "sourceContent": [{"text": quote}], "location": place}
        return Checked(name=source.name, block=block, shown=_shown(source, place, quote))

    def _source(self, title: Any, location: Mapping[str, Any]) -> Source | None:
        """By its name, which no two have; by its number where the model says no name that there is."""
        if isinstance(title, str) and title in self._by_name:
            return self._by_name[title]
        number = _whole(location.get("documentIndex"))
        return self._in_order[number] if 0 <= number < len(self._in_order) else None


def _shown(source: Source, place: Mapping[str, Any], quote: str) -> dict[str, Any]:
    ((kind, where),) = place.items()
    shown: dict[str, Any] = {"document": source.number, "name": source.name}
    if kind == "documentPage":
        shown |= {"page": where["start"], "last_page": where["end"] - 1}
    else:
        shown["range"] = {"start": where["start"], "end": where["end"]}
    return {**shown, "quote": quote}


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find(" ", start + _PIECE)
        end = min(end if end >= 0 else len(text), start + 2 * _PIECE)
        yield text[start:end]
        start = end


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(part: Any) -> str:
    text = _mapping(part).get("text")
    return text if isinstance(text, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
