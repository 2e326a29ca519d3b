"""The local Bedrock is of use by itself: it stands on botocore alone and runs as a module."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import local_bedrock
from local_bedrock.__main__ import main

_NOTHING_OF_OURS = """
import pkgutil, sys, local_bedrock
for module in pkgutil.walk_packages(local_bedrock.__path__, "local_bedrock."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
print([name for name in sys.modules if name.partition(".")[0] in ("rom_core", "plugins")])
"""


def test_it_imports_nothing_of_the_agent() -> None:
    """Every module of the package, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", _NOTHING_OF_OURS], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_it_tells_type_checkers_that_it_is_typed() -> None:
    """PEP 561: the marker stands in the package."""
    assert (Path(local_bedrock.__file__).parent / "py.typed").is_file()


def test_it_runs_as_a_module() -> None:
    """`python -m local_bedrock` says where it listens, answers, and ends with 0 on SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local_bedrock", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip().removeprefix("local Bedrock at ")
        with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()


def test_a_port_in_use_says_how_to_choose_another(
    bedrock_local: local_bedrock.LocalBedrock, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line instead of a traceback, and status 1."""
    port = bedrock_local.url.rpartition(":")[2]
    assert main(["--port", port]) == 1
    assert "choose another --port" in capsys.readouterr().err
