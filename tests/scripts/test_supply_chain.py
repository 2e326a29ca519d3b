"""scripts/audit.sh and scripts/sbom.sh, with stubs for the tools, which only a release environment has."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(script: str, tool: str, stub: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a script with a stub for its tool; how that was called, a line each."""
    calls = folder / "calls"
    path = folder / tool
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{calls}\n{stub}\n')
    path.chmod(0o755)
    environ = {"PATH": os.environ["PATH"]}
    command = ["bash", str(ROOT / "scripts" / script), str(folder)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    return done, calls.read_text().splitlines()


def test_every_lock_is_audited_strictly(tmp_path: Path) -> None:
    """A package that could not be looked up fails like one with a vulnerability; nothing is installed for it."""
    done, calls = run("audit.sh", "pip-audit", "exit 0", tmp_path)
    assert done.returncode == 0, done.stderr
    locks = sorted(path.name for path in (ROOT / "requirements").glob("*.lock"))
    assert [call.split()[1] for call in calls] == [f"requirements/{name}" for name in locks]
    for call in calls:
        assert {"--strict", "--require-hashes", "--disable-pip"} <= set(call.split())


def test_a_vulnerability_fails_the_audit(tmp_path: Path) -> None:
    """At once."""
    done, calls = run("audit.sh", "pip-audit", "exit 1", tmp_path)
    assert done.returncode == 1
    assert len(calls) == 1


def test_each_exception_has_a_reason() -> None:
    """An id alone would be forgotten: who, why and until when stand behind it."""
    for line in (ROOT / "requirements/audit-exceptions.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Z]+-[\w-]+ .*\b20\d\d-\d\d-\d\d\b.*", line), line


def test_the_list_of_what_is_shipped_is_that_of_a_server(tmp_path: Path) -> None:
    """Of the lock that Render installs, reproducible and validated."""
    _, calls = run("sbom.sh", "cyclonedx-py", "exit 1", tmp_path)
    [call] = calls
    assert call.startswith("requirements requirements/run.lock ")
    assert {"--output-reproducible", "--validate", "dist/sbom.json"} <= set(call.split())
