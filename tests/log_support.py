"""What tests of the request log share."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rom_core.markers import hookimpl
from rom_core.telemetry import log
from rom_core.turn import Attempt
from rom_core.turn_values import TryAgain

SECRET = "o réu confessou"


Lines = Callable[[], list[dict[str, Any]]]


at_debug = pytest.mark.parametrize("written", ["DEBUG"], indirect=True)


@pytest.fixture
def restored_logging() -> Iterator[io.StringIO]:
    """Where lines may go; the process's own logging is put back afterwards."""
    root, waitress = logging.getLogger(), logging.getLogger("waitress")
    handlers, level, filters = root.handlers[:], root.level, waitress.filters[:]
    libraries = {name: logging.getLogger(name).level for name in log._QUIETED}
    yield io.StringIO()
    root.handlers[:], waitress.filters[:] = handlers, filters
    root.setLevel(level)
    for name, before in libraries.items():
        logging.getLogger(name).setLevel(before)


class Persistent:
    """Tries everything again, on the second model."""

    @hookimpl
    def rom_model_failed(self, attempt: Attempt) -> TryAgain:
        return TryAgain(2.0) if attempt.number == 1 else TryAgain(0.0, "anthropic.second")
