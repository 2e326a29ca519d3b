"""A project whose settings are under test."""

from __future__ import annotations

from pathlib import Path

import pytest
from settings_support import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty folder, an empty environment."""
    return Site(tmp_path)
