"""One table: what every kind of failure of a model call means for retry, breaker, fallback and the HTTP answer.

`bedrock.failures` says which error an exception is; this says what is done about it. The retry, breaker and fallback
plugins ask here, so that they cannot disagree. docs/resilience.md shows the same table as measured over sockets.

The rule behind it: 429, 5xx, timeouts and broken connections are worth another try and speak against the model; a 4xx
says something about this request, this account or this model's answer to it, and asking the same again changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rom_core.errors import (
    CircuitOpen,
    ModelConnectionError,
    ModelCredentialsError,
    ModelCutShort,
    ModelError,
    ModelMalformedReply,
    ModelNotServed,
    ModelRefused,
    ModelServerError,
    ModelStreamTruncated,
    ModelThrottled,
    ModelTimeout,
    RomError,
    WireSaturated,
)

if TYPE_CHECKING:
    from rom_core.turn import Turn

# Kept for the models that may take over: this share of the time, and not more than so many seconds.
_RESERVE_SHARE = 0.25
_RESERVE_SECONDS = 30.0
# From this share of a whole turn on, silence speaks against a model, whatever ended our wait.
_TELLING_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Failure:
    """One line of the table.

    name: what people call it. error: the class it has. kinds: the `ModelError.kind`s it is for (first letter in either
    case: a stream writes names so), none = every kind of that class that no line above names. retry: whether the same
    model is asked again. counts: whether it speaks against the model's health (the breaker). fallback: whether another
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
    _transient("429 ThrottlingException", ModelThrottled, "ThrottlingException"),
    _transient("429 ModelNotReadyException", ModelThrottled, "ModelNotReadyException"),
    _transient("any other 429", ModelThrottled),
    _transient("500 InternalServerException", ModelServerError, "InternalServerException"),
    _transient("502, a proxy's HTML", ModelServerError, "Http_502"),
    _transient("503 ServiceUnavailableException", ModelServerError, "ServiceUnavailableException"),
    Failure("read timeout, early to leave the fallback its time", ModelCutShort, fallback="yes"),
    _transient("504", ModelTimeout, "Http_504"),
    _transient("unknown exception in the stream", ModelServerError, "Unnamed_exception"),
    _transient("any other 5xx", ModelServerError),
    _transient("408 ModelTimeoutException", ModelTimeout, "ModelTimeoutException"),
    _transient("connect timeout", ModelTimeout, "Connect_timeout"),
    _transient("read timeout", ModelTimeout, "Read_timeout", retry="once"),
    _transient("any other timeout", ModelTimeout),
    _transient("connection refused", ModelConnectionError, "Connection_refused"),
    _transient("connection closed or reset before the answer", ModelConnectionError, "Connection_closed"),
    _transient("name not resolved", ModelConnectionError, "Dns"),
    _transient("any other broken connection", ModelConnectionError),
    _transient("bad checksum", ModelStreamTruncated, "Bad_checksum"),
    _transient("connection closed or reset in the stream", ModelStreamTruncated, "Stream_broken"),
    _transient("no messageStop", ModelStreamTruncated, "No_message_stop"),
    _transient("any other broken stream", ModelStreamTruncated),
    Failure("model not known or no longer served", ModelNotServed, fallback="remembered"),
    Failure("403 AccessDeniedException", ModelRefused, ("AccessDeniedException",), fallback="yes"),
    Failure("credentials expired, invalid or missing", ModelCredentialsError),
    Failure("424 ModelErrorException", ModelError, ("ModelErrorException",), fallback="yes"),
    Failure("424 ModelStreamErrorException", ModelError, ("ModelStreamErrorException",), fallback="yes"),
    Failure("400 ServiceQuotaExceededException", ModelRefused, ("ServiceQuotaExceededException",), fallback="yes"),
    Failure("400 ValidationException", ModelRefused, ("ValidationException",)),
    Failure("any other 4xx, TLS, invalid parameters", ModelRefused),
    Failure("malformed_model_output, malformed_tool_use", ModelMalformedReply, fallback="yes"),
    Failure("open circuit, nothing sent", CircuitOpen, fallback="yes"),
    Failure("too many given-up requests, nothing sent", WireSaturated),
    Failure("unknown", ModelError, fallback="yes"),
)
"""The first line that covers an error holds. The last one covers every ModelError."""


def failure_of(error: RomError) -> Failure:
    """The line of the table for `error`. Raises TypeError for what is no ModelError."""
    for failure in FAILURES:
        if failure.covers(error):
            return failure
    raise TypeError(f"{type(error).__name__} is no failure of a model")


def models_after(turn: Turn) -> tuple[str, ...]:
    """The aliases that may still take over from the turn's model, in order.

    All of MODEL_FALLBACKS, or what comes after the turn's model if it is among them: there is no way back in a turn.
    """
    chain: tuple[str, ...] = tuple(turn.settings.MODEL_FALLBACKS)
    return chain[chain.index(turn.model) + 1 :] if turn.model in chain else chain


def standbys(turn: Turn) -> tuple[str, ...]:
    """`models_after` if the fallback is on: the aliases for which time and requests are kept."""
    return models_after(turn) if getattr(turn.settings, "FALLBACK_ENABLED", False) else ()


def reserve(seconds: float) -> float:
    """Of so many seconds, those that are kept for the models that may take over."""
    return min(_RESERVE_SECONDS, _RESERVE_SHARE * max(0.0, seconds))


def telling_silence(turn: Turn) -> float:
    """Seconds of silence from which on the end of our own time speaks against the model: half of TURN_DEADLINE_SECONDS.

    A turn can wait no longer than its deadline, so a model that hangs would otherwise never count where
    BEDROCK_READ_TIMEOUT_SECONDS is long. Less than that says nothing: a late call of a turn has little time left.
    Infinite if the client shortened the deadline: its hurry must not take a model from everybody.
    """
    seconds: float = turn.settings.TURN_DEADLINE_SECONDS
    patience = turn.request.client_timeout
    return math.inf if patience is not None and patience < seconds else _TELLING_SHARE * seconds


def _capital(kind: str) -> str:
    return kind[:1].upper() + kind[1:]
