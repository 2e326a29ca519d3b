"""POST /v1/messages/count_tokens: how large a conversation is, for clients that keep it within a model's context."""

from __future__ import annotations

from collections.abc import Mapping

import falcon
import structlog

from rom_core.agent.count_tokens import count_tokens
from rom_core.errors import ModelRefused
from rom_core.http.attachments import take_attachments
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import TURN_ERRORS, Operation
from rom_core.http.routes.messages_request import read_request
from rom_core.http.routes.messages_shapes import COUNT, COUNT_REQUEST
from rom_core.runtime import Runtime

ESTIMATED_HEADER = "X-Rom-Estimated"
# A model for which Bedrock does not count, or may not for us, is not asked about again for so long.
_ASK_AGAIN_SECONDS = 300.0
logger = structlog.get_logger("rom.http")


class CountTokensResource:
    """The route. It holds one of the core's places while it runs, but no slot: nothing is generated."""

    auth = "key"
    route = "/v1/messages/count_tokens"
    takes_turns = True
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Count the input tokens of a conversation, or estimate them.", COUNT, COUNT_REQUEST, TURN_ERRORS
        )
    }

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._asked_again_at: dict[str, float] = {}

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer {"input_tokens": n}; an estimate says so in `rom.estimated` and in X-Rom-Estimated."""
        runtime = self._runtime
        release, room = runtime.admit(self.route, req.context.key_name), runtime.body_room.share()
        try:
            request = read_request(req, COUNT_REQUEST, runtime.current.settings)
            turn = runtime.turn(request, route=self.route, accepted_at=req.context.accepted_at)
            take_attachments(runtime, turn, req, room)
            now = runtime.clock.monotonic()
            ask = self._asked_again_at.get(turn.model, now) <= now
            count = count_tokens(turn, runtime.transport, ask=ask)
        finally:
            release()
            room.give_back()
        if isinstance(count.error, ModelRefused):
            self._asked_again_at[turn.model] = now + _ASK_AGAIN_SECONDS
        if count.error is not None:
            logger.warning("count_tokens.estimated", model=turn.model, kind=count.error.kind)
        resp.set_header(ESTIMATED_HEADER, str(count.estimated).lower())
        answer_json(resp, {"input_tokens": count.tokens, "rom": {"estimated": count.estimated}})
