"""Waiting for the headers: bounded, over at once when the turn ends, and nothing is left behind."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
import urllib3
from bedrock_support import (
    ENDED,
    Connect,
    Peer,
    asking,
    cancelling,
    ends_soon,
    make_attempt,
    until,
)

from local_bedrock import LocalBedrock
from rom_core.bedrock import cancellable
from rom_core.concurrency.cancel import Deadline
from rom_core.concurrency.clock import SystemClock
from rom_core.concurrency.workers import WorkerPool
from rom_core.errors import DeadlineExceeded, TurnCancelled, WireSaturated


def test_silence_before_the_headers_ends_with_the_deadline(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anybody's help, and the service sees the client go at once; no thread is left to itself."""
    wire, attempt = connect(bedrock_local.url), make_attempt()
    getresponse = cancellable._CancellableConnection.getresponse

    def sent(self: Any, *given: Any, **more: Any) -> Any:
        attempt.turn.deadline = attempt.call.deadline = Deadline(SystemClock(), 0.3)
        return getresponse(self, *given, **more)

    monkeypatch.setattr(cancellable._CancellableConnection, "getresponse", sent)
    with ends_soon():
        with pytest.raises(DeadlineExceeded):
            wire.converse(attempt, asking("[[fault=hang]]"))
        assert attempt.turn.deadline.passed
        assert wire.pool.outstanding == 0
        assert until(lambda: bedrock_local.aborted == 1)
    assert attempt.turn.cancel.reason == "deadline"


@pytest.mark.parametrize("reason", ENDED)
def test_a_turn_that_ends_before_the_headers_does_not_wait_for_them(
    bedrock_local: LocalBedrock, connect: Connect, reason: str
) -> None:
    """Client gone, deadline or draining: the caller returns at once with the turn's own error, on a connection that is
    new or not, and the next request gets one of its own.
    """
    wire = connect(bedrock_local.url)
    for known in (False, True):
        assert until(lambda: bedrock_local.active == 0)
        attempt, aborted = make_attempt(), bedrock_local.aborted
        ready = cancelling(attempt, reason, lambda: bedrock_local.active == 1)
        with ends_soon(), ready, pytest.raises(ENDED[reason]):
            wire.converse(attempt, asking("[[fault=hang]]"))
        assert until(lambda seen=aborted: bedrock_local.aborted == seen + 1)  # type: ignore[misc]
        assert wire.pool.outstanding == 0
        if not known:
            assert wire.converse(make_attempt(), asking("[[say=next]]")).text == "next"


def test_an_error_whose_body_never_ends_ends_with_the_turn(connect: Connect) -> None:
    """An HTTP error is read by botocore itself, before it returns: that wait is no other."""
    head = b"HTTP/1.1 500 X\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    attempt = make_attempt()
    with Peer(head, ending="wait") as peer:
        wire = connect(peer.url)
        with (
            ends_soon(),
            cancelling(attempt, "client_gone", lambda: peer.answered == 1),
            pytest.raises(TurnCancelled),
        ):
            wire.converse(attempt, asking())
        assert until(lambda: peer.left == 1)


def test_a_turn_that_ends_while_it_connects_does_not_wait_for_that(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that does not resolve, a peer that does not accept: nothing wakes such a thread, so it is left to itself,
    counted, and the connection that it makes at last is closed.
    """
    go, begun, made = threading.Event(), threading.Event(), []
    new = urllib3.connection.HTTPConnection._new_conn

    def slow(self: Any) -> socket.socket:
        begun.set()
        assert go.wait(60)
        made.append(new(self))
        return made[-1]

    wire, attempt = connect(bedrock_local.url), make_attempt()
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", slow)
    with ends_soon(), cancelling(attempt, "client_gone", begun.is_set), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking())
    assert wire.pool.abandoned == 1
    go.set()
    assert until(lambda: wire.pool.abandoned == wire.pool.outstanding == 0)
    assert until(lambda: made[0].fileno() == -1)
    assert bedrock_local.requests == []


def test_who_gives_up_leaves_the_connection_to_the_thread_that_connects(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 closes it at once for the one who leaves, in the middle of a proxy's or TLS's greetings; it stays whole
    until the thread has done, which closes it also when it fails.
    """
    go, begun = threading.Event(), threading.Event()
    made: list[Any] = []

    def greeting(self: Any) -> None:
        self.sock = socket.create_connection((self.host, self.port))
        made.append(self.sock)
        begun.set()
        assert go.wait(60)
        made.append(self.sock)
        raise OSError("no tunnel")

    wire, attempt = connect(bedrock_local.url), make_attempt()
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", greeting)
    with cancelling(attempt, "client_gone", begun.is_set), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking())
    assert made[0].fileno() != -1
    go.set()
    assert until(lambda: wire.pool.outstanding == 0)
    assert made[1] is made[0]
    assert made[0].fileno() == -1


def test_when_given_up_connects_fill_the_pool_the_next_is_refused(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request on a connection that is there needs no thread and goes on."""
    go, begun = threading.Event(), threading.Event()
    wire = connect(bedrock_local.url)
    wire.pool.stop()
    wire.pool = WorkerPool("wire", 1)
    wire.converse(make_attempt(), asking())
    new = urllib3.connection.HTTPConnection._new_conn

    def slow(self: Any) -> socket.socket:
        begun.set()
        assert go.wait(60)
        return new(self)

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", slow)
    held, let_go = threading.Event(), threading.Event()

    def hold(_name: str, _data: Any) -> None:
        held.set()
        assert let_go.wait(60)

    holding = threading.Thread(target=wire.converse, args=(make_attempt(sink=hold), asking("[[say=held]]")))
    holding.start()
    assert held.wait(60)
    attempt = make_attempt()
    with cancelling(attempt, "client_gone", begun.is_set), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking())
    with pytest.raises(WireSaturated):
        wire.converse(make_attempt(), asking())
    let_go.set()
    holding.join()
    assert wire.converse(make_attempt(), asking("[[say=still]]")).text == "still"
    go.set()
    assert until(lambda: wire.pool.outstanding == 0)


def test_a_peer_that_does_not_read_ends_with_the_deadline(connect: Connect) -> None:
    """A large request may wait for its peer to take it, and nobody else watches the deadline there."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire = connect(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with ends_soon(), pytest.raises(DeadlineExceeded):
            wire.converse(make_attempt(seconds=0.3), asking("x" * 8_000_000))


def test_what_connecting_took_is_not_waited_for_again(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline bounds the wait for the headers as it is then, not as it was before."""
    new = urllib3.connection.HTTPConnection._new_conn
    attempt = make_attempt(seconds=30)

    def slow(self: Any) -> socket.socket:
        attempt.call.deadline = Deadline(SystemClock(), 0.1)
        return new(self)

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", slow)
    with Peer(ending="wait") as peer, ends_soon(), pytest.raises(DeadlineExceeded):
        connect(peer.url, BEDROCK_READ_TIMEOUT_SECONDS=600).converse(attempt, asking())
