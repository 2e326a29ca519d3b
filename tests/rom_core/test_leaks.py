"""What turns leave behind in the process: nothing. Sockets and threads: e2e/test_limiter_crowds.py."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from support import Toolkit, asks, make_runtime, make_turn, says, tool

from plugins.guardrails import Guardrails
from plugins.limiter import Limiter
from rom_core.concurrency.clock import SystemClock
from rom_core.errors import ModelRefused, QueueFull, RomError
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

KINDS = ("answered", "streamed", "failed", "stopped", "cancelled", "refused")


def answer(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
    """As the message says."""
    kind = attempt.turn.request.messages[0]["content"][0]["text"]
    if kind == "failed":
        raise ModelRefused("", kind="400")
    if kind == "cancelled":
        attempt.text("half an ")
        attempt.turn.cancel.cancel("client_gone")
        attempt.call.check()
    return asks(("look", {"a": 1})) if kind == "stopped" else says("the answer")


def one(runtime: Runtime, limiter: Limiter, kind: str) -> str:
    """Run a turn of this kind; how it ended."""
    sink = (lambda name, data: None) if kind in ("streamed", "cancelled") else None
    turn = make_turn(runtime, kind, sink=sink, user=f"user {id(object())}")
    if kind == "refused":
        limiter._average_seconds = 1.0
        held = limiter.rom_turn(make_turn(runtime, "holder"))
        next(held)
    try:
        return runtime.run(turn).stop_reason
    except RomError as error:
        return error.code
    finally:
        if kind == "refused":
            held.close()


def rounds(runtime: Runtime, limiter: Limiter, number: int) -> Iterator[str]:
    """So many turns, of every kind in turn."""
    for kind in itertools.islice(itertools.cycle(KINDS), number):
        yield one(runtime, limiter, kind)


class Kept:
    """Something that a plugin keeps on a turn."""


@pytest.mark.parametrize("kind", ["answered", "streamed"])
def test_a_turn_that_has_ended_is_freed_at_once(kind: str) -> None:
    """One without tools, at least; till garbage is collected its files would stay, and collecting takes time too."""
    runtime, transport = make_runtime(answer, plugins={"guardrails": Guardrails()})
    runtime.start()
    gc.disable()
    try:
        turn = make_turn(runtime, kind, sink=(lambda name, data: None) if kind == "streamed" else None)
        turn.stash["test"] = kept = Kept()
        gone = weakref.ref(kept)
        runtime.run(turn)
        transport.requests.clear()
        del turn, kept
        assert gone() is None
    finally:
        gc.enable()
        runtime.stop()


def test_turns_leave_no_objects_behind() -> None:
    """A thousand turns of all kinds after a hundred: the heap has grown by less than 100 bytes for each."""
    limiter = Limiter()
    runtime, transport = make_runtime(
        answer,
        plugins={"limiter": limiter, "guardrails": Guardrails(), "kit": Toolkit(tool())},
        clock=SystemClock(),
        MAX_CONCURRENT_REQUESTS=1,
        MAX_QUEUE_SIZE=0,
    )
    runtime.start()
    try:
        with capture_logs():
            ends = set(rounds(runtime, limiter, 100))
        assert ends == {"end_turn", "upstream_refused", "guardrail_repetition", "cancelled", QueueFull.code}
        tracemalloc.start()
        try:
            transport.requests.clear()
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(10):
                with capture_logs():
                    list(rounds(runtime, limiter, 100))
            transport.requests.clear()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 1000 * 100
        assert (runtime.active_turns, limiter.rom_status()["running"]) == (0, 0)
        assert (runtime.tool_pool.outstanding, runtime.turn_pool.outstanding) == (0, 0)
        assert not limiter._line._persons
    finally:
        runtime.stop()
