"""What can go wrong between us and Bedrock, and which of our errors it is.

botocore, its event stream and urllib3 raise some thirty different exceptions for one request; in a stream even ones
that are no botocore exception at all. Everything becomes a `ModelError`, decided by HTTP status where there is one and
by the error's name where there is none (exception frames of a stream have no status).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import botocore.exceptions as boto
import urllib3.exceptions as http
from botocore.eventstream import ParserError

from rom_core.clock import Clock
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

_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "InvalidClientTokenId",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "AccessDeniedException",
}
# Names as they appear in a stream, first letter lower case, and the status the same failure has outside of one.
_IN_STREAM = {
    "throttlingException": 429,
    "modelNotReadyException": 429,
    "serviceUnavailableException": 503,
    "internalServerException": 500,
    "modelTimeoutException": 408,
    "modelStreamErrorException": 424,
    "modelErrorException": 424,
    "validationException": 400,
    "accessDeniedException": 403,
    "resourceNotFoundException": 404,
}
_NOT_SERVED_TEXTS = (
    "end of its life",
    "model identifier is invalid",
    "on-demand throughput isn",
    "legacy",
)
EXCEPTIONS: tuple[type[Exception], ...] = (
    boto.BotoCoreError,
    boto.ClientError,
    http.HTTPError,
    ParserError,
    OSError,
)


def classify(error: Exception, clock: Clock) -> ModelError:
    """The `ModelError` that stands for an exception from boto3 or from iterating its stream."""
    if isinstance(error, boto.EventStreamError):
        return _in_stream(error)
    if isinstance(error, boto.ClientError):
        return _response(error, clock)
    if isinstance(error, ParserError):
        return ModelStreamTruncated(kind="bad_checksum", upstream_message=str(error))
    return _transport(error)


def _transport(error: Exception) -> ModelError:
    text = str(error)
    if isinstance(error, (boto.ReadTimeoutError, http.ReadTimeoutError)):
        return ModelTimeout(kind="read_timeout", upstream_message=text)
    if isinstance(error, (boto.ConnectTimeoutError, http.ConnectTimeoutError)):
        return ModelTimeout(kind="connect_timeout", upstream_message=text)
    if isinstance(error, (boto.SSLError, http.SSLError)):
        return ModelRefused(kind="tls", upstream_message=text)
    if isinstance(error, boto.ProxyConnectionError):
        return ModelConnectionError(kind="proxy", upstream_message=text)
    if isinstance(error, boto.EndpointConnectionError):
        dns = any(word in text for word in ("resolve", "Name or service", "nodename", "getaddrinfo"))
        return ModelConnectionError(kind="dns" if dns else "connection_refused", upstream_message=text)
    if isinstance(error, (boto.ConnectionClosedError, http.ProtocolError)):
        return ModelConnectionError(kind="connection_reset", upstream_message=text)
    if isinstance(error, (boto.HTTPClientError, http.HTTPError)):
        return ModelConnectionError(kind="connection", upstream_message=text)
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return ModelCredentialsError(kind="no_credentials", upstream_message=text)
    if isinstance(error, boto.ParamValidationError):
        return ModelRefused(kind="invalid_parameters", upstream_message=text)
    return ModelError(kind="unknown", upstream_message=f"{type(error).__name__}: {text}")


def _response(error: Any, clock: Clock) -> ModelError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    meta = error.response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode") or 0)
    return _of_status(
        status,
        code,
        message,
        aws_request_id=meta.get("RequestId"),
        retry_after=_retry_after(meta.get("HTTPHeaders", {}).get("retry-after"), clock),
    )


def _in_stream(error: Any) -> ModelError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = _IN_STREAM.get(code[:1].lower() + code[1:], 0)
    if not status:
        return ModelError(kind=f"stream_exception:{code or 'unnamed'}", aws_code=code or None, upstream_message=message)
    return _of_status(status, code, message)


def _of_status(
    status: int,
    code: str,
    message: str,
    *,
    aws_request_id: str | None = None,
    retry_after: float | None = None,
) -> ModelError:
    kind: type[ModelError]
    if status == 429:
        kind = ModelThrottled
    elif status == 408:
        kind = ModelTimeout
    elif status >= 500:
        kind = ModelTimeout if status == 504 else ModelServerError
    elif code in _CREDENTIALS and not _names_model(message):
        kind = ModelCredentialsError
    elif status == 404 or (status in (400, 403) and _names_model(message)):
        kind = ModelNotServed
    elif status >= 400:
        kind = ModelRefused
    else:
        kind = ModelError
    return kind(
        kind=code or str(status),
        http_status=status or None,
        aws_code=code or None,
        aws_request_id=aws_request_id,
        retry_after=retry_after,
        upstream_message=message,
    )


def _names_model(message: str) -> bool:
    return any(text in message.lower() for text in _NOT_SERVED_TEXTS)


def _retry_after(header: str | None, clock: Clock) -> float | None:
    """Seconds from a Retry-After header, which holds either seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - clock.time()
        except (TypeError, ValueError):
            return None
    return seconds if 0 <= seconds < float("inf") else None
