"""Fixtures of plugins' tests."""

from __future__ import annotations

import io
import json

import pytest
from log_support import Lines
from log_support import restored_logging as restored_logging

from rom_core.telemetry import health_watch, log


@pytest.fixture(autouse=True)
def looks_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The health watch looks when a test asks for it, not by itself in the middle of one."""
    monkeypatch.setattr(health_watch, "PERIOD_SECONDS", 3600.0)


@pytest.fixture(params=["INFO"])
def written(restored_logging: io.StringIO, request: pytest.FixtureRequest) -> Lines:
    """The lines written so far, at the level that the test is parametrised with."""
    stream = io.StringIO()
    log.configure("json", request.param, stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
