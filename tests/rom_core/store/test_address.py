"""Where the store is, and sentences for what cannot be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.errors import StoreRefused
from rom_core.store.address import PostgresAddress, SqliteAddress, address_of

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("", "/project/var/rom.db"),
        ("  ", "/project/var/rom.db"),
        ("sqlite:///data/x.db", "/project/data/x.db"),
        ("sqlite:////data/x.db", "/data/x.db"),
    ],
)
def test_sqlite_is_a_file(url: str, path: str) -> None:
    """Empty is rom.db in STATE_DIR; what is relative is relative to the project."""
    assert address_of(url, "var", ROOT) == SqliteAddress(Path(path))
    assert str(address_of(url, "var", ROOT)) == path


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_shown_without_its_password(scheme: str) -> None:
    """Whatever prefix a platform gives it."""
    address = address_of(f"{scheme}://ana:s%2Fecret@db:5433/rom", "var", ROOT)
    assert (address.kind, str(address)) == ("postgresql", "postgresql://ana:***@db:5433/rom")
    assert isinstance(address, PostgresAddress)
    assert (address.url.password, address.url.port) == ("s/ecret", 5433)


@pytest.mark.parametrize(
    "url",
    ["//ana@db/rom?password=s%2Fecret&sslmode=require", "//db/rom?user=ana&password=s%2Fecret&sslmode=require"],
)
def test_a_password_among_the_options_is_shown_as_little(url: str) -> None:
    """libpq takes it there, too; options are shown in logs, in sentences and to the programs of PostgreSQL."""
    address = address_of(f"postgresql:{url}", "var", ROOT)
    assert str(address) == "postgresql://ana:***@db/rom?sslmode=require"
    assert isinstance(address, PostgresAddress)
    assert (address.url.username, address.url.password) == ("ana", "s/ecret")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://db/rom?password=passwd", "without a user"),
        ("postgresql://ana@db/rom?sslpassword=passwd", "would be shown"),
        ("postgresql://ana@db/rom?oauth_client_secret=passwd", "would be shown"),
        ("rom", "is no URL"),
        ("postgresql://ana:pa@ss@db/rom", "is no URL.*%40"),
        ("postgresql://ana@db:port/rom", "is no URL"),
        ("mysql://db/rom", "cannot use"),
        ("postgresql+asyncpg://db/rom", "cannot use"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://ana:pass@/x.db", "names no file"),
        ("postgresql://db", "names no database"),
        ("postgresql:///rom", "names no host"),
    ],
)
def test_what_is_none_has_its_own_sentence(url: str, says: str) -> None:
    """It says what to write instead."""
    with pytest.raises(StoreRefused, match=says) as caught:
        address_of(url, "var", ROOT)
    assert "STATE_URL" in caught.value.detail
    assert "pass" not in caught.value.detail.replace("sslpassword", "").replace("password", "")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["w", "@", "/", ":", "#", "?", "%", " ", "[", "&"]), min_size=1, max_size=8))
def test_nothing_of_a_password_is_repeated(parts: list[str]) -> None:
    """However badly it is written into the URL, and whether or not that is one.

    Its beginning stands for it: what follows an @ may be a host by rights.
    """
    for url in (
        "postgresql://ana:ZQ{}@db/rom",
        "postgresql://ana@db/rom?password=ZQ{}",
        "mysql://ana:ZQ{}@db/rom",
        "sqlite://ana:ZQ{}@/x.db",
    ):
        try:
            shown = str(address_of(url.format("".join(parts)), "var", ROOT))
        except StoreRefused as error:
            shown = error.detail
        assert "ZQ" not in shown
