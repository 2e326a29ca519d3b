"""`python -m bench [NAME …]`: the measurements named, or all of them, each in a process of its own.

Options are handed on. `capacity` measures nothing: it writes docs/capacity.md from reports of `rom load`.
"""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "chat",
    "loops",
    "footprint",
    "observability",
    "limiter",
    "flags",
    "outages",
    "workload",
    "fleet",
    "documents",
    "caching",
)


def main() -> None:
    """Run each in order; every one prints its own table."""
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or NAMES
    options = [option for option in sys.argv[1:] if option.startswith("-")]
    unknown = set(names) - {*NAMES, "capacity"}
    if unknown:
        raise SystemExit(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in names:
        subprocess.run([sys.executable, "-m", f"bench.{name}", *options], check=True)


if __name__ == "__main__":
    main()
