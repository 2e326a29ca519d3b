"""What is loaded, and when: a start and a command stay light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SERVE = """
from pathlib import Path
from rom_core import hookspecs
from rom_core.flags.stored import stored_flags
from rom_core.plugin.catalogue import Catalogue
stored_flags(Catalogue.installed(hookspecs), Path(sys.argv[1]), {"ROM_ENV": "testing"})
"""
ASK = "import rom_core.cli.flags, rom_core.cli.canary, rom_core.cli.chat, rom_core.cli.admin_client"


@pytest.mark.parametrize(
    ("does", "unwanted"),
    [
        (
            "import rom_core, rom_core.cli, rom_core.runtime, rom_core.flags, plugins.canary, plugins.breaker",
            "sqlalchemy",
        ),
        (ASK, "sqlalchemy"),
        (ASK, "prompt_toolkit"),
        (ASK, "rich"),
        (SERVE, "psycopg"),
        (SERVE, "alembic"),
        (SERVE, "sqlalchemy.orm"),
        ("import rom_core.cli.serve, rom_core.http.app, rom_core.runtime", "prompt_toolkit"),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(tmp_path: Path, does: str, unwanted: str) -> None:
    """No database for who only asks a server, no driver for the other one, no Alembic unless a migration is due."""
    if does is SERVE:
        subprocess.run([sys.executable, "-c", f"import sys{does}", tmp_path], check=True, timeout=60)
    code = f"import sys\n{does}\nassert {unwanted!r} not in sys.modules, {unwanted!r}"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
