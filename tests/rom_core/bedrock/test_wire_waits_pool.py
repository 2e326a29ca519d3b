"""Waiting where credentials may have to be fetched: in a thread of the pool, counted and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from bedrock_support import (
    ENDED,
    Connect,
    asking,
    cancelling,
    ends_soon,
    given_up,
    make_attempt,
    until,
)

from local_bedrock import LocalBedrock
from rom_core.bedrock import wire as wire_module
from rom_core.concurrency.workers import WorkerPool
from rom_core.errors import DeadlineExceeded, TurnCancelled, WireSaturated


def test_in_the_pool_silence_before_the_headers_ends_with_the_deadline(
    bedrock_local: LocalBedrock, pooled: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is free at its deadline; the thread is counted as abandoned, and comes back by its own read timeout.

    BEDROCK_READ_TIMEOUT_SECONDS alone would hold it for ten minutes: the request's own timeout is the shorter.
    """
    monkeypatch.setattr(wire_module, "_GRACE_SECONDS", 0.2)
    wire, attempt = pooled(bedrock_local.url), make_attempt(seconds=0.3)
    noted = given_up(wire.pool)
    with ends_soon():
        with pytest.raises(DeadlineExceeded):
            wire.converse(attempt, asking("[[fault=hang]]"))
        assert attempt.turn.deadline.passed
        assert noted == [True]
        assert until(lambda: wire.pool.abandoned == wire.pool.outstanding == 0)
        assert until(lambda: bedrock_local.aborted == 1)
    assert attempt.turn.cancel.reason == "deadline"


@pytest.mark.parametrize("reason", ENDED)
def test_in_the_pool_a_turn_that_ends_does_not_wait_for_the_headers(
    bedrock_local: LocalBedrock, pooled: Connect, reason: str
) -> None:
    """Client gone, deadline or draining: the caller returns at once with the turn's own error."""
    wire, attempt = pooled(bedrock_local.url), make_attempt()
    noted = given_up(wire.pool)
    with ends_soon(), cancelling(attempt, reason, lambda: bedrock_local.active == 1), pytest.raises(ENDED[reason]):
        wire.converse(attempt, asking("[[fault=hang]]"))
    assert noted == [True]
    bedrock_local.stop()
    assert until(lambda: wire.pool.abandoned == 0)


def test_in_the_pool_an_answer_that_comes_too_late_is_closed(bedrock_local: LocalBedrock, pooled: Connect) -> None:
    """The given-up request is not read when its headers arrive: the service sees that nobody is there."""
    wire, attempt = pooled(bedrock_local.url), make_attempt()
    noted = given_up(wire.pool)
    with cancelling(attempt, "client_gone", lambda: bedrock_local.active == 1), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking("[[latency=4]][[length=5000]][[delay=0.01]]"))
    assert noted == [True]
    assert until(lambda: bedrock_local.aborted == 1)
    assert until(lambda: wire.pool.abandoned == 0)


def test_an_answer_that_comes_in_the_moment_of_giving_up_is_closed(
    bedrock_local: LocalBedrock, pooled: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the end of the wait and `abandon` the headers may arrive: then nobody else would close the stream."""
    wire, attempt = pooled(bedrock_local.url), make_attempt()
    waits = wire.pool.wait

    def just_missed(*arguments: Any) -> bool:
        waits(*arguments)
        attempt.turn.cancel.cancel("client_gone")
        return False

    monkeypatch.setattr(wire.pool, "wait", just_missed)
    with pytest.raises(TurnCancelled):
        wire.converse(attempt, asking("[[length=5000]][[delay=0.01]]"))
    assert until(lambda: bedrock_local.aborted == 1)
    assert wire.pool.abandoned == 0


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_a_turn_that_has_ended_sends_nothing(
    bedrock_local: LocalBedrock, pooled: Connect, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """A request whose answer nobody can use is not paid for."""
    wire, attempt, submitted = pooled(bedrock_local.url), make_attempt(seconds=seconds), []
    monkeypatch.setattr(wire.pool, "submit", lambda *job, **_: submitted.append(job))
    if seconds:
        attempt.turn.cancel.cancel("client_gone")
    with pytest.raises(TurnCancelled if seconds else DeadlineExceeded):
        wire.converse(attempt, asking())
    assert submitted == []


def test_in_the_pool_given_up_requests_are_bounded(
    bedrock_local: LocalBedrock, pooled: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that cannot be interrupted are bounded: better an error at once than a queue behind them."""
    wire = pooled(bedrock_local.url, BEDROCK_READ_TIMEOUT_SECONDS=5)
    wire.pool = WorkerPool("wire", 1)
    attempt = make_attempt()
    with cancelling(attempt, "client_gone", lambda: bedrock_local.active == 1), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking("[[fault=hang]]"))
    with pytest.raises(WireSaturated):
        wire.converse(make_attempt(), asking())
    assert until(lambda: wire.pool.outstanding == 0)
    assert wire.converse(make_attempt(), asking("[[say=again]]")).text == "again"
