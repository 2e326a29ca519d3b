"""Failures of the wire over real sockets: each is exactly one typed error, and nothing of boto3 gets out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bedrock_support import (
    END_OF_BODY,
    STREAM_HEAD,
    Connect,
    Peer,
    asking,
    chunks,
    event,
    http_error,
    make_attempt,
    make_wire,
)

from local_bedrock import LocalBedrock
from rom_core.bedrock.wire import Wire
from rom_core.errors import (
    ModelConnectionError,
    ModelCredentialsError,
    ModelError,
    ModelNotServed,
    ModelRefused,
    ModelServerError,
    ModelStreamTruncated,
    ModelThrottled,
    ModelTimeout,
)

SAYING = "[[say=um dois três quatro]]"


class Shared(NamedTuple):
    """One local Bedrock, and wires to it that wait 60 s and 2 s: what fails in one test must not harm the next."""

    bedrock: LocalBedrock
    wire: Wire
    impatient: Wire


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """What the tests of this module share."""
    with LocalBedrock() as bedrock:
        wires = [make_wire(bedrock.url, BEDROCK_READ_TIMEOUT_SECONDS=seconds) for seconds in (60, 2)]
        yield Shared(bedrock, *wires)
        for wire in wires:
            wire.close()


@pytest.fixture
def bedrock(shared: Shared) -> LocalBedrock:
    """The shared local Bedrock, as new."""
    shared.bedrock.reset()
    return shared.bedrock


@pytest.fixture
def wire(bedrock: LocalBedrock, shared: Shared) -> Wire:
    """The shared wire that waits long."""
    return shared.wire


@pytest.fixture
def wire_for(bedrock: LocalBedrock, shared: Shared) -> Callable[[str], Wire]:
    """The shared wire for a fault: only what hangs is not waited for."""
    return lambda fault: shared.impatient if fault.startswith("hang") else shared.wire


class Expected(NamedTuple):
    """What a fault must become."""

    error: type[ModelError]
    kind: str
    http_status: int | None = None
    aws_code: str | None = None
    retry_after: float | None = None


def aws(error: type[ModelError], status: int, code: str, retry_after: float | None = None) -> Expected:
    """An HTTP error with a code of AWS."""
    return Expected(error, code, status, code, retry_after)


HTTP_FAULTS = {
    "429": aws(ModelThrottled, 429, "ThrottlingException"),
    "429]][[retry_after=7": aws(ModelThrottled, 429, "ThrottlingException", 7.0),
    "ModelNotReadyException": aws(ModelThrottled, 429, "ModelNotReadyException"),
    "500": aws(ModelServerError, 500, "InternalServerException"),
    "503]][[retry_after=3": aws(ModelServerError, 503, "ServiceUnavailableException", 3.0),
    "502": Expected(ModelServerError, "http_502", 502),
    "504": Expected(ModelTimeout, "http_504", 504),
    "408": aws(ModelTimeout, 408, "ModelTimeoutException"),
    "424": aws(ModelError, 424, "ModelErrorException"),
    "ModelStreamErrorException": aws(ModelStreamTruncated, 424, "ModelStreamErrorException"),
    "400": aws(ModelRefused, 400, "ValidationException"),
    "ServiceQuotaExceededException": aws(ModelRefused, 400, "ServiceQuotaExceededException"),
    "409": aws(ModelRefused, 409, "ConflictException"),
    "403": aws(ModelCredentialsError, 403, "AccessDeniedException"),
    "ExpiredTokenException": aws(ModelCredentialsError, 403, "ExpiredTokenException"),
    "UnrecognizedClientException": aws(ModelCredentialsError, 403, "UnrecognizedClientException"),
    "404": aws(ModelNotServed, 404, "ResourceNotFoundException"),
    "reset": Expected(ModelConnectionError, "connection_closed"),
    "close": Expected(ModelConnectionError, "connection_closed"),
    "hang": Expected(ModelTimeout, "read_timeout"),
}
STREAM_FAULTS = {
    "exception:throttlingException": Expected(ModelThrottled, "ThrottlingException", aws_code="throttlingException"),
    "exception:serviceUnavailableException": Expected(
        ModelServerError, "ServiceUnavailableException", aws_code="serviceUnavailableException"
    ),
    "exception:internalServerException": Expected(
        ModelServerError, "InternalServerException", aws_code="internalServerException"
    ),
    "exception:modelStreamErrorException": Expected(
        ModelStreamTruncated, "ModelStreamErrorException", aws_code="modelStreamErrorException"
    ),
    "exception:validationException": Expected(ModelRefused, "ValidationException", aws_code="validationException"),
    "exception:modelTimeoutException": Expected(ModelServerError, "unnamed_exception"),
    "exception:ThrottlingException": Expected(ModelServerError, "unnamed_exception"),
    "error:ThrottlingException": Expected(ModelThrottled, "ThrottlingException", aws_code="ThrottlingException"),
    "error:InternalFailure": Expected(ModelServerError, "InternalFailure", aws_code="InternalFailure"),
    "hang_stream": Expected(ModelTimeout, "read_timeout"),
    "hang": Expected(ModelTimeout, "read_timeout"),
    "cut": Expected(ModelStreamTruncated, "stream_broken"),
    "close": Expected(ModelStreamTruncated, "stream_broken"),
    "reset": Expected(ModelStreamTruncated, "stream_broken"),
    "cut_chunked": Expected(ModelStreamTruncated, "no_message_stop"),
    "no_stop": Expected(ModelStreamTruncated, "no_message_stop"),
    "crc": Expected(ModelStreamTruncated, "bad_checksum"),
    "bad_json": Expected(ModelStreamTruncated, "bad_event"),
}


def failing(wire: Wire, message: str = "question", *, streamed: bool = False, **more: Any) -> ModelError:
    """The error of a request that must fail; whatever is not one of ours fails the test."""
    said: list[Any] = []
    attempt = make_attempt(sink=(lambda name, data: said.append(data)) if streamed else None)
    with pytest.raises(ModelError) as caught:
        wire.converse(attempt, asking(message, **more))
    assert caught.value.emitted == attempt.emitted == bool(said)
    return caught.value


def assert_is(error: ModelError, expected: Expected) -> None:
    """Class, kind, status, code and waiting time are exactly these; the class stands for retryable and outcome."""
    assert type(error) is expected.error
    seen = Expected(type(error), error.kind, error.http_status, error.aws_code, error.retry_after)
    assert seen == expected
    assert error.retryable is expected.error.retryable


@pytest.mark.parametrize("fault", HTTP_FAULTS)
def test_a_failure_before_the_stream_is_one_typed_error(
    bedrock: LocalBedrock, wire_for: Callable[[str], Wire], fault: str
) -> None:
    """Each answer that is none becomes its error after exactly one request; nothing was emitted."""
    error = failing(wire_for(fault), f"[[fault={fault}]]", streamed=True)
    assert_is(error, HTTP_FAULTS[fault])
    assert (error.aws_request_id is None) == (error.aws_code is None)
    assert not error.emitted
    assert len(bedrock.requests) == 1


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_a_failure_in_the_stream_is_one_typed_error(
    wire_for: Callable[[str], Wire], fault: str, after: int, streamed: bool
) -> None:
    """`emitted` is true if, and only if, the client of a streamed turn has got text; the request id is the stream's."""
    error = failing(wire_for(fault), f"{SAYING} [[fault={fault}]][[after={after}]]", streamed=streamed)
    assert_is(error, STREAM_FAULTS[fault])
    assert error.emitted == (streamed and after > 0)
    assert error.aws_request_id


def test_a_message_stop_that_lost_its_payload_is_no_end(wire: Wire) -> None:
    """Why the model stopped is not known then: it could have been cut short."""
    assert failing(wire, f"{SAYING} [[fault=bad_json]][[after=99]]").kind == "bad_event"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (http_error(429), Expected(ModelThrottled, "http_429", 429)),
        (
            http_error(429, "x-amzn-ErrorType: NovelException", body=b'{"message": "slow"}'),
            Expected(ModelThrottled, "NovelException", 429, "NovelException"),
        ),
        (http_error(503, "Retry-After: soon"), Expected(ModelServerError, "http_503", 503)),
        (http_error(400, body=b"{broken"), Expected(ModelRefused, "http_400", 400)),
        (b"SSH-2.0-OpenSSH\r\n", Expected(ModelConnectionError, "connection_closed")),
        (http_error(200, body=b"<html>a page that is no frame</html>"), Expected(ModelStreamTruncated, "bad_checksum")),
        (http_error(200), Expected(ModelStreamTruncated, "no_message_stop")),
        (
            STREAM_HEAD + chunks(event("contentBlockDelta", contentBlockIndex=0, delta={})) + END_OF_BODY,
            Expected(ModelStreamTruncated, "bad_frame"),
        ),
    ],
    ids=range(8),
)
def test_what_no_aws_service_would_say_is_a_typed_error_too(
    connect: Connect, answer: bytes, expected: Expected
) -> None:
    """Proxies, other protocols and broken frames stand between us and Bedrock."""
    with Peer(answer) as peer:
        assert_is(failing(connect(peer.url)), expected)


def test_a_date_to_retry_after_is_counted_from_now(connect: Connect) -> None:
    """Callers get seconds, in whichever form the header came."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    with Peer(http_error(503, f"Retry-After: {date}")) as peer:
        retry_after = failing(connect(peer.url)).retry_after
    assert retry_after is not None
    assert 60 < retry_after <= 90


@pytest.mark.parametrize(
    ("model_id", "more", "expected"),
    [
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", {}, ModelNotServed),
        ("anthropic.claude-nonesuch-v1:0", {}, ModelNotServed),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", {}, ModelNotServed),
        (
            "us.meta.llama3-3-70b-instruct-v1:0",
            {"system": [{"text": "x"}, {"cachePoint": {"type": "default"}}]},
            ModelRefused,
        ),
    ],
)
def test_models_that_are_not_served_are_told_from_requests_that_are_refused(
    wire: Wire, model_id: str, more: dict[str, Any], expected: type[ModelError]
) -> None:
    """End of life, an unknown id and a bare id that needs a profile are about the model; a cache point is not."""
    assert type(failing(wire, modelId=model_id, **more)) is expected


@pytest.mark.parametrize(
    "more",
    [
        {"guardrailConf": {}},
        {"guardrailConfig": {"guardrailIdentifier": "g", "version": "1"}},
        {"performanceConfig": {"latency": 5}},
    ],
    ids=["unknown", "unknown inside", "type"],
)
def test_parameters_that_do_not_fit_are_refused_before_anything_is_sent(
    bedrock: LocalBedrock, wire: Wire, more: dict[str, Any]
) -> None:
    """What the normaliser passes as it is must fit botocore's shapes: a guardrail misspelt must not be left out."""
    error = failing(wire, **more)
    assert_is(error, Expected(ModelRefused, "invalid_parameters"))
    assert bedrock.requests == []


def test_a_peer_without_tls_is_refused_for_good(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TLS failure is a mistake in the configuration: trying again does not help."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with Peer(b"HTTP/1.1 400 Plain\r\n\r\n", eager=True) as peer:
        error = failing(connect(peer.url.replace("http:", "https:")))
    assert_is(error, Expected(ModelRefused, "tls"))


def test_without_credentials_nothing_is_sent(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials are looked for when the first request needs them; their absence has its own class."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    error = failing(connect("https://127.0.0.1:9"))
    assert_is(error, Expected(ModelCredentialsError, "no_credentials"))


def test_a_refused_connection_is_told(connect: Connect) -> None:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert_is(failing(connect(f"http://127.0.0.1:{port}")), Expected(ModelConnectionError, "connection_refused"))


def test_a_name_that_does_not_resolve_is_told(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS failures come and go, and are retryable."""

    def no_answer(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_answer)
    assert_is(failing(connect("http://bedrock.invalid")), Expected(ModelConnectionError, "dns"))


def test_a_connection_that_nobody_accepts_times_out(connect: Connect) -> None:
    """A full backlog drops the handshake; BEDROCK_CONNECT_TIMEOUT_SECONDS bounds the wait."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        wire = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", BEDROCK_CONNECT_TIMEOUT_SECONDS=0.2)
        assert_is(failing(wire), Expected(ModelTimeout, "connect_timeout"))


def test_an_exception_that_nobody_foresaw_is_typed_too(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever boto3 raises, callers see a ModelError with the cause attached."""
    cause = RuntimeError("odd")

    def raising(**_: Any) -> None:
        raise cause

    monkeypatch.setattr(wire.client, "converse_stream", raising)
    error = failing(wire)
    assert_is(error, Expected(ModelError, "unknown"))
    assert error.__cause__ is cause
