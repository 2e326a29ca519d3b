"""Puts an answer on the wire, as one JSON body or as an event stream, and breaks it where a fault says so."""

from __future__ import annotations

import json
from typing import Any

from local_bedrock.behaviour import ERRORS, Behaviour, Fault
from local_bedrock.frames import corrupt, error_frame, event_frame, exception_frame
from local_bedrock.model import Answer, Text
from local_bedrock.wire import Connection

HANG_SECONDS = 600.0

_DELTA = "contentBlockDelta"
_SOME_DELTAS = 2
_encode = json.JSONEncoder(separators=(",", ":")).encode

Event = tuple[str, bytes]


def send_error(connection: Connection, status: int, error: str, message: str, retry_after: float | None = None) -> None:
    """An error response as AWS writes it. Raises GoneError."""
    headers = {"x-amzn-ErrorType": error} if error else {}
    if retry_after is not None:
        headers["Retry-After"] = f"{retry_after:g}"
    connection.respond(status, _encode({"message": message}).encode(), headers=headers)


def send_fault(connection: Connection, fault: Fault) -> None:
    """A fault that comes instead of an answer. Raises GoneError."""
    if fault.kind == "hang":
        connection.wait(HANG_SECONDS)
        connection.close()
    elif fault.kind == "reset":
        connection.reset()
    elif fault.kind == "close":
        connection.close()
    elif fault.status == 502:
        connection.respond(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")
    elif fault.status == 504:
        connection.respond(504, b"", "text/plain")
    else:
        send_error(connection, fault.status, fault.code, fault.message, fault.retry_after)


def send_json(
    connection: Connection, answer: Answer, usage: dict[str, int], latency_ms: int, what: Fault | None
) -> None:
    """The answer to Converse; a fault of the stream takes the form that it has in one body. Raises GoneError."""
    body: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": [block.block() for block in answer.blocks]}},
        "stopReason": answer.stop_reason,
        "usage": usage,
        "metrics": {"latencyMs": latency_ms},
    }
    kind = what.kind if what else ""
    if what and kind in ("exception", "error"):
        name = what.code[:1].upper() + what.code[1:]
        send_error(connection, ERRORS.get(name, (500, ""))[0], name, what.message)
        return
    if kind == "no_usage":
        del body["usage"]
    elif kind == "no_stop":
        del body["stopReason"]
    data = _encode(body).encode()
    if kind in ("crc", "bad_json"):
        data = data[:-2]
    if what is None or kind in ("no_usage", "no_stop", "crc", "bad_json"):
        connection.respond(200, data)
        return
    connection.respond(200, data, cut=len(data) // 2)
    _break(connection, kind)


def send_stream(
    connection: Connection, answer: Answer, usage: dict[str, int], latency_ms: int, orders: Behaviour
) -> None:
    """The answer to ConverseStream, each event in its own chunk and sent at once. Raises GoneError."""
    events = _events(answer, usage, latency_ms)
    fault = orders.fault
    position = len(events) if fault is None else _position(events, fault)
    connection.start_stream()
    for number, (kind, payload) in enumerate(events):
        if fault is not None and number == position and _strike(connection, fault, kind, payload):
            return
        if orders.delay and kind == _DELTA:
            connection.wait(orders.delay)
        if number == position and fault is not None:
            continue
        connection.chunk(event_frame(kind, payload))
    connection.end_stream()


def _strike(connection: Connection, fault: Fault, kind: str, payload: bytes) -> bool:
    """Do what the fault does in place of this event; True if the response is over."""
    if fault.kind == "bad_json":
        connection.chunk(event_frame(kind, payload[:-1]))
        return False
    if fault.kind == "crc":
        connection.chunk(corrupt(event_frame(kind, payload)))
        return False
    if fault.kind == "no_usage":
        return False
    if fault.kind == "cut":
        connection.half_chunk(event_frame(kind, payload))
        connection.close()
        return True
    if fault.kind in ("hang", "hang_stream", "reset", "close"):
        _break(connection, fault.kind)
        return True
    if fault.kind == "cut_chunked":
        frame = event_frame(kind, payload)
        connection.chunk(frame[: len(frame) // 2])
    elif fault.kind == "exception":
        connection.chunk(exception_frame(fault.code, fault.message))
    elif fault.kind == "error":
        connection.chunk(error_frame(fault.code, fault.message))
    connection.end_stream()
    return True


def _break(connection: Connection, kind: str) -> None:
    """End a response that has begun, without its end."""
    if kind == "reset":
        connection.reset()
        return
    if kind in ("hang", "hang_stream"):
        connection.wait(HANG_SECONDS)
    connection.close()


def _position(events: list[Event], fault: Fault) -> int:
    """The index of the event in whose place the fault comes."""
    if fault.kind == "no_usage":
        return len(events) - 1
    if fault.kind == "no_stop" and fault.after is None:
        return len(events) - 2
    deltas = [number for number, (kind, _) in enumerate(events) if kind == _DELTA]
    after = _SOME_DELTAS if fault.after is None else fault.after
    return deltas[after] if after < len(deltas) else len(events) - 2


def _events(answer: Answer, usage: dict[str, int], latency_ms: int) -> list[Event]:
    events: list[Event] = [("messageStart", b'{"role":"assistant"}')]
    for index, block in enumerate(answer.blocks):
        if isinstance(block, Text):
            opening, closing = ('{"reasoningContent":{"text":', "}}") if block.signature else ('{"text":', "}")
        else:
            start = {"toolUse": {"toolUseId": block.tool_use_id, "name": block.name}}
            events.append(("contentBlockStart", _encode({"contentBlockIndex": index, "start": start}).encode()))
            opening, closing = '{"toolUse":{"input":', "}}"
        # PERF: one concatenation for each delta instead of one dict
        before = f'{{"contentBlockIndex":{index},"delta":{opening}'
        if isinstance(block, Text) and block.citation is not None:
            # As on Bedrock: whole, and before the text that it belongs to.
            delta = {"contentBlockIndex": index, "delta": {"citation": block.citation}}
            events.append((_DELTA, _encode(delta).encode()))
        events += [(_DELTA, f"{before}{_encode(piece)}{closing}}}".encode()) for piece in block.pieces]
        if isinstance(block, Text) and block.signature:
            events.append((_DELTA, f'{before[:-7]}"signature":"{block.signature}"}}}}}}'.encode()))
        events.append(("contentBlockStop", _encode({"contentBlockIndex": index}).encode()))
    events.append(("messageStop", _encode({"stopReason": answer.stop_reason}).encode()))
    events.append(("metadata", _encode({"usage": usage, "metrics": {"latencyMs": latency_ms}}).encode()))
    return events
