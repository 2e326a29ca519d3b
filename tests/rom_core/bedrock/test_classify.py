"""classify: every exception of botocore, its event stream and urllib3 is one of our errors."""

from __future__ import annotations

import errno
import json
import socket
import ssl
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import botocore.exceptions as boto
import pytest
import urllib3.exceptions as http
from bedrock_support import Peer, asking, http_error, make_attempt, make_wire
from botocore.eventstream import ChecksumMismatch, InvalidPayloadLength
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from rom_core.bedrock.classify import classify, keep_readable
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import (
    ModelConnectionError,
    ModelContextTooLong,
    ModelCredentialsError,
    ModelError,
    ModelNotServed,
    ModelQuotaExhausted,
    ModelRefused,
    ModelServerError,
    ModelStreamTruncated,
    ModelThrottled,
    ModelTimeout,
)

CLOCK = FakeClock(start=1_000_000.0)
URL = "https://bedrock.invalid"
POOL: Any = None


def answered(status: int, code: str, message: str = "", retry_after: str | None = None) -> ModelError:
    """The error for an HTTP answer, as botocore hands it over."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    meta = {"HTTPStatusCode": status, "HTTPHeaders": headers, "RequestId": "id-1"}
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": meta}
    return classify(boto.ClientError(response, "ConverseStream"), CLOCK)


def framed(code: str, message: str = "") -> ModelError:
    """The error for an exception frame in a stream."""
    return classify(boto.EventStreamError({"Error": {"Code": code, "Message": message}}, "ConverseStream"), CLOCK)


@pytest.mark.parametrize(
    ("status", "code", "expected", "retryable"),
    [
        (400, "ValidationException", ModelRefused, False),
        (400, "ServiceQuotaExceededException", ModelRefused, False),
        (401, "401", ModelCredentialsError, False),
        (403, "AccessDeniedException", ModelCredentialsError, False),
        (403, "ExpiredTokenException", ModelCredentialsError, False),
        (403, "UnrecognizedClientException", ModelCredentialsError, False),
        (403, "403", ModelRefused, False),
        (404, "ResourceNotFoundException", ModelNotServed, False),
        (404, "404", ModelRefused, False),
        (408, "ModelTimeoutException", ModelTimeout, True),
        (409, "ConflictException", ModelRefused, False),
        (424, "ModelErrorException", ModelError, False),
        (424, "ModelStreamErrorException", ModelStreamTruncated, True),
        (400, "ModelStreamErrorException", ModelStreamTruncated, True),
        (400, "ThrottlingException", ModelThrottled, True),
        (400, "throttlingException", ModelThrottled, True),
        (403, "TooManyRequestsException", ModelThrottled, True),
        (400, "RequestTimeout", ModelTimeout, True),
        (400, "InternalFailure", ModelServerError, True),
        (503, "ValidationException", ModelServerError, True),
        (403, "expiredTokenException", ModelCredentialsError, False),
        (429, "ThrottlingException", ModelThrottled, True),
        (429, "SomethingElse", ModelThrottled, True),
        (429, "429", ModelThrottled, True),
        (500, "InternalServerException", ModelServerError, True),
        (502, "502", ModelServerError, True),
        (503, "ServiceUnavailableException", ModelServerError, True),
        (504, "504", ModelTimeout, True),
        (529, "529", ModelServerError, True),
        (301, "301", ModelRefused, False),
    ],
)
def test_an_answer_is_classed_by_its_status_and_by_what_is_documented(
    status: int, code: str, expected: type[ModelError], retryable: bool
) -> None:
    """429, 5xx and timeouts are worth another try, as a status or by the documented meaning of the code; other 4xx are
    not."""
    error = answered(status, code, "told")
    assert (type(error), error.retryable, error.http_status) == (expected, retryable, status)
    assert (error.aws_request_id, error.upstream_message, error.emitted) == ("id-1", "told", False)


def test_a_code_that_only_repeats_the_status_is_none() -> None:
    """botocore fills in the status for a proxy's answer; AWS said no code, and the kind says what it was."""
    assert (answered(502, "502").aws_code, answered(502, "502").kind) == (None, "http_502")
    told = answered(503, "ServiceUnavailableException")
    assert (told.aws_code, told.kind) == ("ServiceUnavailableException", "ServiceUnavailableException")


@pytest.mark.parametrize(
    ("code", "expected", "kind"),
    [
        ("throttlingException", ModelThrottled, "ThrottlingException"),
        ("modelNotReadyException", ModelThrottled, "ModelNotReadyException"),
        ("serviceUnavailableException", ModelServerError, "ServiceUnavailableException"),
        ("internalServerException", ModelServerError, "InternalServerException"),
        ("modelTimeoutException", ModelTimeout, "ModelTimeoutException"),
        ("modelStreamErrorException", ModelStreamTruncated, "ModelStreamErrorException"),
        ("validationException", ModelRefused, "ValidationException"),
        ("accessDeniedException", ModelCredentialsError, "AccessDeniedException"),
        ("resourceNotFoundException", ModelNotServed, "ResourceNotFoundException"),
        ("ThrottlingException", ModelThrottled, "ThrottlingException"),
        ("novelException", ModelServerError, "NovelException"),
        ("", ModelServerError, "unnamed_exception"),
    ],
)
def test_a_frame_is_classed_by_its_name(code: str, expected: type[ModelError], kind: str) -> None:
    """Frames have no status: the name decides, as the same failure would outside of a stream; unknown is the service's.

    The kind is spelt as outside of a stream, the code as it came, and no status is made up.
    """
    error = framed(code, "told")
    assert (type(error), error.kind, error.aws_code) == (expected, kind, code or None)
    assert (error.http_status, error.upstream_message) == (None, "told")


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "ResourceNotFoundException", "This model version has reached the end of its life. Please refer to"),
        (400, "ValidationException", "The provided model identifier is invalid."),
        (400, "ValidationException", "Invocation of model ID x with on-demand throughput isn’t supported. Retry"),
        (403, "AccessDeniedException", "Access denied. This Model is marked by provider as Legacy and you have not"),
    ],
)
def test_a_model_that_the_service_no_longer_runs_is_told_apart(status: int, code: str, message: str) -> None:
    """Such a model is skipped at once, under whichever code Bedrock says so."""
    assert type(answered(status, code, message)) is ModelNotServed


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Input is too long for requested model.", ModelContextTooLong),
        ("prompt is too long: 215634 tokens > 200000 maximum", ModelContextTooLong),
        ("Too many input tokens. Max input tokens: 300000", ModelContextTooLong),
        ("The input exceeds the model's context window", ModelContextTooLong),
        ("messages.0.content.0.text: is too short", ModelRefused),
        ("The maximum tokens you requested exceeds the model limit of 64000.", ModelRefused),
    ],
)
def test_a_conversation_that_does_not_fit_is_told_apart(message: str, expected: type[ModelError]) -> None:
    """In an answer and in a stream, with Bedrock's words as the reason that a client may read."""
    for error in (answered(400, "ValidationException", message), framed("validationException", message)):
        assert type(error) is expected
        assert error.reason == message
        assert error.retryable is False


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Too many tokens per day, please wait before trying again.", ModelQuotaExhausted),
        ("Too many requests per day, please wait before trying again.", ModelQuotaExhausted),
        ("Daily limit exceeded", ModelQuotaExhausted),
        ("Too many tokens, please wait before trying again.", ModelThrottled),
        ("Too many requests, please wait before trying again. You have sent too many requests.", ModelThrottled),
        ("Your request rate is too high. Reduce the frequency of requests.", ModelThrottled),
    ],
)
def test_a_quota_of_the_day_is_no_moments_throttling(message: str, expected: type[ModelError]) -> None:
    """In an answer and in a stream; the client is told 503 and to wait a minute, and official ones not to retry."""
    for error in (answered(429, "ThrottlingException", message), framed("throttlingException", message)):
        assert type(error) is expected
        assert (error.status, error.code) == (503, "upstream_throttled")
        if expected is ModelQuotaExhausted:
            assert (error.retryable, error.should_retry, error.retry_after) == (False, False, 60)


_BODIES = (
    b"",
    b"[]",
    b"null",
    b'"text"',
    b"5",
    b"<html><body>Bad Gateway</body></html>",
    b"\xff\xfe\x00",
    b'{"mess',
    b'{"message": null}',
    b'{"message": {"a": 1}, "originalStatusCode": "x"}',
    b'{"__type": 5}',
    b'{"code": ["x"]}',
    b'{"error": {"code": "x"}}',
    b"[" * 100_000,
)


@pytest.mark.parametrize("body", _BODIES, ids=lambda body: repr(body[:20]))
def test_the_status_holds_whatever_the_body_looks_like(body: bytes) -> None:
    """botocore's parser raises on many of these, and the status would be lost with it."""
    found = []
    with Peer(b"") as peer:
        for status, *headers in ((429,), (503,), (408,), (400,), (400, "x-amzn-errortype: Throttling")):
            peer.answer = http_error(status, *headers, body=body)
            # The peer ends each connection; a client of its own never meets one that is just being ended.
            wire = make_wire(peer.url)
            with pytest.raises(ModelError) as caught:
                wire.converse(make_attempt(), asking())
            found.append((type(caught.value), caught.value.http_status))
            wire.close()
    assert found == [
        (ModelThrottled, 429),
        (ModelServerError, 503),
        (ModelTimeout, 408),
        (ModelRefused, 400),
        (ModelThrottled, 400),
    ]


def test_the_code_and_the_message_of_a_body_are_kept() -> None:
    """Also an HTML page's beginning, for the log; a body of an answer that is no error is not touched."""
    given: dict[str, Any] = {
        "status_code": 400,
        "body": b'{"__type": "a#ThrottlingException", "message": "slow", "more": 1}',
    }
    keep_readable(given)
    assert json.loads(given["body"]) == {"__type": "a#ThrottlingException", "message": "slow"}
    page: dict[str, Any] = {"status_code": 502, "body": b"<html>\xff"}
    keep_readable(page)
    assert json.loads(page["body"]) == {"message": "<html>\ufffd"}
    stream: dict[str, Any] = {"status_code": 200, "body": object()}
    keep_readable(dict(stream))


def test_a_cache_point_that_is_refused_is_no_matter_of_credentials() -> None:
    """Bedrock answers 403 AccessDenied to prompt caching on a model without it."""
    message = "You invoked an unsupported model or your request did not allow prompt caching. See the documentation."
    assert type(answered(403, "AccessDeniedException", message)) is ModelRefused


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (format_datetime(datetime.fromtimestamp(1_000_030, UTC), usegmt=True), 30.0),
        ("Mon, 12 Jan 1970 13:47:10 -0000", 30.0),
        (format_datetime(datetime.fromtimestamp(999_000, UTC), usegmt=True), None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Mon, 99 Jan 1970 13:47:10 GMT", None),
        ("Mon, 12 Jan 99999999999999999999 13:47:10 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110 are read; nonsense and the past are no waiting time."""
    assert answered(429, "ThrottlingException", retry_after=header).retry_after == seconds


@given(st.text() | st.integers().map(str) | st.floats().map(str))
def test_no_retry_after_header_does_harm(header: str) -> None:
    """Whatever the header holds, the result is a waiting time or None."""
    seconds = answered(503, "", retry_after=header).retry_after
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("error", "expected", "kind"),
    [
        (boto.ReadTimeoutError(endpoint_url=URL), ModelTimeout, "read_timeout"),
        (boto.ConnectTimeoutError(endpoint_url=URL), ModelTimeout, "connect_timeout"),
        (TimeoutError("timed out"), ModelTimeout, "read_timeout"),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), ModelTimeout, "read_timeout"),
        (boto.IncompleteReadError(actual_bytes=5, expected_bytes=9), ModelStreamTruncated, "stream_broken"),
        (boto.ResponseStreamingError(error=http.ProtocolError("cut")), ModelStreamTruncated, "stream_broken"),
        (boto.SSLError(endpoint_url=URL, error=ssl.SSLCertVerificationError(1, "self-signed")), ModelRefused, "tls"),
        (
            boto.SSLError(endpoint_url=URL, error=http.SSLError(ssl.SSLEOFError(8, "EOF"))),
            ModelConnectionError,
            "connection_closed",
        ),
        (boto.ProxyConnectionError(proxy_url=URL), ModelConnectionError, "proxy"),
        (
            boto.EndpointConnectionError(
                endpoint_url=URL, error=http.NameResolutionError("host", POOL, socket.gaierror())
            ),
            ModelConnectionError,
            "dns",
        ),
        (
            boto.EndpointConnectionError(endpoint_url=URL, error=http.NewConnectionError(POOL, "no route to host")),
            ModelConnectionError,
            "connection",
        ),
        (boto.ConnectionClosedError(endpoint_url=URL), ModelConnectionError, "connection_closed"),
        (boto.HTTPClientError(error="x"), ModelConnectionError, "connection"),
        (ConnectionResetError(), ModelConnectionError, "connection"),
        (boto.NoCredentialsError(), ModelCredentialsError, "no_credentials"),
        (boto.CredentialRetrievalError(provider="p", error_msg="m"), ModelCredentialsError, "no_credentials"),
        (boto.TokenRetrievalError(provider="p", error_msg="m"), ModelCredentialsError, "no_credentials"),
        (boto.UnauthorizedSSOTokenError(), ModelCredentialsError, "no_credentials"),
        (boto.ParamValidationError(report="r"), ModelRefused, "invalid_parameters"),
        (http.ReadTimeoutError(POOL, "/", "timed out"), ModelTimeout, "read_timeout"),
        (http.ProtocolError("Response ended prematurely"), ModelStreamTruncated, "stream_broken"),
        (http.SSLError("bad record"), ModelStreamTruncated, "stream_broken"),
        (ChecksumMismatch(1, 2), ModelStreamTruncated, "bad_checksum"),
        (InvalidPayloadLength(1), ModelStreamTruncated, "bad_frame"),
        (ResponseParserError("must have one and only one member"), ModelStreamTruncated, "bad_frame"),
        (boto.BotoCoreError(), ModelError, "unknown"),
        (AttributeError("'list' object"), ModelError, "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__),
)
def test_a_transport_failure_has_its_class_and_kind(error: Exception, expected: type[ModelError], kind: str) -> None:
    """Timeouts, connections, credentials, TLS and broken frames are told apart; nothing came, so nothing is quoted."""
    made = classify(error, CLOCK)
    assert (type(made), made.kind) == (expected, kind)
    assert (made.http_status, made.aws_code, made.aws_request_id, made.retry_after) == (None, None, None, None)


def test_content_does_not_get_into_the_messages_for_logs() -> None:
    """botocore quotes a wrong parameter's value, urllib3 the bytes of a broken chunk: both may be a person's words."""
    report = "Invalid type for parameter messages[0].text, value: ['Maria, born', 3], type: list, valid types: str"
    told = classify(boto.ParamValidationError(report=report), CLOCK).upstream_message
    assert "Maria" not in told
    assert "messages[0].text" in told
    broken = http.ProtocolError("Connection broken: b'Maria'", http.IncompleteRead(5, 9))
    assert classify(broken, CLOCK).upstream_message == "ProtocolError: IncompleteRead"


def test_a_long_message_is_cut() -> None:
    """A page of HTML does not fill the log."""
    assert len(answered(500, "InternalServerException", "x" * 50_000).upstream_message) == 1000
