"""Silence until the turn's own end: when it speaks against a model, and when it does not."""

from __future__ import annotations

from typing import Any

import pytest
from resilience import SECOND, Bench, advance, circuit_events, run, server_error, status
from support import make_turn, says

from local_bedrock import LocalBedrock
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.cancel import Deadline
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import DeadlineExceeded, Draining, ModelError, ModelTimeout, RomError, TurnCancelled
from rom_core.turn import Attempt, ModelCall
from rom_core.turn_values import ModelReply

# A model that the local Bedrock knows; those of the test's settings are made up.
SONNET_ID = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"


def silent(seconds: float, end: RomError | None = None, *, dealing: bool = False, said: str = "") -> Any:
    """A step in which the model says `said`, then nothing for so long, until `end`; `dealing`: we take the time."""

    def play(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        clock = attempt.turn.clock
        assert isinstance(clock, FakeClock)
        if said:
            attempt.text(said)
        attempt.silent_since = None if dealing else clock.monotonic()
        clock.advance(seconds)
        raise end or DeadlineExceeded()

    return play


@pytest.mark.parametrize(
    ("step", "asked", "counted"),
    [
        (silent(20.0), {}, 1),
        (silent(19.9), {}, 0),
        (silent(40.0, dealing=True), {}, 0),
        (silent(40.0, TurnCancelled()), {}, 0),
        (silent(40.0, Draining()), {}, 0),
        (silent(30.0), {"client_timeout": 30.0}, 0),
        (silent(40.0), {"client_timeout": 600.0}, 1),
        (silent(40.0), {"mode": "exhaustive"}, 1),
    ],
    ids=["half a turn", "less", "a slow client", "client left", "draining", "impatient", "patient", "exhaustive"],
)
def test_silence_until_the_deadline_is_a_failure_from_half_a_turn_on(
    step: Any, asked: dict[str, Any], counted: int
) -> None:
    """With BEDROCK_READ_TIMEOUT_SECONDS beyond the deadline a hanging model counts all the same; a client's hurry, one
    that left, our own delays and what little time a late call has do not."""
    bench = Bench(step, plugins="retry breaker", TURN_DEADLINE_SECONDS=40, BEDROCK_READ_TIMEOUT_SECONDS=60)
    run(bench, **asked)
    assert status(bench)["recent_failures"] == counted


@pytest.mark.parametrize(
    ("first", "then", "counted"),
    [
        (silent(60.0, ModelTimeout("", kind="read_timeout")), silent(59.0), 1),
        (silent(1.0, server_error()), silent(58.0), 0),
        (silent(60.0, ModelTimeout("", kind="read_timeout")), silent(59.0, dealing=True), 0),
        (silent(60.0, ModelTimeout("", kind="read_timeout")), silent(59.0, said="um"), 0),
        (silent(60.0, ModelTimeout("", kind="read_timeout")), silent(30.0, TurnCancelled()), 0),
    ],
    ids=["two silences", "an error and a silence", "it answers too late", "it has begun to answer", "client left"],
)
def test_a_read_timeout_whose_retry_the_deadline_cuts_short_is_a_failure(first: Any, then: Any, counted: int) -> None:
    """By the defaults, 60 of 120 s: the retry has 59 s left, too few for a read timeout of its own; together they are
    more than half a turn. Otherwise a retry would keep the circuit of a model that hangs closed."""
    bench = Bench(first, then, plugins="retry breaker")
    run(bench)
    assert len(bench.models) == 2
    assert status(bench)["recent_failures"] == counted


def test_a_probe_that_is_silent_until_the_deadline_is_a_bad_one() -> None:
    """It reopens the circuit, which would otherwise let hanging requests through one after another."""
    bench = Bench(silent(40.0), plugins="breaker", TURN_DEADLINE_SECONDS=40, BREAKER_WINDOW_SECONDS=600)
    for _ in range(5):
        assert run(bench) == "deadline_exceeded"
    advance(bench, 30)
    assert run(bench) == "deadline_exceeded"
    assert run(bench) == "circuit_open"
    assert circuit_events(bench) == ["circuit.opened failures", "circuit.half_opened", "circuit.opened probe_failed"]


@pytest.mark.parametrize("fault", ["hang", "hang_stream]] [[after=0"], ids=["before the headers", "in the stream"])
@pytest.mark.parametrize("chain", [[], [SECOND]], ids=["alone", "with a fallback"])
@pytest.mark.parametrize("impatient", [False, True], ids=["", "impatient"])
def test_a_model_that_hangs_counts_over_sockets(
    bedrock_local: LocalBedrock, monkeypatch: pytest.MonkeyPatch, fault: str, chain: list[str], impatient: bool
) -> None:
    """Before the headers and in the stream, ended by the deadline or early for the fallback; not where the client
    shortened the deadline. The sockets wait in real time; the clock says so when the wire is told that they have."""
    seconds = 0.3 if chain else 1.0
    if chain:
        monkeypatch.setattr("rom_core.resilience.reserve._COUNTING_SHARE", 0.1)
    clock = FakeClock()
    values: dict[str, Any] = {"TURN_DEADLINE_SECONDS": 1, "BEDROCK_READ_TIMEOUT_SECONDS": 60, "MODEL_FALLBACKS": chain}
    bench = Bench(plugins="retry breaker fallback", clock=clock, **values)
    wire = Wire(bench.runtime.current.settings, clock, endpoint_url=bedrock_local.url)
    failure = wire._failure

    def failed(call: ModelCall, error: Exception) -> ModelError:
        if not chain:
            clock.advance(seconds)
        return failure(call, error)

    monkeypatch.setattr(wire, "_failure", failed)

    def over_the_wire(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        return wire.converse(attempt, {**request, "modelId": SONNET_ID})

    bench.transport.steps[:] = [over_the_wire, says("from the second")]
    message = f"[[say=um dois]] [[fault={fault}]] conte"
    turn = make_turn(bench.runtime, message, client_timeout=0.3 if impatient else None)
    turn.deadline = Deadline(clock, seconds)
    try:
        if chain:
            assert bench.runtime.run(turn).model == SECOND
        else:
            with pytest.raises(DeadlineExceeded):
                bench.runtime.run(turn)
    finally:
        wire.close()
    assert status(bench)["recent_failures"] == int(not impatient)


def test_the_time_that_a_slow_client_takes_is_not_the_models(bedrock_local: LocalBedrock) -> None:
    """The deadline passes while a delta is handed over: the model was not silent, and its circuit stays closed."""
    bench = Bench(plugins="breaker", TURN_DEADLINE_SECONDS=10, BREAKER_FAILURES=1)
    wire = Wire(bench.runtime.current.settings, bench.clock, endpoint_url=bedrock_local.url)
    bench.transport.steps[:] = [lambda attempt, request: wire.converse(attempt, {**request, "modelId": SONNET_ID})]

    def slow(name: str, data: dict[str, Any]) -> None:
        advance(bench, 10)
        turn.check()

    turn = make_turn(bench.runtime, "[[say=um dois]] conte", sink=slow)
    try:
        with pytest.raises(DeadlineExceeded):
            bench.runtime.run(turn)
    finally:
        wire.close()
    assert status(bench)["state"] == "closed"
