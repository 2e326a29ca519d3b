"""Another program, run to its end or ended as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def run(command: Sequence[str], folder: Path, seconds: float, environ: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and output, in `folder`, with `environ` laid over our own environment.

    Whatever ends this, nothing that the command has started runs on. Raises subprocess.TimeoutExpired after `seconds`,
    OSError if it cannot be run at all.
    """
    process = subprocess.Popen(  # noqa: S603 - our own script
        command,
        cwd=folder,
        # The tools of this very environment, as `make test` has them: nobody has to activate it first.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own, so that it can be ended as a whole.
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return process.returncode, said
