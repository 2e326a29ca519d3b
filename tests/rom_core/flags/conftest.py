"""A project whose flags are under test."""

from __future__ import annotations

from pathlib import Path

import pytest
from flag_support import Limits, Site
from support import Recorder, Toolkit, tool


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A project with settings in relation, a tool and an observer."""
    return Site(tmp_path, limits=Limits(), recorder=Recorder(), toolkit=Toolkit(tool("look")))
