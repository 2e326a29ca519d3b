"""Asking a model: the turn's own calls, and those beside its answer, of which the client sees nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.concurrency.watchdog import Watchdog
from rom_core.errors import RomError
from rom_core.events import ModelCallFinished, ModelCallStarted
from rom_core.plugin.answers import reply_of
from rom_core.telemetry.ids import new_span_id
from rom_core.turn import ModelCall, Turn
from rom_core.turn_values import Message, ModelReply

BESIDE: Final = 0
"""The number of the iteration to which a call beside the answer belongs: none."""


def ask(call: ModelCall, check_enabled: Callable[[], None]) -> ModelReply:
    """Let the plugins and the attempt loop find the reply, and tell the observers how that went.

    `check_enabled` raises BedrockDisabled while the kill switch is off.
    """
    turn = call.turn
    call.span_id = new_span_id()
    turn.emit(ModelCallStarted(call))
    began = turn.clock.monotonic()
    reply: ModelReply | None = None
    failure: RomError | None = None
    try:
        answer = turn.snapshot.pipeline.hook.rom_model_call(call=call)
        given = reply_of("rom_model_call", answer)
        if not call.requests:
            # A plugin answered, and however long it took.
            call.check()
            check_enabled()
        reply = given
    except RomError as error:
        failure = error
        raise
    finally:
        turn.emit(ModelCallFinished(call, reply, failure, turn.clock.monotonic() - began))
    return reply


@contextmanager
def narrowed(turn: Turn, seconds: float, watchdog: Watchdog) -> Iterator[tuple[CancelToken, Deadline]]:
    """Limits for a call that may end before the turn: it ends with the turn, and after `seconds`."""
    cancel, deadline = CancelToken(), Deadline(turn.clock, seconds)

    def follow() -> None:
        cancel.cancel(turn.cancel.reason or "client_gone")

    def expire() -> None:
        if deadline.passed:
            cancel.cancel("deadline")

    with turn.cancel.calling(follow), watchdog.watching(expire):
        yield cancel, deadline


def ask_beside(
    turn: Turn,
    messages: Sequence[Message],
    *,
    max_tokens: int,
    seconds: float,
    watchdog: Watchdog,
    check_enabled: Callable[[], None],
) -> ModelReply:
    """What a model answers to other messages of the same turn: its system text, tools, plugins, budget and usage.

    Nothing of it reaches the client, but a stream is kept alive. Where a fallback candidate takes over it stays for the
    rest of the turn. It must not be called while the turn's own call runs. Raises what a model call raises,
    DeadlineExceeded after `seconds` too, and what ends the turn itself (`turn.check()` tells which).
    """
    check_enabled()
    turn.hold()
    request, own = turn.request, turn.messages
    rest = turn.sink, turn.structured, turn.normalised
    turn.request = replace(request, max_tokens=max_tokens, response_format=None, citations=False, sources=None)
    turn.messages, turn.sink, turn.structured, turn.normalised = list(messages), None, None, None
    try:
        with narrowed(turn, seconds, watchdog) as (cancel, deadline):
            call = ModelCall(turn, BESIDE, cancel, deadline)
            try:
                return ask(call, check_enabled)
            finally:
                # PERF: as for the turn's own calls, see ToolLoop.
                call.attempts.clear()
    finally:
        turn.request, turn.messages = request, own
        turn.sink, turn.structured, turn.normalised = rest
