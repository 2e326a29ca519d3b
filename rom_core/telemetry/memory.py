"""How much of the memory this process may use it uses: resident memory against the container's limit.

Sources, Linux only: proc(5) for `/proc/self/statm` and `/proc/meminfo`; the kernel's cgroup-v2 `memory.max` and
cgroup-v1 `memory.limit_in_bytes`. Elsewhere nothing is known, and nothing is limited.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

_MB = 1024 * 1024
# cgroup v1 writes "no limit" as the largest multiple of the page size.
_UNLIMITED = 1 << 60
_V2 = PurePosixPath("sys/fs/cgroup")
_V1 = PurePosixPath("sys/fs/cgroup/memory")


# glibc's mallopt(3).
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK_BYTES = 256 * 1024


def give_back_large_blocks() -> None:
    """From now on a block of 256 KiB or more goes back to the system as soon as it is freed.

    glibc learns from the first large block that is freed to keep such blocks for itself, in each thread's own arena: a
    server that reads files then stays as large as all of them together ever were (measured: 268 MB instead of 125).
    Nothing happens with another C library.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)


class MemoryGauge:
    """Reads memory when asked, in a few microseconds; the limit is looked up once."""

    def __init__(self, limit_mb: int = 0, root: Path = Path("/")) -> None:
        """`limit_mb`, which may change, replaces the container's limit (in MiB); 0 takes it. `root` is for tests."""
        self.limit_mb = limit_mb
        self._root = root
        self._statm = root / "proc/self/statm"
        self._page = os.sysconf("SC_PAGE_SIZE")

    def used_bytes(self) -> int | None:
        """Resident memory of this process; None where the system does not tell."""
        try:
            with open(self._statm, "rb", buffering=0) as file:
                return int(file.read(128).split()[1]) * self._page
        except (OSError, ValueError, IndexError):
            return None

    def limit_bytes(self) -> int | None:
        """What this process may use: `limit_mb`, else the least of its cgroups' limits and the machine's memory."""
        return self.limit_mb * _MB if self.limit_mb else self._found

    def ratio(self) -> float | None:
        """Used memory as a share of the limit, 1.0 = all of it; None where either is unknown."""
        limit = self.limit_bytes()
        used = self.used_bytes() if limit else None
        return None if not limit or used is None else used / limit

    @cached_property
    def _found(self) -> int | None:
        limits = [value for value in (*self._cgroup_limits(), self._machine()) if value is not None]
        return min(limits, default=None)

    def _cgroup_limits(self) -> Iterator[int | None]:
        """The limits of this process's groups and of all above them, v2 and v1; the tightest one counts."""
        for line in _lines(self._root / "proc/self/cgroup") or ["0::/", "0:memory:/"]:
            _, controllers, path = [*line.split(":", 2), "", ""][:3]
            if not controllers:
                mount, name = _V2, "memory.max"
            elif "memory" in controllers.split(","):
                mount, name = _V1, "memory.limit_in_bytes"
            else:
                continue
            # Within a container the mount often shows the group itself, not the path that the host knows it by.
            group = PurePosixPath(path.strip().lstrip("/"))
            for folder in (group, *group.parents):
                yield _limit(self._root / mount / folder / name)

    def _machine(self) -> int | None:
        for line in _lines(self._root / "proc/meminfo"):
            if line.startswith("MemTotal:"):
                kilobytes = line.split()[1]
                return int(kilobytes) * 1024 if kilobytes.isdigit() else None
        return None


def _limit(path: Path) -> int | None:
    text = next(iter(_lines(path)), "").strip()
    return int(text) if text.isdigit() and 0 < int(text) < _UNLIMITED else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
