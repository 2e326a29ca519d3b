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
