"""Ids of requests, turns and conversations: unique, not secret."""

from __future__ import annotations

import os
import random

from rom_core.span import NOWHERE, Span

# Seeded by the operating system; asking it for every id again is a system call each, which some sandboxes make slow.
_random = random.Random()  # noqa: S311 - an id opens nothing
os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """128 random bits as 32 hexadecimal digits, never all zero, which the W3C trace context forbids."""
    return f"{_random.getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    """64 random bits as 16 hexadecimal digits, never all zero: the id of a span in a W3C trace."""
    return f"{_random.getrandbits(64) or 1:016x}"


def new_span(parent: Span = NOWHERE) -> Span:
    """A place of its own in the trace, as a part of `parent`."""
    return Span(new_span_id(), parent.id, parent.from_caller, parent.sampled)
