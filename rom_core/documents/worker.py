"""The process that looks into files: it has little memory and little time, and nothing to lose.

It reads from standard input a line of JSON, `{"seconds": …, "end": …, "files": [{"formats": […], "size": …}, …]}`, and
after it the files; `end` is when nothing more is begun, on the system's monotonic clock; for each it writes a line of
JSON, a Verdict. With `characters` in the order, the verdicts bring the files' texts, up to so many characters together.
What ends it (memory, time, a fault of a library) is the fault of the first file for which there is no line.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO, Final

from rom_core.documents.verdict import Budget, Refused, Verdict

MEMORY_BYTES: Final = 512 * 1024 * 1024
CPU_SECONDS: Final = 15
# A file that hardly gets the processor has more time: as if it had at least a quarter of one.
_LEAST_SHARE: Final = 0.25
# Of the libraries' own recursion; a document nests a few levels deep.
_MAX_DEPTH: Final = 1000


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer for each file, in order."""
    order = json.loads(source.readline())
    now = WorkClock(time.process_time, time.monotonic, order["end"])
    room = order.get("characters", 0)
    for file in order["files"]:
        data = source.read(file["size"])
        budget = Budget(now, order["seconds"] / len(order["files"]), room)
        verdict = look(data, file["formats"], budget)
        if room and not verdict.reason:
            verdict = replace(verdict, texts=tuple(budget.texts), cut=budget.cut)
            room = max(1, budget.room)
        sink.write(json.dumps(verdict.as_dict(), ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        sink.flush()


class WorkClock:
    """Goes as time passes, but from one look at it to the next no further than the work done allows; in seconds.

    After `end`, by `passed`, it shows infinity.
    """

    def __init__(self, work: Callable[[], float], passed: Callable[[], float], end: float = math.inf) -> None:
        self._work, self._passed, self._end = work, passed, end
        self._last = work(), passed()
        self._now = 0.0

    def __call__(self) -> float:
        """What it shows now."""
        last, self._last = self._last, (self._work(), self._passed())
        if self._last[1] > self._end:
            return math.inf
        worked, passed = (now - before for now, before in zip(self._last, last, strict=True))
        self._now += min(passed, worked / _LEAST_SHARE)
        return self._now


def look(data: bytes, formats: list[str], budget: Budget) -> Verdict:
    """The verdict on one file whose content may be of these formats."""
    try:
        if formats == ["pdf"]:
            from rom_core.documents.pdf import look_into_pdf

            budget.begin()
            return look_into_pdf(data, budget)
        if "docx" in formats or "xlsx" in formats:
            from rom_core.documents.ooxml import look_into_ooxml

            budget.begin()
            return look_into_ooxml(data, formats, budget)
        from rom_core.documents.image import look_into_image

        return look_into_image(data, formats[0])
    except Refused as refusal:
        return Verdict(reason=refusal.reason, detail=refusal.detail)
    except (MemoryError, RecursionError) as error:
        return Verdict(reason="too_complex", detail=f"it takes too much to read ({type(error).__name__})")
    except Exception as error:  # noqa: BLE001 - whatever a library makes of a broken file, it is broken
        return Verdict(reason="broken", detail=f"it cannot be read ({type(error).__name__})")


def limit() -> None:
    """Give this process its limits: whatever a file makes of it, the server does not notice."""
    _at_most(resource.RLIMIT_AS, MEMORY_BYTES)
    _at_most(resource.RLIMIT_CPU, CPU_SECONDS)
    _at_most(resource.RLIMIT_CORE, 0)
    _at_most(resource.RLIMIT_FSIZE, 0)
    sys.setrecursionlimit(_MAX_DEPTH)


def _at_most(which: int, wanted: int) -> None:
    _, hard = resource.getrlimit(which)
    bound: Any = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (bound, bound))


if __name__ == "__main__":
    limit()
    main(sys.stdin.buffer, sys.stdout.buffer)
