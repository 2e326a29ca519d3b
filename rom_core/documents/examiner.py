"""Has files looked into by a process of its own, within limits of time and memory, few at a time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

import rom_core
from rom_core.concurrency.cancel import Deadline
from rom_core.concurrency.clock import Clock
from rom_core.documents.verdict import Verdict
from rom_core.errors import Overloaded

Question = tuple[bytes, tuple[str, ...]]
"""A file's content, and the formats that it may have."""

# Whoever sends a file has an answer within ten seconds: this much for waiting and looking together.
ALL_SECONDS: Final = 9.0
# A look that began with less than that does not show that it was the file that took too long.
LOOK_SECONDS: Final = 6.0
# No look begins with less.
MIN_LOOK_SECONDS: Final = 2.5
# The process stops by itself before that, file by file; the later it began, the less it looks through.
_WORK_SECONDS: Final = 2.5
_WORK_SHARE: Final = 0.35
# What it leaves of its time for the step that it is in, and for its answer.
_LAST_SECONDS: Final = 1.0
AT_ONCE: Final = 2
_REMEMBERED: Final = 256
# Of one request, and of those remembered: a thousand pages have two to three million characters.
MAX_TEXT: Final = 4_000_000
_MAX_REMEMBERED_TEXT: Final = 8_000_000
_TOO_COMPLEX: Final = Verdict(reason="too_complex", detail="it takes too much memory or time to read")
# Where this very package is, for a process that inherits neither a working directory nor a search path.
_HOME: Final = str(Path(rom_core.__file__).parents[1])
logger = structlog.get_logger("rom.documents")


class Run(Protocol):
    """Runs the process: what it is given, and for how many seconds; what it has said by then."""

    def __call__(self, given: bytes, seconds: float) -> bytes:
        """Never later than a moment after `seconds`."""


class Examiner:
    """Verdicts on files. One is shared by all threads; it remembers verdicts, by the digest of the content."""

    def __init__(self, clock: Clock, run: Run | None = None) -> None:
        self._clock = clock
        self._run = run or run_worker
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._guard = threading.Lock()
        self._known: OrderedDict[tuple[bytes, tuple[str, ...], bool], Verdict] = OrderedDict()

    def examine(self, questions: Sequence[Question], *, texts: bool = False) -> list[Verdict]:
        """The verdict on each file, within ALL_SECONDS. Raises Overloaded if too little of them is left for it.

        If `texts` are wanted, the verdicts have those of the files, all together up to MAX_TEXT characters.
        """
        keys = [(hashlib.sha256(data).digest(), formats, texts) for data, formats in questions]
        with self._guard:
            known = {key: self._known[key] for key in keys if key in self._known}
        pending = {key: question for key, question in zip(keys, questions, strict=True) if key not in known}
        hurried = False
        if pending:
            verdicts, hurried = self._ask(list(pending.values()), MAX_TEXT if texts else 0)
            known |= dict(zip(pending, verdicts, strict=True))
        with self._guard:
            for key, verdict in known.items():
                # What the machine had no room for now it may have later.
                if verdict is not _TOO_COMPLEX and not (hurried and verdict.unseen):
                    self._known[key] = verdict
                    self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED or self._characters() > _MAX_REMEMBERED_TEXT:
                self._known.popitem(last=False)
        return [known[key] for key in keys]

    def _characters(self) -> int:
        return sum(len(text) for verdict in self._known.values() for text in verdict.texts)

    def _ask(self, questions: Sequence[Question], characters: int) -> tuple[list[Verdict], bool]:
        """The verdicts, and whether the look had less time than it has on a quiet day."""
        deadline = Deadline(self._clock, ALL_SECONDS)
        # NOTE: real seconds, as for the process that it waits for.
        if not self._places.acquire(timeout=ALL_SECONDS - MIN_LOOK_SECONDS):
            raise _busy()
        try:
            began_late = deadline.remaining() < LOOK_SECONDS
            work = min(_WORK_SECONDS, deadline.remaining() * _WORK_SHARE)
            verdicts: list[Verdict] = []
            while len(verdicts) < len(questions):
                rest = questions[len(verdicts) :]
                seconds = deadline.remaining()
                answers = _verdicts(self._run(_order(rest, work, seconds, characters), seconds)) if seconds > 0 else []
                verdicts += answers[: len(rest)]
                if len(answers) < len(rest):
                    if began_late and deadline.passed:
                        raise _busy()
                    # The first without an answer has ended the process.
                    logger.warning("documents.worker_ended", bytes=len(rest[len(answers)][0]))
                    verdicts.append(_TOO_COMPLEX)
            return verdicts, work < _WORK_SECONDS or deadline.remaining() < ALL_SECONDS - LOOK_SECONDS
        finally:
            self._places.release()


def _busy() -> Overloaded:
    return Overloaded("too many attachments are looked into", retry_after=ALL_SECONDS)


def _order(questions: Sequence[Question], work: float, seconds: float, characters: int) -> bytes:
    files = [{"formats": list(formats), "size": len(data)} for data, formats in questions]
    # NOTE: real seconds, as for the process that it waits for: whose clock is the same.
    end = time.monotonic() + seconds - _LAST_SECONDS
    head = json.dumps({"seconds": work, "end": end, "characters": characters, "files": files}).encode()
    return b"\n".join((head, b"".join(data for data, _ in questions)))


def _verdicts(said: bytes) -> list[Verdict]:
    """Those of the lines that are whole."""
    return [Verdict.from_dict(json.loads(line)) for line in said.split(b"\n")[:-1]]


def run_worker(given: bytes, seconds: float) -> bytes:
    """Run `rom_core.documents.worker`; it is killed if it does not end by itself."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "rom_core.documents.worker"],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(os.environ),
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return bytes(late.stdout or b"")
    return ended.stdout


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What the process needs of the environment, which is no secret of ours."""
    kept = {name: ours[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in ours}
    return {**kept, "PYTHONPATH": _HOME, "PYTHONDONTWRITEBYTECODE": "1", "MALLOC_ARENA_MAX": "1"}
