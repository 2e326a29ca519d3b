"""Every fault as the real AWS SDK sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import urllib3.exceptions
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, ConnectionClosedError, EventStreamError, ReadTimeoutError

from local_bedrock import LocalBedrock, fault

TYPED = [
    (400, "ValidationException"),
    (400, "ServiceQuotaExceededException"),
    (403, "AccessDeniedException"),
    (404, "ResourceNotFoundException"),
    (408, "ModelTimeoutException"),
    (424, "ModelErrorException"),
    (424, "ModelStreamErrorException"),
    (429, "ThrottlingException"),
    (429, "ModelNotReadyException"),
    (500, "InternalServerException"),
    (503, "ServiceUnavailableException"),
]
BOTH = pytest.mark.parametrize("call", ["converse", "stream"])


def text_of(events: list[dict[str, Any]]) -> str:
    """All text of a stream."""
    return "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)


def collect(events: Any, into: list[dict[str, Any]]) -> None:
    """Read a stream as far as it goes."""
    for event in events:
        into.append(event)


@BOTH
@pytest.mark.parametrize(("status", "name"), TYPED)
def test_service_error_is_typed(bedrock_local: LocalBedrock, client: Any, call: str, status: int, name: str) -> None:
    """An AWS error has its class, code, status and request id, and costs exactly one request."""
    with pytest.raises(ClientError) as caught:
        getattr(client, call)(f"[[fault={name}]]")
    assert type(caught.value).__name__ in (name, "ClientError")
    assert caught.value.response["Error"]["Code"] == name
    assert caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["ResponseMetadata"]["RequestId"]
    assert len(bedrock_local.requests) == 1


@pytest.mark.parametrize("name", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_credential_errors_are_untyped(client: Any, name: str) -> None:
    """Errors of the signature are plain ClientErrors with status 403."""
    with pytest.raises(ClientError) as caught:
        client.converse(f"[[fault={name}]]")
    assert type(caught.value) is ClientError
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ValidationException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (408, "ModelTimeoutException"),
        (424, "ModelErrorException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (502, "502"),
        (503, "ServiceUnavailableException"),
        (504, "504"),
        (418, "418"),
    ],
)
def test_status_has_its_usual_error(client: Any, status: int, code: str) -> None:
    """A bare status comes with Bedrock's error for it; what a proxy answers has only the status as code."""
    with pytest.raises(ClientError) as caught:
        client.stream(f"[[fault={status}]]")
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_retry_after_and_message_are_sent(bedrock_local: LocalBedrock, client: Any) -> None:
    """The Retry-After header and a scripted message reach the client."""
    bedrock_local.script(fault(429, retry_after=7, message="Too many tokens"))
    with pytest.raises(client.boto.exceptions.ThrottlingException, match="Too many tokens") as caught:
        client.converse()
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"


@BOTH
@pytest.mark.parametrize("kind", ["reset", "close"])
def test_broken_connection(client: Any, call: str, kind: str) -> None:
    """RST and FIN before the headers are a closed connection; the next call works."""
    with pytest.raises(ConnectionClosedError):
        getattr(client, call)(f"[[fault={kind}]]")
    assert client.converse("[[say=ok]]")


@BOTH
def test_hang_is_a_read_timeout(
    bedrock_local: LocalBedrock, connect: Callable[..., Any], eventually: Callable[..., None], call: str
) -> None:
    """Silence before the headers ends in the client's read timeout, and the server notices that it left."""
    with pytest.raises(ReadTimeoutError):
        getattr(connect(read_timeout=0.1), call)("[[fault=hang]]")
    # The client may have left before the server has read what it wanted.
    eventually(lambda: len(bedrock_local.requests) == 1)
    eventually(lambda: (bedrock_local.active, bedrock_local.aborted) == (0, int(call == "stream")))


@pytest.mark.parametrize("orders", ["[[fault=hang_stream]]", "[[fault=hang]] [[after=2]]"])
def test_hang_in_the_stream(
    bedrock_local: LocalBedrock, connect: Callable[..., Any], eventually: Callable[..., None], orders: str
) -> None:
    """Two deltas, then silence: urllib3's read timeout, and an aborted stream on the server."""
    seen: list[dict[str, Any]] = []
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        collect(connect(read_timeout=5.0).events(f"{orders} [[say=um dois três quatro]]"), seen)
    assert text_of(seen) == "um dois "
    eventually(lambda: bedrock_local.aborted == 1)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("cut", urllib3.exceptions.ProtocolError),
        ("close", urllib3.exceptions.ProtocolError),
        ("reset", urllib3.exceptions.ProtocolError),
        ("crc", ChecksumMismatch),
        ("exception:throttlingException", EventStreamError),
        ("error:Broken", EventStreamError),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 3])
def test_stream_breaks_after_so_many_deltas(client: Any, kind: str, error: type[Exception], after: int) -> None:
    """The fault comes after exactly that many deltas, as the exception that the SDK makes of it."""
    seen: list[dict[str, Any]] = []
    with pytest.raises(error):
        collect(client.events(f"[[say=um dois três quatro]] [[fault={kind}]] [[after={after}]]"), seen)
    assert text_of(seen) == "".join(["um ", "dois ", "três "][:after])


@pytest.mark.parametrize(
    "name",
    [
        "throttlingException",
        "internalServerException",
        "serviceUnavailableException",
        "modelStreamErrorException",
        "validationException",
    ],
)
def test_exception_frame(client: Any, name: str) -> None:
    """A modelled exception in the stream carries its code and message, and no HTTP status."""
    with pytest.raises(EventStreamError) as caught:
        client.stream(f"[[fault=exception:{name}]]")
    assert caught.value.response["Error"]["Code"] == name
    assert caught.value.response["Error"]["Message"]
    assert "ResponseMetadata" not in caught.value.response


@pytest.mark.parametrize("name", ["modelTimeoutException", "ThrottlingException"])
def test_unmodelled_exception_frame(client: Any, name: str) -> None:
    """A frame whose name the SDK does not know has neither code nor message there."""
    with pytest.raises(EventStreamError) as caught:
        client.stream(f"[[fault=exception:{name}]]")
    assert caught.value.response["Error"] == {"Code": "", "Message": ""}


def test_error_frame(client: Any) -> None:
    """An error frame carries the code that was ordered."""
    with pytest.raises(EventStreamError) as caught:
        client.stream("[[fault=error:Broken]]")
    assert caught.value.response["Error"]["Code"] == "Broken"


@pytest.mark.parametrize(
    ("orders", "text"),
    [
        ("[[fault=no_stop]]", "um dois três"),
        ("[[fault=no_stop]] [[after=1]]", "um "),
        ("[[fault=cut_chunked]]", "um dois "),
        ("[[fault=cut_chunked]] [[after=0]]", ""),
    ],
)
def test_silent_truncation(client: Any, orders: str, text: str) -> None:
    """These end without any exception in the SDK; only the missing messageStop tells."""
    events = client.stream(f"[[say=um dois três]] {orders}")
    assert text_of(events) == text
    assert not any("messageStop" in event for event in events)


def test_no_usage(client: Any) -> None:
    """The answer is complete, only the metadata never comes."""
    events = client.stream("[[say=um]] [[fault=no_usage]]")
    assert "messageStop" in events[-1]
    assert text_of(events) == "um"


def test_bad_json_loses_one_event(client: Any) -> None:
    """An event with a broken payload arrives empty, the rest as usual."""
    events = client.stream("[[say=um dois três]] [[fault=bad_json]] [[after=1]]")
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert deltas[1] == {}
    assert "metadata" in events[-1]


@pytest.mark.parametrize("kind", ["crc", "bad_json", "cut", "cut_chunked"])
def test_broken_body_is_an_empty_answer(client: Any, kind: str) -> None:
    """Converse with a broken or short body: the SDK returns no output, no stop reason and no usage."""
    assert set(client.converse(f"[[fault={kind}]]")) == {"ResponseMetadata"}


@pytest.mark.parametrize(("kind", "member"), [("no_stop", "stopReason"), ("no_usage", "usage")])
def test_missing_member(client: Any, kind: str, member: str) -> None:
    """Converse without one member has all the others."""
    assert {"output", "stopReason", "usage", "metrics"} - set(client.converse(f"[[fault={kind}]]")) == {member}


def test_exception_of_the_stream_for_converse(client: Any) -> None:
    """A fault made for streams becomes the error response of the same name."""
    with pytest.raises(client.boto.exceptions.ThrottlingException):
        client.converse("[[fault=exception:throttlingException]]")


def test_hang_in_the_body(connect: Callable[..., Any]) -> None:
    """Converse with headers and half a body, then silence, is a read timeout."""
    with pytest.raises(ReadTimeoutError):
        connect(read_timeout=0.1).converse("[[fault=hang_stream]]")


def test_counted_fault_ends(bedrock_local: LocalBedrock, client: Any) -> None:
    """times=2 fails two requests with this message; the third succeeds."""
    text = "[[fault=503]] [[times=2]] [[say=enfim]]"
    for _ in range(2):
        with pytest.raises(client.boto.exceptions.ServiceUnavailableException):
            client.stream(text)
    assert text_of(client.stream(text)) == "enfim"
    assert len(bedrock_local.requests) == 3


def test_fault_of_one_model(client: Any) -> None:
    """A fault for one model leaves the fallback alone."""
    with pytest.raises(client.boto.exceptions.ThrottlingException):
        client.converse("[[fault=429]] [[model=sonnet]]")
    assert client.converse("[[fault=429]] [[model=sonnet]]", model="us.anthropic.claude-haiku-4-5-20251001-v1:0")


def test_refused_request_uses_up_no_script(bedrock_local: LocalBedrock, client: Any) -> None:
    """An invalid request is refused before the script is asked."""
    bedrock_local.script(fault(503))
    with pytest.raises(client.boto.exceptions.ValidationException):
        client.converse("")
    with pytest.raises(client.boto.exceptions.ServiceUnavailableException):
        client.converse()
