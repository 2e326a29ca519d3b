"""Ids of requests, turns and conversations: unique, not secret."""

from __future__ import annotations

import os
import random

# Seeded by the operating system; asking it for every id again is a system call each, which some sandboxes make slow.
_random = random.Random()  # noqa: S311 - an id opens nothing
os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """128 random bits as 32 hexadecimal digits, never all zero, which the W3C trace context forbids."""
    return f"{_random.getrandbits(128) or 1:032x}"
