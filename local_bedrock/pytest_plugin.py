"""pytest plugin: the fixture `bedrock_local`, a started local Bedrock for one test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from local_bedrock.server import LocalBedrock


@pytest.fixture
def bedrock_local() -> Iterator[LocalBedrock]:
    """A started `LocalBedrock`, stopped at the end of the test; its `url` is the client's `endpoint_url`."""
    from local_bedrock.server import LocalBedrock

    with LocalBedrock() as server:
        yield server
