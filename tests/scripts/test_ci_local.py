"""scripts/ci-local.sh with tools that only write down how they were called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from repositories import SCRIPTS

from rom_core.ops.reference import built_in

ROOT = SCRIPTS.parent
STEPS = [
    "ruff check .",
    "ruff format --check .",
    "mypy",
    "lint-imports",
    "python -m pytest -n auto",
]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of them; what is in the file `fails` ends with 1."""
    for name in ("ruff", "mypy", "lint-imports", "promtool", "prometheus", "python"):
        tool = tmp_path / name
        tool.write_text(
            f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\nenv >{tmp_path}/environ\n'
            f'[ "$(cat {tmp_path}/fails 2>/dev/null)" != {name} ]\n'
        )
        tool.chmod(0o755)
    return tmp_path


def run(tools: Path, *arguments: str, **environ: str) -> int:
    """The script's exit code."""
    return subprocess.run(
        ["bash", str(SCRIPTS / "ci-local.sh"), *arguments],
        env={"PATH": f"{tools}:{os.environ['PATH']}"} | environ,
        capture_output=True,
        timeout=30,
        check=False,
    ).returncode


def calls(tools: Path) -> list[str]:
    """What was called, in order."""
    return (tools / "calls").read_text().splitlines()


def test_lint_types_and_tests_on_all_cores(tools: Path) -> None:
    """In this order; arguments go to pytest, and TEST_WORKERS says how many cores instead."""
    assert run(tools) == 0
    assert [call[: len(step)] for call, step in zip(calls(tools), STEPS, strict=True)] == STEPS
    assert run(tools, "-k", "gate", TEST_WORKERS="2") == 0
    assert calls(tools)[-1] == "python -m pytest -n 2 -k gate"


@pytest.mark.parametrize("tool", ["ruff", "mypy", "lint-imports", "python"])
def test_the_first_failure_is_the_last_step(tools: Path, tool: str) -> None:
    """And the exit code says so."""
    (tools / "fails").write_text(tool)
    assert run(tools) != 0
    assert calls(tools)[-1].startswith(tool)
    assert len(calls(tools)) <= [step.split()[0] for step in STEPS].index(tool) + 1


def test_a_developers_own_settings_decide_nothing(tools: Path) -> None:
    """No declared setting, no credentials, no proxy reach the tests; anything else does."""
    declared = {setting.name for setting in built_in().settings}
    own = dict.fromkeys(declared | {"AWS_PROFILE", "ROM_ENV", "ROM_URL", "https_proxy", "NO_PROXY"}, "1")
    assert run(tools, **own, EDITOR="ed") == 0
    left = {line.partition("=")[0] for line in (tools / "environ").read_text().splitlines()}
    assert left & set(own) == set()
    assert "EDITOR" in left


def test_make_test_calls_it() -> None:
    """With the tools of the virtual environment."""
    done = subprocess.run(
        ["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert f'PATH="{ROOT}/.venv/bin:$PATH" scripts/ci-local.sh' in done.stdout
