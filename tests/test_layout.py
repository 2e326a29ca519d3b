"""The layout of the code: files that one reads in a sitting, words that one understands at first reading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("rom_core", "plugins", "local_bedrock")
AROUND = ("tests", "bench", "scripts", "examples")


def files(*folders: str) -> list[Path]:
    """The Python files in these folders; an example may have an environment of its own, which nobody here wrote."""
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if ".venv" not in path.relative_to(ROOT).parts
    ]


@pytest.mark.parametrize("path", files(*PACKAGES, *AROUND), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_exceeds_350_lines(path: Path) -> None:
    """What is longer has two subjects."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_nobody_assigns_into_the_runtime() -> None:
    """It is handed its collaborators; `runtime.swap` puts a snapshot in force."""
    assigned = re.compile(r"\bruntime\.[a-z_.]+ = ")
    places = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files(*PACKAGES)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if assigned.search(line)
    ]
    assert places == []
