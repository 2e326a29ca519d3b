"""What libpq would take from its own variables and files: where we log in, and with what, only STATE_URL says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL

_PORT = 5432
_NO_FILE = f"{os.devnull}/none"
_HERE = ("PGHOSTADDR", "PGPASSFILE", "PGPASSWORD", "PGPORT")


def closed_options(url: URL) -> dict[str, Any]:
    """Options of a connection to `url` that leave PGPASSWORD, PGHOSTADDR, PGPORT and a password file nothing to add.

    libpq reads a variable only where an option has no value at all; an empty one is a value
    (https://www.postgresql.org/docs/current/libpq-envars.html).
    """
    options: dict[str, Any] = {"hostaddr": "", "passfile": _NO_FILE}
    if url.password is None:
        options["password"] = ""
    # Several hosts may bring ports of their own.
    if url.port is None and ":" not in "".join(url.query.get("host", "")):
        options["port"] = _PORT
    return {name: value for name, value in options.items() if name not in url.query}


def closed_environment(url: URL, environ: Mapping[str, str]) -> dict[str, str]:
    """The same for the programs of PostgreSQL, with the password, which no list of processes shows there."""
    kept = {name: value for name, value in environ.items() if name not in _HERE}
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    return {**kept, "PGPASSFILE": _NO_FILE, "PGPORT": str(url.port or _PORT), **password}
