"""What is wrong with a request, and why one is refused that is right."""

from __future__ import annotations

from rom_core.errors.base import RomError

# -- the client's own ------------------------------------------------------------------------------------------------


class MalformedRequest(RomError):
    """The body is not what its content type says it is."""

    code, status, title = "malformed_request", 400, "Malformed request"
    should_retry = False


class Unauthorized(RomError):
    """No valid API key or token. `fault` says what was wrong: "missing" or "wrong"."""

    code, status, title = "unauthorized", 401, "Unauthorized"
    should_retry = False
    fault = "missing"


class AdminClosed(RomError):
    """No ADMIN_TOKEN is configured, so there is nothing that could open the admin routes."""

    code, status, title = "admin_closed", 403, "The admin routes are closed"
    should_retry = False


class Forbidden(RomError):
    """Whoever asks is known and may not do this."""

    code, status, title = "forbidden", 403, "Forbidden"
    should_retry = False


class ForeignHost(Forbidden):
    """A server without API keys was addressed under a name that is not its own, as a page of strangers would."""

    code, title = "foreign_host", "Not under this name"


class TooManyAttempts(RomError):
    """Too many wrong keys or tokens lately, from this address or in all: nothing is compared for a while."""

    code, status, title = "too_many_attempts", 429, "Too many failed attempts"
    should_retry = False
    fault = "throttled"


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


class ConversationBusy(RomError):
    """Another turn of this conversation runs."""

    code, status, title = "conversation_busy", 409, "The conversation is busy"
    should_retry = False


class ConversationTooLong(RomError):
    """A kept conversation is too long for the model, and its oldest turns are not, or cannot be, summarised."""

    code, status, title = "conversation_too_long", 422, "The conversation is too long"
    should_retry = False


class RunNotFound(NotFound):
    """No such run of this key and user: it was never there, was erased, or is somebody else's."""

    code, title = "run_not_found", "No such run"


class RunInterrupted(RomError):
    """Its instance ended after a tool had run that must not run twice: the run is not begun again."""

    code, status, title = "run_interrupted", 503, "The run was interrupted"
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
    """This instance takes no new turns: it shuts down, or an administrator has drained it."""

    code, title = "draining", "Takes no new turns"


class StoreUnavailable(RomError):
    """The store cannot be read or written, so what was asked for would not survive a restart."""

    code, status, title = "store_unavailable", 503, "The store is unavailable"
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
