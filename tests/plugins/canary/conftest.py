"""A process whose canary plugin looks by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from canary_support import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A process without a rollout."""
    bench = Bench(tmp_path)
    yield bench
    bench.keeper.stop()
    bench.runtime.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def either_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The same with its store in each of the two databases."""
    bench = Bench(tmp_path, "" if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    yield bench
    bench.keeper.stop()
    bench.runtime.stop()
