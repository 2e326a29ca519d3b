"""Where something stands in a trace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Where something stands in its trace (W3C): its own id, and that of what it is a part of, "" if nobody knows.

    `from_caller`: the trace began at whoever asked us, and `sampled` says whether it is recorded there.
    """

    id: str = ""
    parent_id: str = ""
    from_caller: bool = False
    sampled: bool = True


NOWHERE = Span()
"""Of what nobody has given a place in a trace."""
