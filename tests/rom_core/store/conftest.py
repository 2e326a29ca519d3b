"""Stores in both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_support import close_all

from bench.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A place for a store: a folder for SQLite, the URL of an empty database of PostgreSQL."""
    if request.param == "sqlite":
        return tmp_path / "var"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def anew(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Path | str]]:
    """Makes a new place at each call."""
    if request.param == "sqlite":
        yield lambda: tmp_path_factory.mktemp("store")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    made: list[str] = []

    def place() -> str:
        close_all()
        made.append(server.database())
        return server.url(made[-1])

    yield place
    close_all()
    for name in made:
        server.drop(name)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """No connection outlives its test."""
    yield
    close_all()
