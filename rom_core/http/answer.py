"""Answering a request with a turn: the part that every chat route shares, whatever its dialect."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, Protocol

import falcon

from rom_core.background import BackgroundTurn
from rom_core.errors import PluginDisabled
from rom_core.http.attachments import take_attachments
from rom_core.http.client_timeouts import with_client_timeouts, with_fingerprint
from rom_core.http.environ import ADMITTED, HANG_UP
from rom_core.http.json_answer import answer_json
from rom_core.http.stream import TurnStream
from rom_core.plugin.answers import opinion_of
from rom_core.runtime import Runtime
from rom_core.telemetry.ids import new_span
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest, TurnResult

_LARGE_BYTES = 1024 * 1024
# Names the fields of the request that changed nothing; of a streamed answer, as far as they are known when it begins.
IGNORED_HEADER = "X-Rom-Ignored"


class Dialect(Protocol):
    """How a route writes what a turn says."""

    def whole(self, turn: Turn, result: TurnResult) -> dict[str, Any]:
        """The JSON object of an answer in one piece."""

    def event(self, turn: Turn, name: str, data: dict[str, Any]) -> bytes:
        """One event of a streamed answer as Server-Sent Events, or nothing."""


def answer(
    runtime: Runtime,
    req: falcon.Request,
    resp: falcon.Response,
    route: str,
    read: Callable[[falcon.Request], tuple[ChatRequest, Dialect]],
) -> None:
    """Run the turn that the body asks for, which `read` reads, and answer with it, whole or streamed.

    Who is refused for want of a place is refused before the body is read. One place of the core's admission is held
    until the turn has ended, of a streamed answer until its last byte. Raises what `read` raises, and the turn's
    RomError if it comes before the first byte; after that the stream tells it.
    """
    room = runtime.body_room.share()
    release = _both(runtime.admit(route, req.context.key_name), room.give_back)
    try:
        req.env.get(ADMITTED, _do_nothing)()
        if (req.content_length or 0) > _LARGE_BYTES:
            # A turn that ran tools or failed refers to itself: its files stay until somebody collects.
            # PERF: 1 to 11 ms, measured.
            gc.collect()
        request, dialect = read(req)
        request = with_fingerprint(with_client_timeouts(request, req), req, route)
        turn = runtime.turn(
            request,
            route=route,
            trace_id=req.context.trace_id,
            request_id=req.context.request_id,
            accepted_at=req.context.accepted_at,
        )
        take_attachments(runtime, turn, req, room)
        turn.tracestate = req.context.tracestate
        turn.span = new_span(req.context.span)
        req.context.outcome.cohort = turn.cohort
        resp.set_header("X-Rom-Cohort", turn.cohort)
        if ignored := (*request.ignored, *turn.ignored):
            resp.set_header(IGNORED_HEADER, ", ".join(ignored))
        if request.background:
            background = _in_background(turn)
            req.context.outcome.background = True
            if request.stream:
                followed = background.follow(req, release)
                release = getattr(followed, "close", release)
                resp.stream = followed
                event_stream(resp)
                return
            release()
            resp.status = falcon.HTTP_202
            answer_json(resp, background.body)
            return
        disconnected = disconnect_probe(req)
        if request.stream:
            stream = TurnStream(
                runtime,
                turn,
                disconnected,
                release,
                req.context.outcome,
                dialect.event,
                hang_up=req.env.get(HANG_UP),
            )
            stream.start()
            release = stream.close
            event_stream(resp)
            resp.stream = stream
            return
        result = runtime.run(turn, disconnected)
    except BaseException:
        release()
        raise
    release()
    if result.ignored:
        resp.set_header(IGNORED_HEADER, ", ".join(result.ignored))
    answer_json(resp, dialect.whole(turn, result))


def _in_background(turn: Turn) -> BackgroundTurn:
    """The turn as a plugin has taken it. Raises PluginDisabled if none has."""
    answer = turn.snapshot.pipeline.hook.rom_background(turn=turn)
    background = opinion_of("rom_background", answer, BackgroundTurn)
    if background is None:
        raise PluginDisabled("no plugin that is switched on takes turns that go on by themselves")
    return background


def event_stream(resp: falcon.Response) -> None:
    """Say that the answer is a stream of events, which no proxy shall hold back."""
    resp.content_type = "text/event-stream; charset=utf-8"
    resp.set_header("X-Accel-Buffering", "no")


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call


def _do_nothing() -> None:
    """Where another server runs the app."""


def disconnect_probe(req: falcon.Request) -> Callable[[], bool]:
    """Tells whether the client has left; waitress offers that when it reads ahead (`channel_request_lookahead`)."""
    probe: Callable[[], bool] | None = req.env.get("waitress.client_disconnected")
    return probe or (lambda: False)
