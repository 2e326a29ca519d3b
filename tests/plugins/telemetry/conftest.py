"""Fixtures of the tests of telemetry."""

from __future__ import annotations

import pytest
from telemetry_seen import Seen


@pytest.fixture
def seen() -> Seen:
    """With the usual sampler."""
    return Seen()
