"""Crowds before the limiter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from limiter_support import Crowd


@pytest.fixture
def crowd() -> Iterator[Callable[..., Crowd]]:
    """Makes crowds, and sends them home."""
    made: list[Crowd] = []

    def make(**settings: Any) -> Crowd:
        made.append(Crowd(**settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
