"""Values of command-line options: durations, shares and addresses, as people write them."""

from __future__ import annotations

import math
import re

import click

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """`90`, `30s`, `2h`, `1h30m`: seconds, more than 0. A bare number is seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; fails as a wrong option does."""
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).strip().lower()
        parts = re.findall(r"(\d+(?:\.\d+)?)(min|[smhd]?)", text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self.fail(f"{value!r} is not a duration such as 30s, 90, 2h or 1h30m", param, ctx)
        if len(parts) > 1 and any(not unit for _, unit in parts):
            self.fail(f"{value!r}: a part of it has no unit", param, ctx)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if not 0 < seconds < math.inf:
            self.fail("a duration must be longer than nothing", param, ctx)
        return seconds


class Address(click.ParamType[str]):
    """`https://host`: an address over HTTP. Empty text is what nobody gave."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address as it is; fails as a wrong option does."""
        text = str(value).strip()
        if text and not re.fullmatch(r"https?://[^/?#\s]+(?:/[^?#\s]*)?", text):
            self.fail(f"{value!r} is not an address such as https://host", param, ctx)
        return text


class Identifier(click.ParamType[str]):
    """An id of somebody else's, by its form: what is anything else goes into no address and no command."""

    name = "id"

    def __init__(self, pattern: str, what: str) -> None:
        self._pattern = pattern
        self._what = what

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id as it is; fails as a wrong option does."""
        text = str(value)
        if not re.fullmatch(self._pattern, text, re.ASCII):
            self.fail(f"{value!r} is not {self._what}", param, ctx)
        return text


class Share(click.ParamType[float]):
    """`1%` or `0.01`: between 0 and 1, both excluded."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share; fails as a wrong option does."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"{value!r} is not a share such as 1% or 0.01", param, ctx)
        if not 0 < share < 1:
            self.fail(f"{value!r} does not lie between 0 and 100 %, both excluded", param, ctx)
        return share
