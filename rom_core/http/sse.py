"""Server-Sent Events as bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import json
from typing import Any

# The format knows CR and LF alone, but readers split lines with whatever their language calls one (Python's
# `splitlines`, JavaScript's of old). The other characters of that kind are below U+0020: JSON escapes those by itself.
_LINE_ENDS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def sse_event(data: Any, name: str = "", event_id: str = "") -> bytes:
    """One event whose data is `data` as JSON, in one line however lines are split; `name` is its type.

    `event_id`, one line without NUL, is what a client that has lost its connection names the last one it has seen by.
    """
    text = json.dumps(data, ensure_ascii=False)
    for character, escaped in _LINE_ENDS.items():
        text = text.replace(character, escaped)
    before = (f"id: {event_id}\n" if event_id else "") + (f"event: {name}\n" if name else "")
    return f"{before}data: {text}\n\n".encode()
