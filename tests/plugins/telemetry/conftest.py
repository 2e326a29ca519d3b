"""Fixtures of the tests of telemetry."""

from __future__ import annotations

import pytest
from telemetry_seen import Seen

from plugins.telemetry import export


@pytest.fixture(autouse=True)
def closes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine too, what is left is sent; a test of its end shortens this."""
    monkeypatch.setattr(export, "CLOSE_SECONDS", 60.0)


@pytest.fixture
def seen() -> Seen:
    """With the usual sampler."""
    return Seen()
