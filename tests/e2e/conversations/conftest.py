"""Servers that keep conversations, with both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.conversing import settings_of
from e2e.serving import RomServer, serving_with

from local_bedrock import LocalBedrock


@pytest.fixture(autouse=True)
def _forgetful(bedrock: LocalBedrock) -> None:
    """What other tests asked the model is forgotten."""
    bedrock.reset()


@pytest.fixture(params=["sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, bedrock: LocalBedrock) -> dict[str, str]:
    """Settings with a store of the test's own: SQLite, in both databases where the test says so."""
    settings = settings_of(bedrock) | {"STATE_DIR": str(tmp_path / "state")}
    if request.param == "postgresql":
        settings["STATE_URL"] = request.getfixturevalue("postgres_url")
    return settings


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, bedrock: LocalBedrock) -> Iterator[RomServer]:
    """A server for tests that leave each other alone, with either database."""
    with serving_with(request, **settings_of(bedrock)) as running:
        yield running
