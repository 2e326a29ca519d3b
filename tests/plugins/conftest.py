"""Fixtures of plugins' tests."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from log_support import Lines

from rom_core.telemetry import log


@pytest.fixture(params=["INFO"])
def written(request: pytest.FixtureRequest) -> Iterator[Lines]:
    """The lines written so far, at the level that the test is parametrised with."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    stream = io.StringIO()
    log.configure("json", request.param, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)
