"""GET /admin/events, for administrators: the console's figures as Server-Sent Events."""

from __future__ import annotations

from collections.abc import Mapping

import falcon

from plugins.operator.feed import MAX_READERS, Feed, Reading
from plugins.operator.hour import Hour
from rom_core.errors import Overloaded
from rom_core.http.environ import STAYS
from rom_core.http.openapi import Operation
from rom_core.runtime import Runtime

NAME = "operator"
_RETRY_AFTER = 30.0


class EventsResource:
    """The figures once a second, and at once when health, circuits or settings change; the last hour first."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "GET": Operation(
            "The console's figures, live; at most 8 read along at a time.",
            errors=(Overloaded,),
            stream="hour once, then figures every second and point every ten; end {reason} when the server ends it",
        )
    }

    def __init__(self, runtime: Runtime, feed: Feed, hour: Hour) -> None:
        self._runtime = runtime
        self._feed = feed
        self._hour = hour

    def on_head(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """That it is there; nobody reads along."""
        resp.content_type = "text/event-stream; charset=utf-8"

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Until the reader leaves, the server stops, the plugin is switched off or the admin tokens change."""
        release = self._feed.take()
        if release is None:
            raise Overloaded(f"{MAX_READERS} read along already, which is the most", retry_after=_RETRY_AFTER)
        req.env.get(STAYS, _do_nothing)()
        runtime, token = self._runtime, self._runtime.current.settings.ADMIN_TOKEN
        outcome = req.context.outcome

        def ended() -> str:
            if runtime.intake.ending.is_set():
                return "stopping"
            if NAME not in runtime.current.pipeline.plugins:
                return "plugin_disabled"
            return "" if token == runtime.current.settings.ADMIN_TOKEN else "tokens_changed"

        def end() -> None:
            release()
            outcome.finish(200)

        outcome.streaming = True
        resp.content_type = "text/event-stream; charset=utf-8"
        resp.set_header("X-Accel-Buffering", "no")
        resp.stream = Reading(self._feed, end, self._hour.columns, self._hour.since, ended)


def _do_nothing() -> None:
    """Where another server runs the app."""
