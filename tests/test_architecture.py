"""docs/architecture.md tells of the packages, the direction of imports and the walk of a message as they are."""

from __future__ import annotations

import configparser
import fnmatch
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/architecture.md").read_text()


def test_every_package_has_its_line() -> None:
    """And no line is about one that does not exist."""
    table = TEXT.split("## Where things are")[1].split("\n## ")[0]
    named = {name.rstrip("/") for name in re.findall(r"`(rom_core/\w+/|\w+/)`", table)} - {"server", "routes"}
    packages = {f"rom_core/{path.parent.name}" for path in (ROOT / "rom_core").glob("*/__init__.py")}
    assert packages <= named
    assert all((ROOT / name).is_dir() for name in named)


def test_every_module_beside_the_packages_is_named() -> None:
    """By its name or a pattern, each of which names a module that exists."""
    table = TEXT.split("## Where things are")[1].split("\n## ")[0]
    patterns = [name.removeprefix("rom_core/") for name in re.findall(r"`((?:rom_core/)?[\w*]+\.py)`", table)]
    modules = [path.name for path in (ROOT / "rom_core").glob("*.py") if not path.name.startswith("__")]
    assert [name for name in modules if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not fnmatch.filter(modules, pattern)] == []


def test_the_direction_of_imports_is_that_of_the_contract() -> None:
    """Layer by layer."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    layers = parser["importlinter:contract:layers"]["layers"].split("\n")
    contract = [sorted(re.findall(r"\w+", layer)) for layer in layers if layer.strip()]
    block = TEXT.split("## Which way imports run")[1].split("```")[1]
    assert [sorted(re.findall(r"\w+", line)) for line in block.strip().splitlines()] == contract


def test_the_walk_is_that_of_a_real_turn() -> None:
    """The files and functions that hand a message on, in their order."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.walk"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    written = TEXT.split("<!-- walk -->\n")[1].split("\n<!-- end")[0]
    assert done.stdout.startswith(written + "\n"), "python -m bench.walk --write"
