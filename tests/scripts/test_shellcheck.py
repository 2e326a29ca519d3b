"""Every shell script is clean for shellcheck."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_shell_scripts_are_clean() -> None:
    """All of scripts/ and .ci/run, with every optional severity."""
    scripts = [*(ROOT / "scripts").glob("*.sh"), ROOT / ".ci/run"]
    assert len(scripts) > 5
    done = subprocess.run(
        [str(Path(sys.executable).with_name("shellcheck")), "--severity=style", *map(str, scripts)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
