"""The wire's waits over real sockets: all are bounded, end at once when the turn ends, and leave nothing behind."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from bedrock_support import STREAM_HEAD, Connect, Peer, asking, chunks, event, make_attempt, make_wire, until
from botocore.credentials import Credentials
from botocore.tokens import FrozenAuthToken
from support import make_settings

from local_bedrock import LocalBedrock
from rom_core.bedrock import wire as wire_module
from rom_core.bedrock.sending import Sending, install, may_ask_elsewhere
from rom_core.bedrock.wire import make_client
from rom_core.concurrency.cancel import Deadline
from rom_core.concurrency.clock import SystemClock
from rom_core.concurrency.workers import WorkerPool
from rom_core.errors import (
    DeadlineExceeded,
    Draining,
    ModelThrottled,
    RomError,
    TurnCancelled,
    WireSaturated,
)
from rom_core.turn import Attempt

ENDED: dict[str, type[RomError]] = {"client_gone": TurnCancelled, "deadline": DeadlineExceeded, "draining": Draining}


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """The block takes less than `seconds`; the waits that it must not sit out are ten seconds and more."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@contextmanager
def cancelling(attempt: Attempt, reason: str, ready: Any) -> Iterator[None]:
    """Cancels the turn from another thread once `ready()`."""

    def cancel() -> None:
        if until(ready):
            attempt.turn.cancel.cancel(reason)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses that this process connects to, in order."""
    addresses: list[Any] = []
    connect = socket.socket.connect

    def counting(self: socket.socket, address: Any) -> None:
        addresses.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", counting)
    return addresses


@pytest.fixture
def pooled(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes wires that have to fetch credentials before every request, as far as anybody can know."""
    monkeypatch.setattr(wire_module, "may_ask_elsewhere", lambda _client: True)
    return connect


# -- before the headers ----------------------------------------------------------------------------------------------


def test_silence_before_the_headers_ends_with_the_deadline(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """Without anybody's help, and the service sees the client go at once; no thread is left to itself."""
    wire, attempt = connect(bedrock_local.url), make_attempt(seconds=0.3)
    with ends_within(5):
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
        with ends_within(2), ready, pytest.raises(ENDED[reason]):
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
            ends_within(2),
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
        assert go.wait(10)
        made.append(new(self))
        return made[-1]

    wire, attempt = connect(bedrock_local.url), make_attempt()
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", slow)
    with ends_within(2), cancelling(attempt, "client_gone", begun.is_set), pytest.raises(TurnCancelled):
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
        assert go.wait(10)
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
        assert go.wait(10)
        return new(self)

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", slow)
    busy = make_attempt()
    holding = threading.Thread(target=wire.converse, args=(busy, asking("[[latency=1]]")))
    holding.start()
    assert until(lambda: bedrock_local.active == 1)
    attempt = make_attempt()
    with cancelling(attempt, "client_gone", begun.is_set), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking())
    with pytest.raises(WireSaturated):
        wire.converse(make_attempt(), asking())
    holding.join()
    assert wire.converse(make_attempt(), asking("[[say=still]]")).text == "still"
    go.set()
    assert until(lambda: wire.pool.outstanding == 0)


def test_giving_one_request_up_does_not_touch_another(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may be another request's as soon as its answer is read, and a canceller may come late."""
    made: list[Sending] = []

    def noted(*arguments: Any) -> Sending:
        made.append(Sending(*arguments))
        return made[-1]

    monkeypatch.setattr(wire_module, "Sending", noted)
    wire = connect(bedrock_local.url)
    with pytest.raises(ModelThrottled):
        wire.converse(make_attempt(), asking("[[fault=429]]"))
    wire.converse(make_attempt(), asking())
    assert until(lambda: bedrock_local.active == 0)

    def late() -> None:
        assert until(lambda: bedrock_local.active == 1)
        for sending in made[:2]:
            sending.cut()

    canceller = threading.Thread(target=late)
    canceller.start()
    assert wire.converse(make_attempt(), asking("[[latency=0.3]][[say=whole]]")).text == "whole"
    canceller.join()
    assert len(made) == 3


def test_a_cut_in_the_moment_of_giving_the_connection_back_comes_too_late(
    bedrock_local: LocalBedrock, connect: Connect, connected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may have taken the connection before the response knows that it is gone, whatever it answered."""
    made: list[Sending] = []
    back = urllib3.HTTPConnectionPool._put_conn

    def noted(*arguments: Any) -> Sending:
        made.append(Sending(*arguments))
        return made[-1]

    def giving_back(self: Any, connection: Any) -> None:
        back(self, connection)
        made[-1].cut()

    monkeypatch.setattr(wire_module, "Sending", noted)
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "_put_conn", giving_back)
    wire = connect(bedrock_local.url)
    with pytest.raises(ModelThrottled):
        wire.converse(make_attempt(), asking("[[fault=429]]"))
    wire.converse(make_attempt(), asking())
    wire.converse(make_attempt(), asking())
    assert len(connected) == 1


def test_a_cut_wakes_who_waits_behind_the_tls_of_a_proxy() -> None:
    """TLS within TLS is an object of urllib3 that holds the socket, and cannot be shut down itself."""
    here, there = socket.socketpair()
    with here, there:
        sending = Sending(lambda connecting, close: None, lambda: 1.0)
        sending.waits_on(SimpleNamespace(socket=here))
        sending.cut()
        there.settimeout(5)
        assert there.recv(1) == b""


def test_a_cut_leaves_the_encryption_on() -> None:
    """Else the thread that is about to write its request would write it as plain text, if it were quick enough."""
    here, there = socket.socketpair()
    context = ssl.create_default_context()
    with there, context.wrap_socket(here, server_hostname="peer", do_handshake_on_connect=False) as tls:
        sending = Sending(lambda connecting, close: None, lambda: 1.0)
        sending.waits_on(tls)
        sending.cut()
        with pytest.raises(ssl.SSLError):
            tls.unwrap()


def test_a_peer_that_does_not_read_ends_with_the_deadline(connect: Connect) -> None:
    """A large request may wait for its peer to take it, and nobody else watches the deadline there."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        timeouts = {"BEDROCK_CONNECT_TIMEOUT_SECONDS": 30, "BEDROCK_READ_TIMEOUT_SECONDS": 60}
        wire = connect(f"http://127.0.0.1:{deaf.getsockname()[1]}", **timeouts)
        with ends_within(10), pytest.raises(DeadlineExceeded):
            wire.converse(make_attempt(seconds=0.3), asking("x" * 8_000_000))


def test_what_connecting_took_is_not_waited_for_again(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline bounds the wait for the headers as it is then, not as it was before."""
    new = urllib3.connection.HTTPConnection._new_conn
    attempt = make_attempt(seconds=30)

    def slow(self: Any) -> socket.socket:
        attempt.call.deadline = Deadline(SystemClock(), 0.1)
        return new(self)

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", slow)
    with Peer(ending="wait") as peer, ends_within(4), pytest.raises(DeadlineExceeded):
        connect(peer.url, BEDROCK_READ_TIMEOUT_SECONDS=30).converse(attempt, asking())


def test_without_the_connections_that_we_know_a_thread_waits(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another botocore may keep them elsewhere; it works all the same."""
    monkeypatch.setattr(wire_module, "install", lambda client: install(object()))
    wire = connect(bedrock_local.url)
    assert wire.converse(make_attempt(), asking("[[say=so]]")).text == "so"
    attempt = make_attempt()
    with cancelling(attempt, "client_gone", lambda: bedrock_local.active == 1), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking("[[latency=0.3]]"))
    assert wire.pool.abandoned == 1
    assert until(lambda: wire.pool.abandoned == 0)


@pytest.mark.parametrize(
    ("token", "credentials", "expected"),
    [
        (None, Credentials("a", "b"), False),
        (None, None, False),
        (None, SimpleNamespace(refresh_needed=lambda: True), True),
        (None, SimpleNamespace(refresh_needed=lambda: False), False),
        (FrozenAuthToken("t"), SimpleNamespace(refresh_needed=lambda: True), False),
        (object(), Credentials("a", "b"), True),
    ],
)
def test_only_what_may_fetch_credentials_needs_a_thread(token: Any, credentials: Any, expected: bool) -> None:
    """Keys of the environment never, those of a role only when they run out, tokens of a provider always."""
    signer = SimpleNamespace(_auth_token=token, _credentials=credentials)
    assert may_ask_elsewhere(SimpleNamespace(_request_signer=signer)) is expected


# -- before the headers, where credentials are fetched ---------------------------------------------------------------


def test_in_the_pool_silence_before_the_headers_ends_with_the_deadline(
    bedrock_local: LocalBedrock, pooled: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is free at its deadline; the thread is counted as abandoned, and comes back by its own read timeout.

    BEDROCK_READ_TIMEOUT_SECONDS alone would hold it for ten seconds: the request's own timeout is the shorter.
    """
    monkeypatch.setattr(wire_module, "_GRACE_SECONDS", 0.2)
    wire, attempt = pooled(bedrock_local.url), make_attempt(seconds=0.3)
    with ends_within(5):
        with pytest.raises(DeadlineExceeded):
            wire.converse(attempt, asking("[[fault=hang]]"))
        assert attempt.turn.deadline.passed
        assert wire.pool.abandoned == 1
        assert until(lambda: wire.pool.abandoned == wire.pool.outstanding == 0)
        assert until(lambda: bedrock_local.aborted == 1)
    assert attempt.turn.cancel.reason == "deadline"


@pytest.mark.parametrize("reason", ENDED)
def test_in_the_pool_a_turn_that_ends_does_not_wait_for_the_headers(
    bedrock_local: LocalBedrock, pooled: Connect, reason: str
) -> None:
    """Client gone, deadline or draining: the caller returns at once with the turn's own error."""
    wire, attempt = pooled(bedrock_local.url, BEDROCK_READ_TIMEOUT_SECONDS=1), make_attempt()
    with ends_within(1), cancelling(attempt, reason, lambda: bedrock_local.active == 1), pytest.raises(ENDED[reason]):
        wire.converse(attempt, asking("[[fault=hang]]"))
    assert wire.pool.abandoned == 1
    assert until(lambda: wire.pool.abandoned == 0)


def test_in_the_pool_an_answer_that_comes_too_late_is_closed(bedrock_local: LocalBedrock, pooled: Connect) -> None:
    """The given-up request is not read when its headers arrive: the service sees that nobody is there."""
    wire, attempt = pooled(bedrock_local.url), make_attempt()
    with cancelling(attempt, "client_gone", lambda: bedrock_local.active == 1), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking("[[latency=0.3]][[length=5000]][[delay=0.01]]"))
    assert wire.pool.abandoned == 1
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
    wire = pooled(bedrock_local.url, BEDROCK_READ_TIMEOUT_SECONDS=0.4)
    wire.pool = WorkerPool("wire", 1)
    attempt = make_attempt()
    with cancelling(attempt, "client_gone", lambda: bedrock_local.active == 1), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking("[[fault=hang]]"))
    with pytest.raises(WireSaturated):
        wire.converse(make_attempt(), asking())
    assert until(lambda: wire.pool.outstanding == 0)
    assert wire.converse(make_attempt(), asking("[[say=again]]")).text == "again"


# -- in the stream ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ENDED)
def test_silence_in_the_stream_ends_when_the_turn_does(
    bedrock_local: LocalBedrock, connect: Connect, reason: str
) -> None:
    """Cancelling from another thread wakes the reader, which sits in recv, and the service sees the client go."""
    said: list[str] = []
    attempt = make_attempt(sink=lambda name, data: said.append(data["text"]))
    wire = connect(bedrock_local.url)
    with ends_within(2), cancelling(attempt, reason, lambda: len(said) == 2), pytest.raises(ENDED[reason]):
        wire.converse(attempt, asking("[[say=um dois três]][[fault=hang_stream]]"))
    assert until(lambda: bedrock_local.aborted == 1)
    assert wire.pool.outstanding == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_reader_behind_tls_is_woken_too(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python's TLS sockets shut down in a way of their own, and the real Bedrock speaks nothing else."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    subject = ["-subj", "/CN=peer", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *subject]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=30)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "CA_BUNDLE": str(certificate)}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    said: list[str] = []
    attempt = make_attempt(sink=lambda name, data: said.append(data["text"]))
    first = event("contentBlockDelta", contentBlockIndex=0, delta={"text": "um"})
    with Peer(STREAM_HEAD + chunks(first), ending="wait", tls=tls) as peer:
        wire = connect(peer.url)
        with ends_within(2), cancelling(attempt, "client_gone", lambda: said == ["um"]), pytest.raises(TurnCancelled):
            wire.converse(attempt, asking())
        assert until(lambda: peer.left == 1)
        # And before the headers.
        peer.answer, attempt = b"", make_attempt()
        silent = cancelling(attempt, "client_gone", lambda: peer.answered == 2)
        with ends_within(2), silent, pytest.raises(TurnCancelled):
            wire.converse(attempt, asking())
        assert until(lambda: peer.left == 2)


def test_nothing_is_said_after_the_turn_has_ended(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """Pieces that are already in the socket's buffer are not handed to a client that has left."""
    said: list[str] = []

    def leave(name: str, data: dict[str, Any]) -> None:
        said.append(data["text"])
        attempt.turn.cancel.cancel("client_gone")

    attempt = make_attempt(sink=leave)
    with pytest.raises(TurnCancelled):
        connect(bedrock_local.url).converse(attempt, asking("[[length=5000]]"))
    assert len(said) == 1


def test_a_stream_that_goes_on_and_on_ends_with_the_deadline(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """The read timeout bounds silence only; each event is a chance to look at the clock, without anybody's help."""
    wire, attempt = connect(bedrock_local.url), make_attempt(seconds=0.3)
    with ends_within(5), pytest.raises(DeadlineExceeded):
        wire.converse(attempt, asking("[[length=5000]][[delay=0.01]]"))
    assert until(lambda: bedrock_local.aborted == 1)


def test_a_sink_that_raises_ends_the_request(bedrock_local: LocalBedrock, connect: Connect) -> None:
    """What the client's side raises is not mistaken for a failure of the model, and the stream is closed."""

    def broken(name: str, data: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connect(bedrock_local.url).converse(make_attempt(sink=broken), asking("[[length=5000]][[delay=0.01]]"))
    assert until(lambda: bedrock_local.aborted == 1)


def test_shutting_and_closing_a_stream_is_harmless_at_any_time(bedrock_local: LocalBedrock) -> None:
    """Before it is read, in the middle, after a shutdown and when it was closed: the canceller never gets an error."""
    client = make_client(make_settings(), bedrock_local.url)
    for read in (0, 2, 99):
        stream = client.converse_stream(**asking("[[say=um dois três]]"))["stream"]
        for _, _event in zip(range(read), stream, strict=False):
            pass
        for step in (wire_module._shut, wire_module._close, wire_module._shut, wire_module._close):
            step(stream)
    client.close()


# -- connections -----------------------------------------------------------------------------------------------------


def test_connections_are_reused_after_everything_that_was_read_to_its_end(
    bedrock_local: LocalBedrock, connect: Connect, connected: list[Any]
) -> None:
    """Replies and HTTP errors leave the connection usable; a stream given up does not."""
    wire = connect(bedrock_local.url)
    wire.converse(make_attempt(), asking())
    with pytest.raises(ModelThrottled):
        wire.converse(make_attempt(), asking("[[fault=429]]"))
    wire.converse(make_attempt(), asking())
    assert len(connected) == 1
    attempt = make_attempt()
    with cancelling(attempt, "client_gone", lambda: bedrock_local.active == 1), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking("[[fault=hang_stream]]"))
    assert len(connected) == 1
    wire.converse(make_attempt(), asking())
    assert len(connected) == 2


def test_close_leaves_no_thread_and_no_connection(bedrock_local: LocalBedrock) -> None:
    """After `close` the pool is gone, the service has no client, and nothing more is taken."""
    before = set(threading.enumerate())
    wire = make_wire(bedrock_local.url)
    wire.converse(make_attempt(), asking())
    started = sorted(thread.name for thread in set(threading.enumerate()) - before)
    assert started == ["local-bedrock-connection", "rom-wire-0"]
    wire.close()
    assert until(lambda: set(threading.enumerate()) <= before)
    with pytest.raises(WireSaturated):
        wire.converse(make_attempt(), asking())
