"""Waiting in the stream, and what becomes of connections."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bedrock_support import (
    ENDED,
    STREAM_HEAD,
    Connect,
    Peer,
    asking,
    cancelling,
    chunks,
    ends_soon,
    event,
    make_attempt,
    make_wire,
    until,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from support import make_settings

from local_bedrock import LocalBedrock
from rom_core.bedrock import cancellable
from rom_core.bedrock import wire as wire_module
from rom_core.bedrock.client import make_client
from rom_core.concurrency.cancel import Deadline
from rom_core.concurrency.clock import SystemClock
from rom_core.errors import DeadlineExceeded, ModelThrottled, TurnCancelled, WireSaturated


@pytest.mark.parametrize("reason", ENDED)
def test_silence_in_the_stream_ends_when_the_turn_does(
    bedrock_local: LocalBedrock, connect: Connect, reason: str
) -> None:
    """Cancelling from another thread wakes the reader, which sits in recv, and the service sees the client go."""
    said: list[str] = []
    attempt = make_attempt(sink=lambda name, data: said.append(data["text"]))
    wire = connect(bedrock_local.url)
    with ends_soon(), cancelling(attempt, reason, lambda: len(said) == 2), pytest.raises(ENDED[reason]):
        wire.converse(attempt, asking("[[say=um dois três]][[fault=hang_stream]]"))
    assert until(lambda: bedrock_local.aborted == 1)
    assert wire.pool.outstanding == 0


def certified(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate for 127.0.0.1, signed by itself, and of its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    address, now = x509.IPAddress(ipaddress.ip_address("127.0.0.1")), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate", folder / "key"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, secret


def test_a_reader_behind_tls_is_woken_too(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python's TLS sockets shut down in a way of their own, and the real Bedrock speaks nothing else."""
    certificate, key = certified(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "CA_BUNDLE": str(certificate)}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    said: list[str] = []
    attempt = make_attempt(sink=lambda name, data: said.append(data["text"]))
    first = event("contentBlockDelta", contentBlockIndex=0, delta={"text": "um"})
    with Peer(STREAM_HEAD + chunks(first), ending="wait", tls=tls) as peer:
        wire = connect(peer.url)
        with ends_soon(), cancelling(attempt, "client_gone", lambda: said == ["um"]), pytest.raises(TurnCancelled):
            wire.converse(attempt, asking())
        assert until(lambda: peer.left == 1)
        # And before the headers.
        peer.answer, attempt = b"", make_attempt()
        silent = cancelling(attempt, "client_gone", lambda: peer.answered == 2)
        with ends_soon(), silent, pytest.raises(TurnCancelled):
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


def test_a_stream_that_goes_on_and_on_ends_with_the_deadline(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read timeout bounds silence only; each event is a chance to look at the clock, without anybody's help."""
    wire, attempt = connect(bedrock_local.url), make_attempt()
    getresponse = cancellable._CancellableConnection.getresponse

    def begun(self: Any, *given: Any, **more: Any) -> Any:
        response = getresponse(self, *given, **more)
        attempt.turn.deadline = attempt.call.deadline = Deadline(SystemClock(), 0.3)
        return response

    monkeypatch.setattr(cancellable._CancellableConnection, "getresponse", begun)
    with ends_soon(), pytest.raises(DeadlineExceeded):
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
    assert until(lambda: bedrock_local.active == 0)
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
