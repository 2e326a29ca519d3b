"""What became of every HTTP request, as events: the ground for request metrics and the request log."""

from __future__ import annotations

from typing import Any

import falcon

from rom_core.errors import RomError
from rom_core.events import RequestFinished, RequestStarted
from rom_core.http.canonical_path import plain_template
from rom_core.runtime import Runtime
from rom_core.span import Span
from rom_core.telemetry.outcome import status_of

UNMATCHED = "unmatched"


class RequestEvents:
    """Falcon middleware: emits RequestStarted and, once, RequestFinished; a streamed answer ends it itself."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """The route is not known yet; what does not match any ends as `unmatched`."""
        req.context.outcome = Outcome(self._runtime, req)

    def process_resource(self, req: falcon.Request, _resp: falcon.Response, _resource: object, _params: Any) -> None:
        """Note the route's template."""
        req.context.outcome.begin(plain_template(req.uri_template or UNMATCHED))

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: Any, _ok: bool) -> None:
        """Finish, unless the answer is a stream that is about to begin."""
        outcome: Outcome = req.context.outcome
        if not outcome.streaming:
            outcome.finish(resp.status_code)


class Outcome:
    """The running account of one request."""

    def __init__(self, runtime: Runtime, req: falcon.Request) -> None:
        self._runtime = runtime
        self._accepted_at: float = req.context.accepted_at
        self._method = req.method
        self._trace_id: str = req.context.trace_id
        self._request_id: str = req.context.request_id
        self._span: Span = req.context.span
        self._route: str | None = None
        self._finished = False
        self.streaming = False
        self.background = False
        self.cohort = "stable"
        self.error: RomError | None = None

    def begin(self, route: str) -> None:
        """The request was matched to `route`."""
        self._route = route
        self._runtime.emit(RequestStarted(route, self._method))

    def finish(self, http_status: int) -> None:
        """The last byte was written, or nobody is there to read it. Only the first call counts."""
        if self._finished:
            return
        self._finished = True
        if self._route is None:
            self.begin(UNMATCHED)
        error = self.error
        self._runtime.emit(
            RequestFinished(
                route=self._route or UNMATCHED,
                method=self._method,
                status=status_of(http_status, error),
                http_status=http_status,
                code=error.code if error is not None else "",
                cohort=self.cohort,
                trace_id=self._trace_id,
                request_id=self._request_id,
                duration=self._runtime.clock.monotonic() - self._accepted_at,
                span=self._span,
                background=self.background,
            )
        )
