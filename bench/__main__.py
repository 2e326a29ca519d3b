"""`python -m bench [NAME …]`: the measurements named, or all of them, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("chat", "loops", "footprint", "observability", "limiter", "flags")


def main() -> None:
    """Run each in order; every one prints its own table."""
    names = sys.argv[1:] or NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        raise SystemExit(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in names:
        subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True)


if __name__ == "__main__":
    main()
