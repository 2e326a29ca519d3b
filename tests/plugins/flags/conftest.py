"""A process with the admin routes of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from admin_support import KEY, TOKEN, Admin, Demo, Failing
from flag_support import Site
from support import Recorder

from plugins.flags import FlagsPlugin


@pytest.fixture
def admin(tmp_path: Path) -> Admin:
    """A process with the routes, a plugin to configure, and secrets."""
    site = Site(tmp_path, flags=FlagsPlugin(), demo=Demo(), failing=Failing(), recorder=Recorder())
    site.environ |= {"ADMIN_TOKEN": f"ops={TOKEN}", "API_KEYS": f"app={KEY}", "FAILING_ENABLED": "true"}
    return Admin(site)
