"""The list of cases and how one is found in it. Nothing here knows of hooks."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

COLUMNS = ("numero", "cliente", "situacao", "responsavel", "prazo")
MAX_BYTES = 5_000_000


class Unreadable(Exception):
    """The list is not there, too large, not UTF-8, or lacks a column."""


def read(path: Path) -> list[dict[str, str]]:
    """The rows of the list, read anew each time: people edit it while the server runs. Raises Unreadable."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unreadable(f"{path} has more than {MAX_BYTES} bytes")
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return [{column: row[column] or "" for column in COLUMNS} for row in csv.DictReader(lines)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise Unreadable(f"{path}: {error!r}") from error


def find(cases: Iterable[Mapping[str, str]], wanted: str) -> list[dict[str, str]]:
    """Those whose number has the digits of `wanted`, or whose client's name has its words, accents or none."""
    digits = "".join(character for character in wanted if character.isdigit())
    words = _folded(wanted).split()
    return [
        dict(case)
        for case in cases
        if (len(digits) >= 3 and digits in "".join(filter(str.isdigit, case["numero"])))
        or (not digits and all(word in _folded(case["cliente"]) for word in words))
    ]


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(character for character in plain if not unicodedata.combining(character)).casefold()
