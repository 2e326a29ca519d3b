"""The model's side of the wire: one request to it failed, or was not sent."""

from __future__ import annotations

from typing import Any, ClassVar

from rom_core.errors.base import RomError


class ModelError(RomError):
    """One request to the model failed.

    Attributes: `kind` (a stable short name of the failure), `http_status`, `aws_code`, `aws_request_id` as Bedrock
    sent them (None where nothing came), `retry_after` in seconds, `retryable` in the sense of "429, 5xx, timeouts and
    broken connections", `emitted` once text of this attempt has been handed to the client, `upstream_message` for logs,
    `reason`: as much of it as any client may read.
    """

    code, status, title = "upstream_unavailable", 502, "The model is unavailable"
    outcome: ClassVar[str] = "server_error"

    def __init__(
        self,
        detail: str = "",
        *,
        kind: str = "unknown",
        http_status: int | None = None,
        aws_code: str | None = None,
        aws_request_id: str | None = None,
        retry_after: float | None = None,
        upstream_message: str = "",
        reason: str = "",
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.kind = kind
        self.http_status = http_status
        self.aws_code = aws_code
        self.aws_request_id = aws_request_id
        self.upstream_message = upstream_message
        self.reason = reason
        self.emitted = False


class ModelThrottled(ModelError):
    """429: too many requests or tokens, or the model is not ready."""

    code, status, title = "upstream_throttled", 503, "The model is throttling requests"
    outcome = "throttled"
    retryable = True


class ModelQuotaExhausted(ModelThrottled):
    """429 for a quota of a day: waiting for moments does not help, another model may.

    `retry_after` is 60 s, the most that an answer may say, where Bedrock said nothing.
    """

    retryable = False
    should_retry = False

    def __init__(self, detail: str = "", *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(detail, retry_after=60.0 if retry_after is None else retry_after, **details)


class ModelServerError(ModelError):
    """5xx from the service or from something in front of it."""

    outcome = "server_error"
    retryable = True


class ModelTimeout(ModelError):
    """No connection, no answer, or silence in the middle of one for too long."""

    code, status, title = "upstream_timeout", 504, "The model did not answer in time"
    outcome = "timeout"
    retryable = True


class ModelCutShort(ModelTimeout):
    """Silence that we ended early, to leave another model its time; our own haste says nothing about this model."""

    retryable = False


class ModelConnectionError(ModelError):
    """The connection was refused, reset or broken, or the name did not resolve."""

    outcome = "connection"
    retryable = True


class ModelStreamTruncated(ModelError):
    """The stream ended without `messageStop`, or its frames do not check: never an answer."""

    outcome = "truncated"
    retryable = True


class ModelMalformedReply(ModelError):
    """The model itself reports that it produced unusable output (malformed_model_output, malformed_tool_use)."""

    outcome = "server_error"


class ModelRefused(ModelError):
    """4xx: Bedrock will not serve this request as it is."""

    code, status, title = "upstream_refused", 502, "The model service refused the request"
    outcome = "refused"
    should_retry = False


class InvalidOutput(RomError):
    """The model never answered in the form that was asked for; what it answered instead is not handed out."""

    code, status, title = "invalid_output", 502, "The model did not answer in the form that was asked for"
    should_retry = False


class CircuitOpen(ModelError):
    """Refused before the wire: this model failed too often lately. Neither retried nor counted as its failure."""

    code, status, title = "circuit_open", 503, "The model is given time to recover"
    outcome = "refused"
    should_retry = False


class WireSaturated(ModelError):
    """Too many requests to the model have been given up and not come back; nothing was sent."""

    code, status, title = "overloaded", 503, "Overloaded"
    outcome = "refused"


class ModelNotServed(ModelRefused):
    """The service does not know this model, or no longer serves it."""


class ModelCredentialsError(ModelRefused):
    """The credentials are missing, expired, or lack the permission."""


class ModelContextTooLong(ModelRefused):
    """The conversation is longer than the model's context: less of it would be served."""

    code, status, title = "context_length_exceeded", 422, "The conversation is too long for the model"
