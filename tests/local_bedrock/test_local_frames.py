"""The event-stream encoder, against known bytes and botocore's decoder."""

from __future__ import annotations

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from local_bedrock.frames import corrupt, encode_frame, error_frame, event_frame, exception_frame


def test_known_frame() -> None:
    """A messageStart has exactly these bytes."""
    frame = event_frame("messageStart", b'{"role": "assistant"}')
    assert (len(frame), frame[:12].hex(), frame[-4:].hex()) == (119, "0000007700000052abb5d36e", "5be0d2f5")


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=30), st.text(max_size=200), max_size=5), st.binary(max_size=500))
def test_botocore_decodes_what_we_encode(headers: dict[str, str], payload: bytes) -> None:
    """Any headers and payload come out of botocore's decoder as they went in."""
    buffer = EventStreamBuffer()
    buffer.add_data(encode_frame(headers, payload))
    (message,) = list(buffer)
    assert (message.headers, message.payload) == (headers, payload)


@pytest.mark.parametrize(
    "frame",
    [event_frame("metadata", b"{}"), exception_frame("throttlingException", "slow"), error_frame("Code", "why")],
)
def test_corrupt_frame_fails_its_checksum(frame: bytes) -> None:
    """A corrupted frame keeps its length and is refused by botocore."""
    buffer = EventStreamBuffer()
    buffer.add_data(corrupt(frame))
    assert len(corrupt(frame)) == len(frame)
    with pytest.raises(ChecksumMismatch):
        list(buffer)


@pytest.mark.parametrize("headers", [{"n" * 256: "v"}, {"n": "v" * 65536}])
def test_oversized_header_is_refused(headers: dict[str, str]) -> None:
    """What the length fields cannot hold is an error, not a broken frame."""
    with pytest.raises(ValueError, match="does not fit"):
        encode_frame(headers)
