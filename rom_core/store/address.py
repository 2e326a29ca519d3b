"""Where the store is, as STATE_URL and STATE_DIR say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from rom_core.errors import StoreRefused

if TYPE_CHECKING:
    from sqlalchemy import URL

DATABASE = "rom.db"
_FORMS = "use postgresql://user:password@host:5432/database, sqlite:///path/to/file.db, or leave it empty"
# What libpq takes as an option and nobody may read. Only the password has a place that is never shown.
_SECRET_OPTIONS = ("sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """The file of an SQLite database."""

    kind: ClassVar[Literal["sqlite"]] = "sqlite"
    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """The URL of a PostgreSQL database; as text without a password."""

    kind: ClassVar[Literal["postgresql"]] = "postgresql"
    url: URL

    def __str__(self) -> str:
        return shown(self.url)


Address: TypeAlias = SqliteAddress | PostgresAddress


def address_of(state_url: str, state_dir: str, root: Path) -> Address:
    """The address of these settings; what is relative is relative to `root`.

    Raises StoreRefused with a sentence that repeats nothing of what could be a password.
    """
    if not state_url.strip():
        return SqliteAddress(root / state_dir / DATABASE)
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    no_url = StoreRefused(f"STATE_URL is no URL: {_FORMS}; in a password, @ % and blanks are written as %40 %25 %20")
    try:
        url = make_url(state_url.strip())
    except (ArgumentError, ValueError):
        raise no_url from None
    if any("@" in part for part in (url.host or "", url.database or "", *url.query)):
        # What stands behind the first @ of a password would be shown as a part of the address.
        raise no_url
    if url.drivername == "sqlite":
        if url.host or url.username or url.password or url.query or not url.database or url.database == ":memory:":
            raise StoreRefused("STATE_URL names no file: use sqlite:///path/to/file.db, four slashes for /path")
        return SqliteAddress(root / url.database)
    if url.drivername not in _POSTGRES:
        raise StoreRefused(f"STATE_URL begins with a database that this cannot use: {_FORMS}")
    if not url.database:
        raise StoreRefused("STATE_URL names no database: write its name behind the host, postgresql://host/database")
    if not url.host and "host" not in url.query:
        raise StoreRefused("STATE_URL names no host: postgresql://host/database, or ?host=/run/postgresql behind it")
    return PostgresAddress(_with_password_in_its_place(url).set(drivername="postgresql+psycopg"))


def _with_password_in_its_place(url: URL) -> URL:
    """The URL without secrets among its options, which are shown. Raises StoreRefused."""
    for name in _SECRET_OPTIONS:
        if name in url.query:
            raise StoreRefused(f"STATE_URL has the option {name}, which would be shown: take it away")
    if "password" not in url.query:
        return url
    password, user = url.query["password"], url.query.get("user", url.username)
    if not isinstance(password, str) or not isinstance(user, str) or not user:
        raise StoreRefused(f"STATE_URL has a password without a user, or more than one: {_FORMS}")
    return url.set(username=user, password=password).difference_update_query(("password", "user"))


def shown(url: URL) -> str:
    """A URL as its user has written it, without a password."""
    return url.set(drivername="postgresql").render_as_string(hide_password=True)
