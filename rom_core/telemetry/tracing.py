"""W3C Trace Context, https://www.w3.org/TR/trace-context/: `traceparent` as it goes out, `tracestate` beside it."""

from __future__ import annotations

import re
import secrets

# https://www.w3.org/TR/trace-context/#tracestate-header: members between commas, a lower-case key and a value without
# comma and equals sign that does not end in a space; members may be empty.
_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MAX_MEMBERS = 32
_MAX_STATE = 512
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


def traceparent(trace_id: str) -> str:
    """A header value for one outgoing request of this trace, with a parent id of its own; "" for no valid trace id.

    The flag says "sampled": every turn leaves its lines in our log.
    """
    if not _TRACE_ID.fullmatch(trace_id):
        return ""
    # An all-zero parent id is invalid; the low bit keeps it from ever being drawn.
    return f"00-{trace_id}-{secrets.randbits(64) | 1:016x}-01"


def tracestate(header: str) -> str:
    """What other systems say of the trace, to be handed on unchanged; "" if it is ill-formed or above 512 characters.

    It says something only beside the `traceparent` that it came with.
    """
    members = [member.strip(" \t") for member in header.split(",")]
    matches = [_MEMBER.fullmatch(member) for member in members if member]
    keys = [match.group(1) for match in matches if match is not None]
    whole = len(keys) == len(matches) == len(set(keys)) <= _MAX_MEMBERS
    return header if whole and keys and len(header) <= _MAX_STATE else ""
