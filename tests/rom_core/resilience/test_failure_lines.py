"""The table of failures: every error has its line, and the lines follow the rules."""

from __future__ import annotations

import pytest

from rom_core.errors import (
    CircuitOpen,
    ModelConnectionError,
    ModelContextTooLong,
    ModelCredentialsError,
    ModelCutShort,
    ModelError,
    ModelNotServed,
    ModelQuotaExhausted,
    ModelRefused,
    ModelServerError,
    ModelStreamTruncated,
    ModelThrottled,
    ModelTimeout,
    QueueFull,
    WireSaturated,
)
from rom_core.resilience.verdicts import FAILURES, Failure, failure_of


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ModelThrottled("", kind="ThrottlingException"), "429 ThrottlingException"),
        (ModelThrottled("", kind="throttlingException"), "429 ThrottlingException"),
        (ModelQuotaExhausted("", kind="ThrottlingException"), "429, the quota of a day is used up"),
        (ModelStreamTruncated("", kind="modelStreamErrorException"), "424 ModelStreamErrorException"),
        (ModelThrottled("", kind="http_429"), "any other 429"),
        (ModelServerError("", kind="http_502"), "502, a proxy's HTML"),
        (ModelServerError("", kind="http_599"), "any other 5xx"),
        (ModelTimeout("", kind="read_timeout"), "read timeout"),
        (ModelCutShort("", kind="read_timeout"), "read timeout, early to leave the fallback its time"),
        (ModelTimeout("", kind="new_kind"), "any other timeout"),
        (ModelConnectionError("", kind="proxy"), "any other broken connection"),
        (ModelStreamTruncated("", kind="bad_event"), "any other broken stream"),
        (
            ModelContextTooLong("", kind="ValidationException"),
            "400, the conversation is longer than the context",
        ),
        (ModelNotServed("", kind="ValidationException"), "model not known or no longer served"),
        (ModelCredentialsError("", kind="AccessDeniedException"), "403 AccessDeniedException"),
        (ModelCredentialsError("", kind="no_credentials"), "credentials expired, invalid or missing"),
        (ModelRefused("", kind="tls"), "any other 4xx, TLS, invalid parameters"),
        (CircuitOpen("", kind="circuit_open"), "open circuit, nothing sent"),
        (WireSaturated("", kind="wire_saturated"), "too many given-up requests, nothing sent"),
        (ModelError("", kind="http_424"), "unknown"),
    ],
)
def test_the_most_particular_line_holds(error: ModelError, name: str) -> None:
    """By class and kind, whichever case its first letter has; what no line names goes to its class's last line."""
    assert failure_of(error).name == name


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_every_line_can_be_reached_and_follows_the_rule(failure: Failure) -> None:
    """No line stands behind one that covers all of it. What is retried counts and goes to the fallback, and only that
    counts; it is exactly what the error itself calls retryable."""
    error = failure.error("", kind=failure.kinds[0] if failure.kinds else "something else")
    assert failure_of(error) is failure
    assert (failure.retry != "no") == failure.counts == error.retryable
    assert failure.fallback != "no" or not failure.counts
    assert failure.answer == f"{error.status} {error.code}"


def test_other_errors_are_no_failures_of_a_model() -> None:
    """A full queue, say, has no line."""
    with pytest.raises(TypeError, match="QueueFull"):
        failure_of(QueueFull())
