"""One table: what every kind of failure of a model call means for retry, breaker, fallback and the HTTP answer.

`bedrock.classify` says which error an exception is; this says what is done about it. The retry, breaker and fallback
plugins ask here, so that they cannot disagree. docs/resilience.md shows the same table as measured over sockets.

The rule behind it: 429, 5xx, timeouts and broken connections are worth another try and count for the breaker; a 4xx
says something about this request, this account or this model's answer to it, and asking the same again changes nothing.
Two exceptions, by what AWS documents of them: ModelStreamErrorException ("A streaming error occurred. Retry your
request.") is retried although it is a 424, and a quota of a day is not although it is a 429.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rom_core import errors
from rom_core.errors import ModelError, RomError


@dataclass(frozen=True, slots=True)
class Failure:
    """One line of the table.

    name: what people call it. error: the class it has. kinds: the `ModelError.kind`s it is for (first letter in either
    case: a stream writes names so), none = every kind of that class that no line above names. retry: whether the same
    model is asked again. counts: whether it is a failure of the model (the breaker). fallback: whether another
    model may do better; "remembered" = this model is also passed over for a while. The HTTP answer is the class's own.
    """

    name: str
    error: type[ModelError]
    kinds: tuple[str, ...] = ()
    retry: Literal["no", "once", "yes"] = "no"
    counts: bool = False
    fallback: Literal["no", "yes", "remembered"] = "no"

    @property
    def answer(self) -> str:
        """The HTTP answer it becomes if nothing helps, as "504 upstream_timeout"."""
        return f"{self.error.status} {self.error.code}"

    def covers(self, error: RomError) -> bool:
        """Whether this line speaks of `error`."""
        if not isinstance(error, self.error):
            return False
        return not self.kinds or _capital(error.kind) in self.kinds


def _transient(name: str, error: type[ModelError], *kinds: str, retry: Literal["once", "yes"] = "yes") -> Failure:
    return Failure(name, error, kinds, retry=retry, counts=True, fallback="yes")


FAILURES: tuple[Failure, ...] = (
    Failure("429, the quota of a day is used up", errors.ModelQuotaExhausted, fallback="remembered"),
    _transient("429 ThrottlingException", errors.ModelThrottled, "ThrottlingException"),
    _transient("429 ModelNotReadyException", errors.ModelThrottled, "ModelNotReadyException"),
    _transient("any other 429", errors.ModelThrottled),
    _transient("500 InternalServerException", errors.ModelServerError, "InternalServerException"),
    _transient("502, a proxy's HTML", errors.ModelServerError, "Http_502"),
    _transient("503 ServiceUnavailableException", errors.ModelServerError, "ServiceUnavailableException"),
    Failure("read timeout, early to leave the fallback its time", errors.ModelCutShort, fallback="yes"),
    _transient("504", errors.ModelTimeout, "Http_504"),
    _transient("unknown exception in the stream", errors.ModelServerError, "Unnamed_exception"),
    _transient("any other 5xx", errors.ModelServerError),
    _transient("408 ModelTimeoutException", errors.ModelTimeout, "ModelTimeoutException"),
    _transient("connect timeout", errors.ModelTimeout, "Connect_timeout"),
    _transient("read timeout", errors.ModelTimeout, "Read_timeout", retry="once"),
    _transient("any other timeout", errors.ModelTimeout),
    _transient("connection refused", errors.ModelConnectionError, "Connection_refused"),
    _transient("connection closed or reset before the answer", errors.ModelConnectionError, "Connection_closed"),
    _transient("name not resolved", errors.ModelConnectionError, "Dns"),
    _transient("any other broken connection", errors.ModelConnectionError),
    _transient("424 ModelStreamErrorException", errors.ModelStreamTruncated, "ModelStreamErrorException"),
    _transient("bad checksum", errors.ModelStreamTruncated, "Bad_checksum"),
    _transient("connection closed or reset in the stream", errors.ModelStreamTruncated, "Stream_broken"),
    _transient("no messageStop", errors.ModelStreamTruncated, "No_message_stop"),
    _transient("any other broken stream", errors.ModelStreamTruncated),
    Failure("400, the conversation is longer than the context", errors.ModelContextTooLong),
    Failure("model not known or no longer served", errors.ModelNotServed, fallback="remembered"),
    Failure("403 AccessDeniedException", errors.ModelRefused, ("AccessDeniedException",), fallback="yes"),
    Failure("credentials expired, invalid or missing", errors.ModelCredentialsError),
    Failure("424 ModelErrorException", ModelError, ("ModelErrorException",), fallback="yes"),
    Failure(
        "400 ServiceQuotaExceededException", errors.ModelRefused, ("ServiceQuotaExceededException",), fallback="yes"
    ),
    Failure("400 ValidationException", errors.ModelRefused, ("ValidationException",)),
    Failure("any other 4xx, TLS, invalid parameters", errors.ModelRefused),
    Failure("malformed_model_output, malformed_tool_use", errors.ModelMalformedReply, fallback="yes"),
    Failure("open circuit, nothing sent", errors.CircuitOpen, fallback="yes"),
    Failure("too many given-up requests, nothing sent", errors.WireSaturated),
    Failure("unknown", ModelError, fallback="yes"),
)
"""The first line that covers an error holds. The last one covers every ModelError."""


def failure_of(error: RomError) -> Failure:
    """The line of the table for `error`. Raises TypeError for what is no ModelError."""
    for failure in FAILURES:
        if failure.covers(error):
            return failure
    raise TypeError(f"{type(error).__name__} is no failure of a model")


def _capital(kind: str) -> str:
    return kind[:1].upper() + kind[1:]
