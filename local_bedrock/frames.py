"""Encoder for the event-stream framing of the Amazon Bedrock Runtime (`application/vnd.amazon.eventstream`).

A frame is: total length (4 bytes), length of the headers (4), CRC-32 of those 8 bytes (4), headers, payload, CRC-32 of
everything before it (4); all integers big-endian. A header is: length of the name (1), name, type 7 = string (1),
length of the value (2), value. botocore ships only the decoder.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from zlib import crc32

_PRELUDE = struct.Struct("!II")
_U32 = struct.Struct("!I")
_OVERHEAD = 16

CONTENT_TYPE = "application/vnd.amazon.eventstream"


def encode_frame(headers: Mapping[str, str], payload: bytes = b"") -> bytes:
    """One complete frame with string headers, in the order given.

    Raises ValueError for a header name over 255 bytes or a value over 65535.
    """
    return _frame(_encode_headers(tuple(headers.items())), payload)


def event_frame(event_type: str, payload: bytes) -> bytes:
    """An event such as `contentBlockDelta`; the payload is its JSON."""
    return _frame(_event_headers(event_type), payload)


def exception_frame(exception_type: str, message: str) -> bytes:
    """A modelled exception inside a stream, such as `throttlingException`."""
    headers = {
        ":exception-type": exception_type,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode_frame(headers, json.dumps({"message": message}).encode())


def error_frame(code: str, message: str) -> bytes:
    """An unmodelled error inside a stream; it has headers only."""
    return encode_frame({":message-type": "error", ":error-code": code, ":error-message": message})


def corrupt(frame: bytes) -> bytes:
    """The same frame with a message checksum that does not match."""
    return frame[:-1] + bytes((frame[-1] ^ 0xFF,))


def _frame(headers: bytes, payload: bytes) -> bytes:
    prelude = _PRELUDE.pack(_OVERHEAD + len(headers) + len(payload), len(headers))
    body = b"".join((prelude, _U32.pack(crc32(prelude)), headers, payload))
    return body + _U32.pack(crc32(body))


@lru_cache(maxsize=64)
def _event_headers(event_type: str) -> bytes:
    return _encode_headers(
        (
            (":event-type", event_type),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )


def _encode_headers(headers: tuple[tuple[str, str], ...]) -> bytes:
    parts = []
    for name, value in headers:
        raw_name, raw_value = name.encode(), value.encode()
        if len(raw_name) > 0xFF or len(raw_value) > 0xFFFF:
            raise ValueError(f"header {name!r} does not fit into a frame")
        parts.append(struct.pack(f"!B{len(raw_name)}sBH", len(raw_name), raw_name, 7, len(raw_value)) + raw_value)
    return b"".join(parts)
