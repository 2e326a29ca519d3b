"""Case numbers; check digits are worked out here by long division, apart from the code under test."""

from __future__ import annotations

import re
import string
from datetime import date

from hypothesis import strategies as st

TODAY = date(2026, 6, 30)
STATES = tuple(re.findall("..", "ACALAPAMBACEDFESGOMAMTMSMGPAPBPRPEPIRJRNRSRORRSCSESPTO"))
ACRONYMS: dict[str, dict[str, str]] = {
    "1": {"00": "STF"},
    "2": {"00": "CNJ"},
    "3": {"00": "STJ"},
    "4": {f"{n:02}": f"TRF{n}" for n in range(1, 7)} | {"90": "CJF"},
    "5": {f"{n:02}": f"TRT{n}" for n in range(1, 25)} | {"00": "TST", "90": "CSJT"},
    "6": {f"{n:02}": f"TRE-{uf}" for n, uf in enumerate(STATES, 1)} | {"00": "TSE"},
    "7": {f"{n:02}": f"{n}ª CJM" for n in range(1, 13)} | {"00": "STM"},
    "8": {f"{n:02}": f"TJ{uf}" for n, uf in enumerate(STATES, 1)} | {"07": "TJDFT"},
    "9": {"13": "TJMMG", "21": "TJMRS", "26": "TJMSP"},
}
ALL_COURTS = [(branch, court) for branch, courts in ACRONYMS.items() for court in courts]


def long_division(payload: str) -> str:
    """The check digits by annex VIII, one digit at a time."""
    remainder = 0
    for digit in payload + "00":
        remainder = (remainder * 10 + int(digit)) % 97
    return str(98 - remainder).zfill(2)


def number(
    sequential: str = "0001234", year: str = "2020", court: str = "8.26", origin: str = "0100", check: str = ""
) -> str:
    """A punctuated number, with right check digits unless others are given."""
    check = check or long_division(sequential + year + court.replace(".", "") + origin)
    return f"{sequential}-{check}.{year}.{court}.{origin}"


def digits(size: int) -> st.SearchStrategy[str]:
    """Strings of so many ASCII digits."""
    return st.text(string.digits, min_size=size, max_size=size)


valid_numbers = st.builds(
    number,
    sequential=digits(7),
    year=st.integers(1900, TODAY.year).map(str),
    court=st.sampled_from(ALL_COURTS).map(".".join),
    origin=digits(4),
)
