"""`python -m bench [NAME …]`: the measurements named, or all of them."""

from __future__ import annotations

import importlib
import sys

NAMES = ("chat", "loops", "footprint", "observability", "limiter", "flags")


def main() -> None:
    """Run each in order; every one prints its own table."""
    for name in sys.argv[1:] or NAMES:
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
