"""Every error of ROM Agent, one family: what it is called, which HTTP answer it becomes, what it carries.

The codes and statuses are part of the HTTP contract (docs/api.md). `detail` is written for the client and never
holds content, keys or another system's message; what an operator needs besides is in the other attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar


class RomError(Exception):
    """Base of all errors that have a defined HTTP answer.

    `retry_after` is in seconds. `should_retry` tells official clients whether to try again (`x-should-retry`);
    None leaves it to them. `members` are added to the body of the answer (RFC 9457, 3.2: extension members).
    """

    code: ClassVar[str] = "internal_error"
    status: int = 500
    title: str = "Internal error"
    retryable: bool = False
    should_retry: bool | None = None
    members: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, detail: str = "", *, retry_after: float | None = None, param: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.param = param


def family(base: type[RomError]) -> Iterator[type[RomError]]:
    """`base` and every class below it."""
    yield base
    for below in base.__subclasses__():
        yield from family(below)


class ConfigurationError(RomError):
    """The process cannot start like this; the text says what to change."""

    title = "Invalid configuration"


class PluginError(ConfigurationError):
    """A plugin cannot be used: it does not import, or it breaks the contract of hookspecs.py."""

    def __init__(self, plugin: str, reason: str) -> None:
        super().__init__(f"plugin {plugin!r}: {reason}")
        self.plugin = plugin
        self.reason = reason


class InternalError(RomError):
    """Something failed that nobody foresaw; the log has the cause under the same trace id."""

    should_retry = False


# -- the client's own ------------------------------------------------------------------------------------------------


class MalformedRequest(RomError):
    """The body is not what its content type says it is."""

    code, status, title = "malformed_request", 400, "Malformed request"
    should_retry = False


class Unauthorized(RomError):
    """No valid API key."""

    code, status, title = "unauthorized", 401, "Unauthorized"
    should_retry = False


class AdminClosed(RomError):
    """No ADMIN_TOKEN is configured, so there is nothing that could open the admin routes."""

    code, status, title = "admin_closed", 403, "The admin routes are closed"
    should_retry = False


class Forbidden(RomError):
    """Whoever asks is known and may not do this."""

    code, status, title = "forbidden", 403, "Forbidden"
    should_retry = False


class TooManyAttempts(RomError):
    """Too many wrong keys or tokens lately, from this address or in all: nothing is compared for a while."""

    code, status, title = "too_many_attempts", 429, "Too many failed attempts"
    should_retry = False


class NotFound(RomError):
    """Nothing is served under this path."""

    code, status, title = "not_found", 404, "Not found"
    should_retry = False


class MethodNotAllowed(RomError):
    """The path exists, the method does not."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"
    should_retry = False


# Official clients repeat every 5xx that does not tell them otherwise; these two mean that nobody will ever do it.
_FOR_GOOD = (501, 505)


class HttpError(RomError):
    """A route answers with a status that has no code of its own here; `status` is the instance's."""

    code, title = "http_error", "HTTP error"

    def __init__(self, detail: str, status: int, *, retry_after: float | None = None) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.status = status
        if status in _FOR_GOOD:
            self.should_retry = False


class PluginDisabled(RomError):
    """The route belongs to a plugin that is switched off."""

    code, status, title = "plugin_disabled", 404, "Plugin disabled"
    should_retry = False


class PayloadTooLarge(RomError):
    """The body is larger than MAX_BODY_BYTES."""

    code, status, title = "payload_too_large", 413, "Payload too large"
    should_retry = False


class UnsupportedMediaType(RomError):
    """The body is of a kind that this route does not read."""

    code, status, title = "unsupported_media_type", 415, "Unsupported media type"
    should_retry = False


class InvalidRequest(RomError):
    """Well-formed, but a field has a value that cannot be served; `param` names the field."""

    code, status, title = "invalid_request", 422, "Invalid request"
    should_retry = False


class VersionConflict(RomError):
    """The settings are at another version than the request says (If-Match); `version` in the answer is the real one."""

    code, status, title = "version_conflict", 412, "The settings have changed meanwhile"
    should_retry = False

    def __init__(self, detail: str, version: int) -> None:
        super().__init__(detail)
        self.members = {"version": version}


class CanaryConflict(RomError):
    """The canary rollout is not where this action would make sense; the text says where it is."""

    code, status, title = "canary_conflict", 409, "Not now"
    should_retry = False


class UnknownModel(InvalidRequest):
    """The model alias is not in the MODELS table."""

    code, title = "unknown_model", "Unknown model"


# -- our own refusals ------------------------------------------------------------------------------------------------


class Rejected(RomError):
    """Refused before any work was done for it; trying again later is right."""

    code, status, title = "overloaded", 503, "Overloaded"
    should_retry = True


class Overloaded(Rejected):
    """The core's own admission is full: more turns would leave no threads for health and admin."""


class QueueFull(Rejected):
    """Every slot and every place in the queue is taken."""

    code, title = "queue_full", "The queue is full"


class QueueTimeout(Rejected):
    """No slot came free within QUEUE_TIMEOUT_SECONDS."""

    code, title = "queue_timeout", "Waited too long in the queue"


class MemoryPressure(Rejected):
    """Too little memory is left to take another turn."""

    code, title = "memory_pressure", "Too little memory is left"


class Draining(Rejected):
    """The server is shutting down."""

    code, title = "draining", "Shutting down"


class StoreUnavailable(RomError):
    """The store of overrides cannot be read or written, so what was asked for would not survive a restart."""

    code, status, title = "store_unavailable", 503, "The store of overrides is unavailable"
    should_retry = False

    def __init__(self, detail: str = "", *, retry_after: float | None = 5, param: str | None = None) -> None:
        super().__init__(detail, retry_after=retry_after, param=param)


class BedrockDisabled(RomError):
    """The kill switch BEDROCK_ENABLED is off."""

    code, status, title = "bedrock_disabled", 503, "Bedrock is switched off"
    should_retry = False


class TurnCancelled(RomError):
    """The client went away; nobody reads the answer (499 is nginx's number for it and goes to logs only)."""

    code, status, title = "cancelled", 499, "Client closed the connection"
    should_retry = False


class DeadlineExceeded(RomError):
    """The turn used up its time, counted from acceptance."""

    code, status, title = "deadline_exceeded", 504, "Deadline exceeded"
    should_retry = False


# -- the model's side of the wire ------------------------------------------------------------------------------------


class ModelError(RomError):
    """One request to the model failed.

    Attributes: `kind` (a stable short name of the failure), `http_status`, `aws_code`, `aws_request_id` as Bedrock
    sent them (None where nothing came), `retry_after` in seconds, `retryable` in the sense of "429, 5xx, timeouts and
    broken connections", `emitted` once text of this attempt has been handed to the client, `upstream_message` for logs.
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
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.kind = kind
        self.http_status = http_status
        self.aws_code = aws_code
        self.aws_request_id = aws_request_id
        self.upstream_message = upstream_message
        self.emitted = False


class ModelThrottled(ModelError):
    """429: too many requests or tokens, or the model is not ready."""

    code, status, title = "upstream_throttled", 503, "The model is throttling requests"
    outcome = "throttled"
    retryable = True


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
