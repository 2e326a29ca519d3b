"""Fixtures of plugins' tests."""

from __future__ import annotations

import io
import json

import pytest
from log_support import Lines
from log_support import restored_logging as restored_logging

from rom_core.telemetry import log


@pytest.fixture(params=["INFO"])
def written(restored_logging: io.StringIO, request: pytest.FixtureRequest) -> Lines:
    """The lines written so far, at the level that the test is parametrised with."""
    stream = io.StringIO()
    log.configure("json", request.param, stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
