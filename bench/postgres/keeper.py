"""The parent of one PostgreSQL process, run as a script: it ends the server when whoever started it is gone.

Standard input is a pipe from the starter. Its end, which comes even if the starter is killed, ends the server: orderly,
then by force. The folder is removed too, unless `keep` stood on the pipe. A server that ends by itself ends this one
as well. Arguments: the numbers of user and group ("" for the present ones), the folder to remove, then the command.
Only the standard library, to start fast.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

_STAGES = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


def main(user: str, group: str, folder: str, command: Sequence[str]) -> int:
    """Run `command` until it or standard input ends; its exit code."""
    # What a terminal or a test runner sends to the whole group must not end this process first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    as_user: dict[str, Any] = {"user": int(user), "group": int(group), "extra_groups": []} if user else {}
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_default_signals, **as_user)
    words: list[str] = []
    threading.Thread(target=_end, args=(child, words), daemon=True).start()
    code = child.wait()
    if words and words[0].strip() != "keep":
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _end(child: subprocess.Popen[bytes], words: list[str]) -> None:
    words.append(sys.stdin.read())
    for number, seconds in _STAGES:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            return


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    os.chdir("/")
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
