"""What is found out about one file, and how it goes from the process that looks to the one that asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Reason = Literal["broken", "encrypted", "empty", "mislabelled", "too_complex", "too_many_pages", "too_many_pixels"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a document that a reader does not see.

    `code` says in which way it is hidden; `instructs` that it speaks to an AI; `excerpt` is its beginning; `page`
    counts from 1, 0 where there are none.
    """

    code: str
    excerpt: str
    instructs: bool = False
    page: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A file that was looked into: its `format`, or why it is refused (`reason`, and `detail` in English).

    `pages` is 0 where there are none. `unseen` says that time did not suffice to look everywhere for hidden text.
    `texts`, if they are asked for, are those of a PDF's pages in order, or the one of a DOCX; `cut` that there is more.
    """

    format: str = ""
    reason: Reason | Literal[""] = ""
    detail: str = ""
    pages: int = 0
    findings: tuple[Finding, ...] = ()
    unseen: bool = False
    texts: tuple[str, ...] = ()
    cut: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Verdict:
        """From what `as_dict` made."""
        findings = tuple(Finding(**one) for one in given["findings"])
        return cls(**{**given, "findings": findings, "texts": tuple(given["texts"])})


class Refused(Exception):
    """The file is refused, for this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


class Budget:
    """Time for looking at one file: `left` is asked between two steps, and what is not done by then is left out.

    Also room for its text, in characters: `texts` is what was kept, `cut` says that there was more.
    """

    def __init__(self, now: Any, seconds: float, characters: int = 0) -> None:
        """`now` is a clock that only grows, in seconds; of no `characters` nobody wants the text."""
        self._now, self._seconds = now, seconds
        self.begin()
        self.wants_text = characters > 0
        self.room = characters
        self.texts: list[str] = []
        self.cut = False

    def begin(self) -> None:
        """The look begins now: loading a library, say, is not the file's time."""
        self._end = self._now() + self._seconds

    def keep(self, text: str) -> None:
        """Keep a text, as far as there is room."""
        if self.wants_text:
            self.cut = self.cut or len(text) > self.room
            self.texts.append(text[: self.room])
            self.room -= len(self.texts[-1])

    @property
    def left(self) -> bool:
        """Whether there is time for one more step."""
        return bool(self._now() < self._end)
