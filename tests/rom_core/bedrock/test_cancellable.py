"""Requests that can be cancelled: what they reach into, and whom a cancel may touch."""

from __future__ import annotations

import socket
import ssl
import threading
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from bedrock_support import Connect, asking, cancelling, ends_soon, given_up, make_attempt, until
from botocore.credentials import Credentials
from botocore.tokens import FrozenAuthToken
from structlog.testing import capture_logs
from support import make_settings

from local_bedrock import LocalBedrock
from rom_core.bedrock import cancellable
from rom_core.bedrock import wire as wire_module
from rom_core.bedrock.cancellable import CancellableRequest, make_cancellable, may_fetch_credentials
from rom_core.bedrock.client import make_client
from rom_core.errors import ModelThrottled, TurnCancelled


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What goes through the overridden methods of a real request's connection, by method."""
    seen: dict[str, list[Any]] = {name: [] for name in ("connect", "request", "getresponse", "release", "_put_conn")}

    def note(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def noted(self: Any, *given: Any, **more: Any) -> Any:
            result = real(self, *given, **more)
            connection = given[0] if name == "_put_conn" else self
            # A broken stream of an earlier test gives its connection back when it is collected, in any moment.
            if name == "connect" or connection in seen["connect"]:
                seen[name].append(connection)
            return result

        monkeypatch.setattr(owner, name, noted)

    for name in ("connect", "request", "getresponse", "release"):
        note(cancellable._CancellableConnection, name)
    note(cancellable._ReleasingPool, "_put_conn")
    return seen


def test_giving_one_request_up_does_not_touch_another(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may be another request's as soon as its answer is read, and a canceller may come late."""
    made: list[CancellableRequest] = []

    def noted(*arguments: Any) -> CancellableRequest:
        made.append(CancellableRequest(*arguments))
        return made[-1]

    monkeypatch.setattr(wire_module, "CancellableRequest", noted)
    wire = connect(bedrock_local.url)
    with pytest.raises(ModelThrottled):
        wire.converse(make_attempt(), asking("[[fault=429]]"))
    wire.converse(make_attempt(), asking())
    assert until(lambda: bedrock_local.active == 0)

    def late() -> None:
        assert until(lambda: bedrock_local.active == 1)
        for request in made[:2]:
            request.cancel()

    canceller = threading.Thread(target=late)
    canceller.start()
    assert wire.converse(make_attempt(), asking("[[latency=0.3]][[say=whole]]")).text == "whole"
    canceller.join()
    assert len(made) == 3


def test_cancelling_in_the_moment_of_giving_the_connection_back_comes_too_late(
    bedrock_local: LocalBedrock,
    connect: Connect,
    connected: list[Any],
    carried: dict[str, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread may have taken the connection before the response knows that it is gone, whatever it answered."""
    made: list[CancellableRequest] = []
    back = urllib3.HTTPConnectionPool._put_conn

    def noted(*arguments: Any) -> CancellableRequest:
        made.append(CancellableRequest(*arguments))
        return made[-1]

    def giving_back(self: Any, connection: Any) -> None:
        back(self, connection)
        if connection in carried["connect"]:
            made[-1].cancel()

    monkeypatch.setattr(wire_module, "CancellableRequest", noted)
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "_put_conn", giving_back)
    wire = connect(bedrock_local.url)
    with pytest.raises(ModelThrottled):
        wire.converse(make_attempt(), asking("[[fault=429]]"))
    wire.converse(make_attempt(), asking())
    wire.converse(make_attempt(), asking())
    assert len(connected) == len(carried["connect"]) == 1
    assert carried["_put_conn"] == carried["connect"] * 3


def test_cancelling_wakes_who_waits_behind_the_tls_of_a_proxy() -> None:
    """TLS within TLS is an object of urllib3 that holds the socket, and cannot be shut down itself."""
    here, there = socket.socketpair()
    with here, there:
        request = CancellableRequest(lambda connecting, close: None, lambda: 1.0)
        request.waits_on(SimpleNamespace(socket=here))
        request.cancel()
        there.settimeout(60)
        assert there.recv(1) == b""


def test_cancelling_leaves_the_encryption_on() -> None:
    """Else the thread that is about to write its request would write it as plain text, if it were quick enough."""
    here, there = socket.socketpair()
    context = ssl.create_default_context()
    with there, context.wrap_socket(here, server_hostname="peer", do_handshake_on_connect=False) as tls:
        request = CancellableRequest(lambda connecting, close: None, lambda: 1.0)
        request.waits_on(tls)
        request.cancel()
        with pytest.raises(ssl.SSLError):
            tls.unwrap()


def test_without_the_connections_that_we_know_a_thread_waits(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another botocore may keep them elsewhere; it works all the same."""
    monkeypatch.setattr(wire_module, "make_cancellable", lambda client: make_cancellable(object()))
    wire = connect(bedrock_local.url)
    assert wire.converse(make_attempt(), asking("[[say=so]]")).text == "so"
    attempt, noted = make_attempt(), given_up(wire.pool)
    assert until(lambda: bedrock_local.active == 0)
    with cancelling(attempt, "client_gone", lambda: bedrock_local.active == 1), pytest.raises(TurnCancelled):
        wire.converse(attempt, asking("[[latency=60]]"))
    assert noted == [True]
    bedrock_local.stop()
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
    assert may_fetch_credentials(SimpleNamespace(_request_signer=signer)) is expected


# -- the names of botocore and urllib3 that this reaches for -----------------------------------------------------------


def test_the_private_names_are_there(bedrock_local: LocalBedrock) -> None:
    """With a botocore that keeps its connections or credentials elsewhere no request could be cancelled."""
    client = make_client(make_settings(), bedrock_local.url)
    assert make_cancellable(client) is True
    assert may_fetch_credentials(client) is False
    client.close()


def test_the_private_names_mean_what_they_meant(
    bedrock_local: LocalBedrock, connect: Connect, carried: dict[str, list[Any]]
) -> None:
    """One connection of ours carries the request from `connect` to `_put_conn`; while it is read its `sock` is the
    socket to the service and the request's, its `timeout` the one that botocore was given for this request.
    """
    seen: list[Any] = []

    def while_it_is_read(_name: str, _data: Any) -> None:
        (connection,) = carried["getresponse"]
        request = connection._cancellable
        seen.append((request._socket is connection.sock, connection.sock.getpeername()[1], connection.timeout))
        assert carried["_put_conn"] == []

    wire = connect(bedrock_local.url, BEDROCK_READ_TIMEOUT_SECONDS=123)
    wire.converse(make_attempt(sink=while_it_is_read), asking("[[say=um dois]]"))
    port = int(bedrock_local.url.rpartition(":")[2])
    assert seen == [(True, port, 123.0)] * 2
    connections = [one for many in carried.values() for one in many]
    assert {type(one) for one in connections} == {cancellable._Http}
    assert len(set(map(id, connections))) == 1
    assert all(carried.values())
    assert connections[0]._cancellable is None


def test_the_stream_has_the_name_that_wakes_its_reader(bedrock_local: LocalBedrock) -> None:
    """`_raw_stream.shutdown` of a response whose headers are there, used where no request can be cancelled."""
    client = make_client(make_settings(), bedrock_local.url)
    stream = client.converse_stream(**asking("[[say=um dois]][[fault=hang_stream]]"))["stream"]
    stream._raw_stream.shutdown()
    with ends_soon(), pytest.raises(Exception):  # noqa: B017, PT011 - which one depends on the versions
        list(stream)
    client.close()


def test_a_wire_that_cannot_cancel_says_so(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would tell that given-up requests hold a thread each."""
    monkeypatch.setattr(wire_module, "make_cancellable", lambda client: make_cancellable(object()))
    with capture_logs() as lines:
        connect(bedrock_local.url)
    (line,) = [line for line in lines if line["event"] == "wire.not_cancellable"]
    assert line["botocore"]
    assert line["urllib3"]
