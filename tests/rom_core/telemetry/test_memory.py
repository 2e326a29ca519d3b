"""The memory gauge: resident memory of this process against whichever limit is the tightest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rom_core.telemetry.memory import MemoryGauge

MB = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
NO_LIMIT_V1 = "9223372036854771712"


def machine(root: Path, files: dict[str, str]) -> Path:
    """A file system with 512 MiB resident, 8 GiB in the machine, and these files."""
    files = {
        "proc/self/statm": f"200000 {512 * MB // PAGE} 1000 1 0 9000 0\n",
        "proc/meminfo": "MemTotal:        8388608 kB\nMemFree:          100000 kB\n",
    } | files
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "limit_mb"),
    [
        ({}, 8192),
        ({"sys/fs/cgroup/memory.max": "2147483648\n", "proc/self/cgroup": "0::/\n"}, 2048),
        ({"sys/fs/cgroup/memory.max": "max\n", "proc/self/cgroup": "0::/\n"}, 8192),
        ({"sys/fs/cgroup/a/b/memory.max": f"{1024 * MB}\n", "proc/self/cgroup": "0::/a/b\n"}, 1024),
        (
            {
                "sys/fs/cgroup/a/memory.max": f"{600 * MB}\n",
                "sys/fs/cgroup/a/b/memory.max": f"{1024 * MB}\n",
                "proc/self/cgroup": "0::/a/b\n",
            },
            600,
        ),
        ({"sys/fs/cgroup/memory.max": f"{700 * MB}\n", "proc/self/cgroup": "0::/what/the/host/calls/it\n"}, 700),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{900 * MB}\n", "proc/self/cgroup": "4:memory:/\n"}, 900),
        ({"sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{800 * MB}\n", "proc/self/cgroup": "4:memory:/x\n"}, 800),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
                "proc/self/cgroup": "9:cpu,memory:/\n0::/\n",
            },
            8192,
        ),
        ({"sys/fs/cgroup/memory.max": f"{99999 * MB}\n", "proc/self/cgroup": "0::/\n"}, 8192),
        ({"sys/fs/cgroup/memory.max": "400000000 or so\n", "proc/self/cgroup": "broken\n\n0::/\n"}, 8192),
        ({"sys/fs/cgroup/memory.max": f"{2048 * MB}\n"}, 2048),
    ],
)
def test_the_tightest_limit_counts(tmp_path: Path, files: dict[str, str], limit_mb: int) -> None:
    """cgroup v2 and v1, in the group and above it, and the machine's memory; "max" and v1's huge number are none."""
    gauge = MemoryGauge(root=machine(tmp_path, files))
    assert gauge.limit_bytes() == limit_mb * MB
    assert gauge.used_bytes() == 512 * MB
    assert gauge.ratio() == pytest.approx(512 / limit_mb)


def test_a_given_limit_replaces_what_is_found(tmp_path: Path) -> None:
    """MEMORY_LIMIT_MB, in MiB."""
    root = machine(tmp_path, {"sys/fs/cgroup/memory.max": f"{700 * MB}\n", "proc/self/cgroup": "0::/\n"})
    assert MemoryGauge(2048, root).limit_bytes() == 2048 * MB
    assert MemoryGauge(2048, root).ratio() == 0.25


@pytest.mark.parametrize("statm", [None, "", "garbage", "1"])
def test_where_nothing_is_known_nothing_is_claimed(tmp_path: Path, statm: str | None) -> None:
    """No /proc, as on other systems, or one that cannot be read: None, not an error."""
    if statm is not None:
        machine(tmp_path, {"proc/self/statm": statm, "proc/meminfo": ""})
    gauge = MemoryGauge(root=tmp_path)
    assert (gauge.used_bytes(), gauge.limit_bytes(), gauge.ratio()) == (None, None, None)
    assert MemoryGauge(100, tmp_path).ratio() is None


def test_an_unlimited_group_on_an_unknown_machine_is_no_limit(tmp_path: Path) -> None:
    """The huge number that cgroup v1 writes is not taken for memory."""
    group = {"sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1, "proc/self/cgroup": "4:memory:/\n"}
    assert MemoryGauge(root=machine(tmp_path, group | {"proc/meminfo": ""})).limit_bytes() is None


def test_use_is_read_anew_each_time(tmp_path: Path) -> None:
    """The limit is looked up once, the use whenever it is asked for."""
    root = machine(tmp_path, {})
    gauge = MemoryGauge(1024, root)
    machine(root, {"proc/self/statm": f"1 {256 * MB // PAGE} 1"})
    assert gauge.ratio() == 0.25


def test_it_works_on_this_machine() -> None:
    """A Python process has some memory, and less than there is."""
    ratio = MemoryGauge().ratio()
    assert ratio is not None
    assert 0 < ratio < 1
