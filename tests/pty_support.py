"""A command in a pseudo terminal of its own, and what a person would see on its screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyte
from waiting import until

UP, ESCAPE, ENTER, CTRL_C, CTRL_D, TAB = "\x1b[A", "\x1b", "\r", "\x03", "\x04", "\t"


class _Screen(pyte.HistoryScreen):
    """Answers what the command asks the terminal, as where the cursor is."""

    def __init__(self, columns: int, rows: int, answer: Callable[[bytes], object]) -> None:
        super().__init__(columns, rows, history=5000, ratio=0.5)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        """Type the answer."""
        self._answer(data.encode())


class TerminalRun:
    """`rom` with these arguments; `raw` is every byte that it wrote."""

    def __init__(self, *arguments: str, environ: Mapping[str, str], columns: int = 80, rows: int = 24) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.raw = b""
        self._screen = _Screen(columns, rows, lambda data: os.write(self._master, data))
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rom_core", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ},
            cwd=Path(__file__).parents[1],
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while piece := os.read(self._master, 65536):
                with self._lock:
                    self.raw += piece
                    self._stream.feed(piece)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._master, text.encode())

    @property
    def shown(self) -> str:
        """Everything on the screen and above it, as lines without the blanks at their ends."""
        with self._lock:
            above = ["".join(row[x].data for x in range(self._screen.columns)) for row in self._screen.history.top]
            lines = [line.rstrip() for line in [*above, *self._screen.display]]
        return "\n".join(lines).rstrip()

    def until(self, *texts: str, seconds: float = 60) -> str:
        """Wait until all of these are shown; what is shown then."""
        until(lambda: all(text in self.shown for text in texts), seconds)
        return self.shown

    def at_prompt(self) -> str:
        """Wait for an empty prompt in the last line."""
        until(lambda: self.shown.splitlines()[-1:] == [">"], 60)
        return self.shown

    def wait(self) -> int:
        """The exit code, once the command has ended."""
        code = self.process.wait(60)
        self._reader.join(60)
        return code


@contextmanager
def in_terminal(
    *arguments: str, environ: Mapping[str, str], columns: int = 80, rows: int = 24
) -> Iterator[TerminalRun]:
    """The command, ended at the end by force if it has to be."""
    run = TerminalRun(*arguments, environ=environ, columns=columns, rows=rows)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGKILL)
            run.process.wait(60)
