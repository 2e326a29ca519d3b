"""What can go wrong between us and Bedrock, and which of our errors it is.

botocore, its event stream and urllib3 raise some thirty different exceptions for one request; in a stream even ones
that are no botocore exception at all. Everything becomes a `ModelError`, decided by the HTTP status and by what AWS
documents of the error's name, never by what the body looks like. A failure passes by itself if either says so: AWS's
common errors have a ThrottlingException of 400, and exception frames of a stream have no status. Classes are not
compared: botocore makes new ones for every session.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

import botocore.exceptions as boto
import urllib3.exceptions as http
from botocore.eventstream import ChecksumMismatch, ParserError
from botocore.parsers import ResponseParserError

from rom_core.bedrock.reasons import readable_reason
from rom_core.concurrency.clock import Clock
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

_MESSAGE_LENGTH: Final = 1000
_ERROR_FIELDS: Final = ("__type", "code", "Code", "message", "Message")
_CREDENTIAL_CODES: Final = frozenset(
    {
        "expiredtoken",
        "expiredtokenexception",
        "unrecognizedclientexception",
        "invalidsignatureexception",
        "invalidclienttokenid",
        "incompletesignature",
        "missingauthenticationtoken",
        "missingauthenticationtokenexception",
        "accessdenied",
        "accessdeniedexception",
    }
)
_CREDENTIAL_ERRORS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.SSOTokenLoadError,
    boto.MetadataRetrievalError,
)
# The status that AWS documents for an error of this name, in lower case: in bedrock-runtime, among the errors common to
# all its services, or (throttling, timeouts) as its SDKs know them.
_STATUS_OF: Final[Mapping[str, int]] = {
    "throttlingexception": 429,
    "throttling": 429,
    "throttledexception": 429,
    "requestthrottled": 429,
    "requestthrottledexception": 429,
    "requestlimitexceeded": 429,
    "toomanyrequestsexception": 429,
    "provisionedthroughputexceededexception": 429,
    "slowdown": 429,
    "modelnotreadyexception": 429,
    "serviceunavailableexception": 503,
    "serviceunavailable": 503,
    "internalserverexception": 500,
    "internalservererror": 500,
    "internalfailure": 500,
    "modeltimeoutexception": 408,
    "requesttimeout": 408,
    "requesttimeoutexception": 408,
    "modelstreamerrorexception": 424,
    "modelerrorexception": 424,
    "validationexception": 400,
    "servicequotaexceededexception": 400,
    "conflictexception": 409,
    "accessdeniedexception": 403,
    "expiredtokenexception": 403,
    "unrecognizedclientexception": 403,
    "resourcenotfoundexception": 404,
}
_STREAM_ERROR: Final = "modelstreamerrorexception"
# "Too many tokens per day, please wait before trying again." The same of minutes names no time.
_DAILY_QUOTA: Final = re.compile(r"\bper day\b|\bdaily\b", re.IGNORECASE)
# What Bedrock says, under several codes, of a model that it cannot or will no longer run.
_NOT_SERVED_TEXTS: Final = (
    "end of its life",
    "model identifier is invalid",
    "with on-demand throughput isn",
    "marked by provider as legacy",
)
# How Bedrock, and the models behind it, say that a conversation does not fit: with and without the counts.
_TOO_LONG: Final = re.compile(
    r"input is too long|prompt is too long|too many input tokens|exceeds? (?:the )?(?:model's )?context|"
    r"context (?:length|window) (?:limit )?exceeded",
    re.IGNORECASE,
)
# Bedrock's 403 for a cache point that this model does not take: nothing is wrong with the credentials.
_CACHING_TEXT: Final = "did not allow prompt caching"
_VALUE: Final = re.compile(r"value: .*?(?=, (?:type|valid)\b)", re.DOTALL)


def classify(error: Exception, clock: Clock) -> ModelError:
    """The `ModelError` that stands for an exception from boto3 or from iterating its stream.

    `clock` turns a Retry-After date into seconds. The error is not `emitted`; who knows better says so.
    """
    if isinstance(error, boto.EventStreamError):
        return _in_stream(error)
    if isinstance(error, boto.ClientError):
        return _response(error, clock)
    if isinstance(error, (ParserError, ResponseParserError)):
        kind = "bad_checksum" if isinstance(error, ChecksumMismatch) else "bad_frame"
        return ModelStreamTruncated(kind=kind, upstream_message=type(error).__name__)
    if isinstance(error, http.HTTPError):
        return _broken_stream(error)
    return _before_answer(error)


# -- answers ---------------------------------------------------------------------------------------------------------


def _response(error: Any, clock: Clock) -> ModelError:
    """An HTTP answer that is an error: status, headers and usually a code."""
    code, message = _code_and_message(error)
    meta = error.response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode") or 0)
    if code.isdigit():
        code = ""  # botocore puts the status here when an answer has no code, such as a proxy's
    return _class_of(status, code, message)(
        kind=code or f"http_{status}",
        http_status=status or None,
        aws_code=code or None,
        aws_request_id=meta.get("RequestId"),
        retry_after=_retry_after(meta.get("HTTPHeaders", {}).get("retry-after"), clock),
        upstream_message=message,
        reason=_reason(status, code, message),
    )


def _in_stream(error: Any) -> ModelError:
    """An exception or error frame: no status; the first letter of its name is small, and unknown names get lost."""
    code, message = _code_and_message(error)
    name = code[:1].upper() + code[1:]
    known = name.lower() in _STATUS_OF
    made = _class_of(_STATUS_OF[name.lower()], name, message) if known else ModelServerError
    status = _STATUS_OF[name.lower()] if known else 0
    reason = _reason(status, name, message)
    return made(kind=name or "unnamed_exception", aws_code=code or None, upstream_message=message, reason=reason)


def _reason(status: int, code: str, message: str) -> str:
    """What the client may read of Bedrock's words: only of what it can change, and nothing quoted."""
    validation = code.lower() == "validationexception" and status in (0, 400)
    return readable_reason(message) if validation else ""


def _code_and_message(error: Any) -> tuple[str, str]:
    found = error.response.get("Error", {})
    return str(found.get("Code") or ""), str(found.get("Message") or "")[:_MESSAGE_LENGTH]


def _class_of(status: int, code: str, message: str) -> type[ModelError]:
    name = code.lower()
    passing = _passing(status) or _passing(_STATUS_OF.get(name, 0))
    if passing is ModelThrottled and _DAILY_QUOTA.search(message):
        return ModelQuotaExhausted
    if passing is not None:
        return passing
    if name == _STREAM_ERROR:
        return ModelStreamTruncated
    if status == 424 or status < 300:
        return ModelError  # the model failed at it, or no error at all; the request is not at fault
    if name == "resourcenotfoundexception" or any(text in message.lower() for text in _NOT_SERVED_TEXTS):
        return ModelNotServed
    if status == 401 or (name in _CREDENTIAL_CODES and _CACHING_TEXT not in message):
        return ModelCredentialsError
    return ModelContextTooLong if status in (0, 400) and _TOO_LONG.search(message) else ModelRefused


def _passing(status: int) -> type[ModelError] | None:
    """The class of a failure with this status that passes by itself; None for any other status."""
    if status == 429:
        return ModelThrottled
    if status in (408, 504):
        return ModelTimeout
    return ModelServerError if status >= 500 else None


def keep_readable(response_dict: dict[str, Any], **_: Any) -> None:
    """Reduce the body of an error answer to its code and message, before botocore parses it ("before-parse").

    Its parser raises on what is JSON but not an object of texts, or no UTF-8, and with that the status is lost.
    """
    if response_dict["status_code"] < 300:
        return
    body: bytes = response_dict["body"]
    try:
        parsed = json.loads(body)
    except UnicodeDecodeError:
        parsed = {"message": body.decode("utf-8", "replace")}
    except RecursionError:
        parsed = {}
    except ValueError:
        return  # no JSON: that it copes with
    fields = parsed if isinstance(parsed, dict) else {}
    readable = {name: fields[name] for name in _ERROR_FIELDS if isinstance(fields.get(name), str)}
    response_dict["body"] = json.dumps(readable).encode()


def _retry_after(header: str | None, clock: Clock) -> float | None:
    """Seconds from a Retry-After header, which holds either seconds or an HTTP date (RFC 9110, 10.2.3).

    None for what is neither, for a date that has passed, and for numbers that are no waiting time.
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except (IndexError, OverflowError, TypeError, ValueError):
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - clock.time()
    return seconds if 0 <= seconds < float("inf") else None


# -- transport -------------------------------------------------------------------------------------------------------


def _broken_stream(error: http.HTTPError) -> ModelError:
    """urllib3's own exceptions come out of a stream only: before the headers botocore translates them.

    Their texts may quote bytes of the answer, so they are named and not quoted.
    """
    text = ": ".join(type(one).__name__ for one in _chain(error))
    if isinstance(error, http.TimeoutError):
        return ModelTimeout(kind="read_timeout", upstream_message=text)
    return ModelStreamTruncated(kind="stream_broken", upstream_message=text)


def _before_answer(error: Exception) -> ModelError:
    text = str(error)[:_MESSAGE_LENGTH]
    if isinstance(error, boto.ConnectTimeoutError):
        return ModelTimeout(kind="connect_timeout", upstream_message=text)
    # A socket's own TimeoutError, which is an OSError, has cost as long a wait as botocore's.
    if isinstance(error, (boto.ReadTimeoutError, TimeoutError)):
        return ModelTimeout(kind="read_timeout", upstream_message=text)
    if isinstance(error, (boto.IncompleteReadError, boto.ResponseStreamingError)):
        return ModelStreamTruncated(kind="stream_broken", upstream_message=type(error).__name__)
    if isinstance(error, boto.SSLError):
        if any(isinstance(one, ssl.SSLEOFError) for one in _chain(error)):
            return ModelConnectionError(kind="connection_closed", upstream_message=text)
        return ModelRefused(kind="tls", upstream_message=text)
    if isinstance(error, boto.ProxyConnectionError):
        return ModelConnectionError(kind="proxy", upstream_message=text)
    if isinstance(error, boto.EndpointConnectionError):
        return ModelConnectionError(kind=_no_connection(error), upstream_message=text)
    if isinstance(error, boto.ConnectionClosedError):
        return ModelConnectionError(kind="connection_closed", upstream_message=text)
    if isinstance(error, (boto.HTTPClientError, OSError)):
        return ModelConnectionError(kind="connection", upstream_message=text)
    if isinstance(error, _CREDENTIAL_ERRORS):
        return ModelCredentialsError(kind="no_credentials", upstream_message=text)
    if isinstance(error, boto.ParamValidationError):
        return ModelRefused(kind="invalid_parameters", upstream_message=_VALUE.sub("value: …", str(error)))
    return ModelError(kind="unknown", upstream_message=f"{type(error).__name__}: {text}")


def _no_connection(error: Exception) -> str:
    chain = list(_chain(error))
    if any(isinstance(one, (http.NameResolutionError, socket.gaierror)) for one in chain):
        return "dns"
    return "connection_refused" if any(isinstance(one, ConnectionRefusedError) for one in chain) else "connection"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those inside it: urllib3 and botocore keep them in a cause, an argument or a keyword."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        yield found
        inside = (found.__cause__, getattr(found, "kwargs", {}).get("error"), *found.args, found.__context__)
        found = next((one for one in inside if isinstance(one, BaseException)), None)
