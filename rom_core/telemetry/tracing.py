"""W3C Trace Context, https://www.w3.org/TR/trace-context/: `traceparent` as it goes out, `tracestate` beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import structlog

from rom_core.span import Span
from rom_core.telemetry.ids import new_span_id
from rom_core.turn import Turn

# https://www.w3.org/TR/trace-context/#tracestate-header: members between commas, a lower-case key and a value without
# comma and equals sign that does not end in a space; members may be empty.
_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MAX_MEMBERS = 32
_MAX_STATE = 512
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
# https://www.w3.org/TR/trace-context/#traceparent-header; an all-zero trace or parent id is invalid there, and so is
# version 00 with more after the flags (55 characters); versions to come may have more.
_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED = 1


class Place(NamedTuple):
    """A trace, and where in it somebody stands: a caller, or the request or turn that a thread works for."""

    trace_id: str
    span: Span


_working_for: ContextVar[Place | None] = ContextVar("working_for", default=None)


def work_for(trace_id: str, span: Span) -> None:
    """From now on this thread, and threads that it hands work to, work for the request of this span."""
    _working_for.set(Place(trace_id, span))


def working_for() -> Place | None:
    """What this thread works for; None for the process itself."""
    return _working_for.get()


@contextmanager
def working_for_turn(turn: Turn) -> Iterator[None]:
    """In this thread, and in those that it hands work to, log lines carry the ids of the turn, and work is its."""
    token = _working_for.set(Place(turn.trace_id, turn.span))
    bound = structlog.contextvars.bind_contextvars(
        trace_id=turn.trace_id, request_id=turn.request_id, turn_id=turn.id, cohort=turn.cohort
    )
    try:
        yield
    finally:
        structlog.contextvars.reset_contextvars(**bound)
        _working_for.reset(token)


def caller_of(header: str) -> Place | None:
    """What an incoming `traceparent` says, None if it is not valid."""
    match = _TRACEPARENT.fullmatch(header)
    return None if match is None else _caller(match)


def _caller(match: re.Match[str]) -> Place:
    return Place(match[1], Span(match[2], from_caller=True, sampled=bool(int(match[3], 16) & _SAMPLED)))


def traceparent(trace_id: str, span_id: str = "") -> str:
    """A header value for one outgoing request of the span `span_id`; "" for no valid trace id.

    Without a span of ours it gets a parent id of its own. The flag says "sampled": every turn leaves its lines in our
    log.
    """
    return f"00-{trace_id}-{span_id or new_span_id()}-01" if valid_trace_id(trace_id) else ""


def valid_trace_id(trace_id: str) -> bool:
    """Whether this is a trace id by the W3C's rules."""
    return _TRACE_ID.fullmatch(trace_id) is not None


def tracestate(header: str) -> str:
    """What other systems say of the trace, to be handed on unchanged; "" if it is ill-formed or above 512 characters.

    It says something only beside the `traceparent` that it came with.
    """
    members = [member.strip(" \t") for member in header.split(",")]
    matches = [_MEMBER.fullmatch(member) for member in members if member]
    keys = [match.group(1) for match in matches if match is not None]
    whole = len(keys) == len(matches) == len(set(keys)) <= _MAX_MEMBERS
    return header if whole and keys and len(header) <= _MAX_STATE else ""
