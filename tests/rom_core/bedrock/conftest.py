"""Fixtures for the wire and what stands behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bedrock_support import Connect, make_wire

from rom_core.bedrock.wire import Wire


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes wires, and closes them after the test."""
    made: list[Wire] = []

    def to(url: str, **values: Any) -> Wire:
        made.append(make_wire(url, **values))
        return made[-1]

    yield to
    for wire in made:
        wire.close()
