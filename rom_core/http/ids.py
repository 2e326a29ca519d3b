"""Ids of a request: the W3C trace id and the request id, in and out, on every answer."""

from __future__ import annotations

import re
from typing import Any

import falcon
import structlog

from rom_core.concurrency.clock import Clock
from rom_core.span import NOWHERE
from rom_core.telemetry.ids import new_id, new_span
from rom_core.telemetry.tracing import caller_of, tracestate, work_for

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Falcon middleware: `req.context` gets trace_id, tracestate, request_id and accepted_at (monotonic seconds).

    Also `span`, where it stands in its trace.

    Both ids are bound to the thread's log context, which worker threads inherit; `trace_id_from` and `request_id_from`
    are "client" there where the caller chose the id, so that nobody takes a stranger's word for our own.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Take over what the caller sent, if it is well formed, or mint it."""
        req.context.accepted_at = self._clock.monotonic()
        caller = caller_of(req.get_header("traceparent") or "")
        req.context.trace_id = caller.trace_id if caller else new_id()
        req.context.span = new_span(caller.span if caller else NOWHERE)
        req.context.tracestate = tracestate(req.get_header("tracestate") or "") if caller else ""
        given = req.get_header("X-Request-Id") or ""
        req.context.request_id = given if _REQUEST_ID.fullmatch(given) else f"req-{new_id()}"
        work_for(req.context.trace_id, req.context.span)
        # At the start, not at the end: threads are reused, and the end of a streamed answer is logged after this.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(trace_id=req.context.trace_id, request_id=req.context.request_id)
        if caller:
            # Anybody may send any trace id: a search for one finds lines that only claim to belong together.
            structlog.contextvars.bind_contextvars(trace_id_from="client")
        if req.context.request_id == given:
            structlog.contextvars.bind_contextvars(request_id_from="client")

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: Any, _ok: bool) -> None:
        """Send them back, under the names that the official clients read."""
        resp.set_header("X-Trace-Id", req.context.trace_id)
        resp.set_header("X-Request-Id", req.context.request_id)
        resp.set_header("request-id", req.context.request_id)
