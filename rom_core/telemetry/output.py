"""Standard output and error that never block the process: lines wait in a bounded queue, one thread writes them.

A pipe whose reader stops takes 64 KiB and then blocks whoever writes into it, with every lock that they hold. Here only
the writing thread waits. What finds the queue full is dropped and counted, until everything before it is written.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO, cast

MAX_WAITING_BYTES = 8 * 1024 * 1024
FLUSH_SECONDS = 2.0
"""How long the end of the process waits for what is still to be written."""

_CHUNK_BYTES = 64 * 1024
# A line without an end is written in pieces of this length.
_MAX_LINE = 64 * 1024


class Output:
    """Writes whole lines to a file descriptor, in the order in which they came.

    `dropped` counts lines that were never written. Once lines can be written again, `resumed` is called in the writing
    thread with the number of those that are missing before the next one.
    """

    def __init__(self, fd: int, *, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self.fd = fd
        self.dropped = 0
        self.resumed: Callable[[int], None] = lambda _count: None
        self._max_bytes = max_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._full = False
        self._missing = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"rom-output-{fd}", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Take lines, without waiting; they are dropped if too much waits already."""
        data = text.encode("utf-8", "backslashreplace")
        with self._changed:
            # Once full, it stays so until all of it is written: what is missing is missing in one place.
            if self._full or self._bytes + len(data) > self._max_bytes:
                self._full = True
                self._drop(data)
                return
            self._waiting.append(data)
            self._bytes += len(data)
            self._changed.notify_all()

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until everything is written, for so long at most; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._bytes and not self._full, seconds)

    def _drop(self, data: bytes) -> None:
        lines = max(1, data.count(b"\n"))
        self.dropped += lines
        self._missing += lines

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._full)
                batch = self._take()
            written = self._put(batch)
            with self._changed:
                if not written:
                    self._drop(batch)
                self._bytes -= len(batch)
                missing = 0
                if not self._waiting:
                    self._full = False
                    # An output that takes nothing does not take the news of it either.
                    if written:
                        missing, self._missing = self._missing, 0
                self._changed.notify_all()
            if missing:
                with contextlib.suppress(Exception):
                    self.resumed(missing)

    def _take(self) -> bytes:
        batch: list[bytes] = []
        size = 0
        while self._waiting and size + len(self._waiting[0]) <= _CHUNK_BYTES:
            batch.append(self._waiting.popleft())
            size += len(batch[-1])
        return b"".join(batch) if batch or not self._waiting else self._waiting.popleft()

    def _put(self, batch: bytes) -> bool:
        """Whether it was written; a closed pipe or a full disk takes nothing."""
        rest = memoryview(batch)
        while rest:
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                # Somebody else, at the other end of what we share, made it non-blocking.
                select.select([], [self.fd], [], 1.0)
            except OSError:
                return False
        return True


class LineStream(io.TextIOBase):
    """What takes the place of sys.stdout or sys.stderr: hands whole lines to an Output."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, output: Output) -> None:
        self._output = output
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Take text; a line goes out with its end. Raises TypeError for bytes: click tells a stream of text so."""
        if not isinstance(text, str):
            raise TypeError(f"text is written here, not {type(text).__name__}")
        with self._lock:
            lines, end, self._begun = f"{self._begun}{text}".rpartition("\n")
            if len(self._begun) > _MAX_LINE:
                lines, end, self._begun = f"{lines}{end}{self._begun}", "\n", ""
            if end:
                self._output.write(lines + end)
        return len(text)

    def flush(self) -> None:
        """Write what has no end yet; nobody waits for it to arrive."""
        with self._lock:
            begun, self._begun = self._begun, ""
        if begun:
            self._output.write(begun)

    def fileno(self) -> int:
        """The descriptor that is written to."""
        return self._output.fd

    def isatty(self) -> bool:
        """Whether that is a terminal."""
        return os.isatty(self._output.fd)

    def writable(self) -> bool:
        """Yes."""
        return True


_outputs: list[Output] = []


def take_over() -> None:
    """From now on nothing that this process writes to standard output and error can block it.

    At its end it waits for what is still to be written, for FLUSH_SECONDS at most.
    """
    stdout = _replaced(sys.stdout, None)
    stderr = _replaced(sys.stderr, stdout)
    sys.stdout, sys.stderr = cast("TextIO", stdout or sys.stdout), cast("TextIO", stderr or sys.stderr)
    atexit.register(flush)


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Wait until everything is written, for so long at most in all."""
    end = time.monotonic() + seconds
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    for output in _outputs:
        output.flush(max(0.0, end - time.monotonic()))


def lines_dropped() -> int:
    """Lines that were never written, since the process began."""
    return sum(output.dropped for output in _outputs)


def when_resumed(resumed: Callable[[int], None]) -> None:
    """Call this with the number of lines that were dropped, once an output that took nothing takes lines again."""
    for output in _outputs:
        output.resumed = resumed


def _replaced(stream: TextIO, other: LineStream | None) -> LineStream | None:
    """A stream in the place of this one; None if it is no file of the system (one of a test, or closed)."""
    try:
        fd = stream.fileno()
        if other is not None and os.path.sameopenfile(fd, other.fileno()):
            # One output for both keeps their lines in order.
            return other
    except (AttributeError, OSError, ValueError):
        return None
    stream.flush()
    _outputs.append(Output(fd))
    return LineStream(_outputs[-1])
