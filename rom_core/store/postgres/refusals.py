"""Why a PostgreSQL server does not serve us, as sentences: what, where, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from sqlalchemy import URL

_MAX_CHARS = 300


class Refusal(NamedTuple):
    """`sentence` for a person; `lasting`: trying again does not help."""

    sentence: str
    lasting: bool


# What the server or libpq says, in part, what it means, and whether that stays.
_KNOWN: tuple[tuple[tuple[str, ...], str, bool], ...] = (
    (
        ("password authentication failed", "no password supplied", "authentication failed"),
        "the database refuses the user or the password; put the right ones into STATE_URL",
        True,
    ),
    (("pg_hba.conf",), "the database lets nobody in from here; allow this host in its access rules", True),
    (
        ("role ", "does not exist"),
        "the database does not know the user; create it, or name another in STATE_URL",
        True,
    ),
    (
        ("database ", "does not exist"),
        "the server has no database of that name; create it, or name another in STATE_URL",
        True,
    ),
    (("SSL",), "no agreement about TLS; see sslmode and the certificates in STATE_URL", True),
    (
        ("could not translate host name",),
        "the name of the host leads nowhere; see to the host in STATE_URL, or to the name service",
        False,
    ),
    (
        ("failed to resolve host",),
        "the name of the host leads nowhere; see to the host in STATE_URL, or to the name service",
        False,
    ),
    (
        ("invalid connection option", "invalid URI query parameter"),
        "the driver does not know an option behind the ? in STATE_URL; take it away",
        True,
    ),
    (("too many",), "the database has no connection left; raise its limit, or end what holds them", False),
    (("starting up",), "the database is still starting; try again in a moment", False),
    (
        ("Connection refused",),
        "nobody listens there; start the database, or put the right host and port into STATE_URL",
        False,
    ),
    (("timeout",), "it does not answer; see to the network and its rules, and to host and port in STATE_URL", False),
    (
        ("permission denied",),
        "the user may not create tables there; grant CREATE on the schema, or name another user in STATE_URL",
        True,
    ),
    (("read-only",), "the database is read-only; name the primary, or end its read-only mode", True),
    (("disk full",), "the disk of the database is full; make room there", True),
    (("No space left",), "the disk of the database is full; make room there", True),
)


def refusal_of(error: BaseException, url: URL) -> Refusal:
    """What an error of the driver means, in a text without the password."""
    said = without_password(" ".join(str(error).split()), url)[:_MAX_CHARS]
    for parts, meaning, lasting in _KNOWN:
        together = parts[-1] == "does not exist"
        if all(part in said for part in parts) if together else any(part in said for part in parts):
            return Refusal(f"{meaning} (it says: {said})", lasting)
    return Refusal(f"it cannot be used; see STATE_URL (it says: {said})", False)


def without_password(text: str, url: URL) -> str:
    """The text with the password of `url` replaced, however it is written."""
    for form in _forms(url):
        text = text.replace(form, "***")
    return text


def _forms(url: URL) -> Iterator[str]:
    passwords = [url.password, *([each] if isinstance(each := url.query.get("password"), str) else [])]
    for password in passwords:
        if password:
            yield from sorted({str(password), quote(str(password), safe=""), quote_plus(str(password))}, key=len)[::-1]
