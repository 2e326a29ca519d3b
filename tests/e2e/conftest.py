"""What end-to-end tests have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_bedrock import LocalBedrock


@pytest.fixture(scope="module")
def bedrock() -> Iterator[LocalBedrock]:
    """A local Bedrock in this process: it refuses what Bedrock refuses, and tests see what reached it."""
    with LocalBedrock() as local:
        yield local
