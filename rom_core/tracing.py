"""W3C Trace Context: the `traceparent` header that goes out, https://www.w3.org/TR/trace-context/#traceparent-header."""

from __future__ import annotations

import re
import secrets

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


def traceparent(trace_id: str) -> str:
    """A header value for one outgoing request of this trace, with a parent id of its own; "" for no valid trace id.

    The flag says "sampled": every turn leaves its lines in our log.
    """
    if not _TRACE_ID.fullmatch(trace_id):
        return ""
    # An all-zero parent id is invalid; the low bit keeps it from ever being drawn.
    return f"00-{trace_id}-{secrets.randbits(64) | 1:016x}-01"
