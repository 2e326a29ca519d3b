"""scripts/ci-local.sh with tools that only write down how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from repositories import SCRIPTS

from rom_core.ops.reference import built_in

ROOT = SCRIPTS.parent
STEPS = [
    "ruff check .",
    "ruff format --check .",
    "prometheus-tools.sh",
    "clients.sh",
    "browser.sh",
    "lint-imports",
    "python -m pytest -n auto --dist worksteal",
]

TOOL = """#!/bin/sh
echo "{name} $*" >>{folder}/calls
env >{folder}/environ.{name}
if [ "$(cat {folder}/fails 2>/dev/null)" = {name} ]; then echo "found by {name}"; exit 3; fi
echo {folder}/downloaded
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of them, with the script in a tree beside it; what is in the file `fails` says so and ends with 3."""
    scripts = tmp_path / "rom" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(SCRIPTS / "ci-local.sh", scripts)
    shutil.copy(ROOT / ".env.example", tmp_path / "rom")
    ours = (f"rom/scripts/{name}.sh" for name in ("prometheus-tools", "clients", "browser"))
    for name in ("ruff", "mypy", "lint-imports", "python", *ours):
        tool = tmp_path / name
        tool.write_text(TOOL.format(name=tool.name, folder=tmp_path))
        tool.chmod(0o755)
    return tmp_path


def run(tools: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The script's exit code and what it said."""
    return subprocess.run(
        ["bash", str(tools / "rom/scripts/ci-local.sh"), *arguments],
        env={"PATH": f"{tools}:{os.environ['PATH']}"} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def calls(tools: Path) -> list[str]:
    """What was called one after the other, in order; types are checked beside it."""
    return [call for call in (tools / "calls").read_text().splitlines() if not call.startswith("mypy")]


def test_lint_types_and_tests_on_all_cores(tools: Path) -> None:
    """In this order, types beside them; arguments go to pytest, and TEST_WORKERS says how many workers instead."""
    assert run(tools).returncode == 0
    assert [call[: len(step)] for call, step in zip(calls(tools), STEPS, strict=True)] == STEPS
    assert (tools / "calls").read_text().count("mypy") == 1
    assert run(tools, "-k", "gate", TEST_WORKERS="2").returncode == 0
    assert calls(tools)[-1] == "python -m pytest -n 2 --dist worksteal -k gate"


@pytest.mark.parametrize("tool", ["ruff", "prometheus-tools.sh", "clients.sh", "browser.sh", "lint-imports", "python"])
def test_the_first_failure_is_the_last_step(tools: Path, tool: str) -> None:
    """And the exit code says so."""
    (tools / "fails").write_text(tool)
    assert run(tools).returncode == 3
    assert calls(tools)[-1].startswith(tool)
    assert len(calls(tools)) <= [step.split()[0] for step in STEPS].index(tool) + 1


def test_types_fail_beside_tests_that_pass(tools: Path) -> None:
    """Tests are run, what mypy found is shown behind them, and the exit code is its own."""
    (tools / "fails").write_text("mypy")
    done = run(tools)
    assert (done.returncode, done.stderr) == (3, "types failed\n")
    assert done.stdout.endswith("found by mypy\n")
    assert calls(tools)[-1].startswith("python -m pytest")


def test_tests_fail_beside_types_that_pass(tools: Path) -> None:
    """The exit code is that of the tests, and the last line says what failed."""
    (tools / "fails").write_text("python")
    done = run(tools)
    assert (done.returncode, done.stderr) == (3, "tests failed\n")


def test_a_developers_own_settings_decide_nothing(tools: Path) -> None:
    """No declared setting, no credentials, no proxy reach the tests; anything else does."""
    declared = {setting.name for setting in built_in().settings}
    own = dict.fromkeys(declared | {"AWS_PROFILE", "ROM_ENV", "ROM_URL", "https_proxy", "NO_PROXY"}, "1")
    assert run(tools, **own, EDITOR="ed").returncode == 0
    left = {line.partition("=")[0] for line in (tools / "environ.python").read_text().splitlines()}
    assert left & set(own) == set()
    assert f":{tools}/downloaded" in (tools / "environ.python").read_text()
    assert "EDITOR" in left


def test_make_test_calls_it() -> None:
    """With the tools of the virtual environment."""
    done = subprocess.run(
        ["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert f'PATH="{ROOT}/.venv/bin:$PATH" scripts/ci-local.sh' in done.stdout
