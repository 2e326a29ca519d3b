"""What tests of the request log share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rom_core.markers import hookimpl
from rom_core.turn import Attempt
from rom_core.turn_values import TryAgain

SECRET = "o réu confessou"


Lines = Callable[[], list[dict[str, Any]]]


at_debug = pytest.mark.parametrize("written", ["DEBUG"], indirect=True)


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The process's own logging, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    filters = logging.getLogger("waitress").filters[:]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("waitress").filters[:] = filters


class Persistent:
    """Tries everything again, on the second model."""

    @hookimpl
    def rom_model_failed(self, attempt: Attempt) -> TryAgain:
        return TryAgain(2.0) if attempt.number == 1 else TryAgain(0.0, "anthropic.second")
