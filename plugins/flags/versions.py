"""Versions as requests name them: the one a change is meant for (If-Match), and numbers in bodies."""

from __future__ import annotations

import re
from typing import Any

import falcon

from rom_core.errors import MalformedRequest

_ETAG = re.compile(r'(?:W/)?"?([0-9]{1,15})"?')


def required_version(req: falcon.Request) -> int | None:
    """The version of If-Match, None where any will do."""
    given = (req.get_header("If-Match") or "*").strip()
    if given == "*":
        return None
    match = _ETAG.fullmatch(given)
    if match is None:
        raise MalformedRequest('If-Match must be a version, as in `If-Match: "7"`')
    return int(match.group(1))


def version_number(given: Any) -> int | None:
    """The number of a version, as JSON or in text; None if it is not one."""
    if isinstance(given, str) and (match := _ETAG.fullmatch(given)):
        given = int(match.group(1))
    return given if type(given) is int and 0 < given < 1 << 53 else None
