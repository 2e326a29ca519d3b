"""The kinds of failure that are driven over sockets, and what a person would say that has to come of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Case(NamedTuple):
    """A failure of the first model, and what shall come of it.

    `order` is what the message orders of the local Bedrock; `route` names the way of the first model's requests, where
    that itself is the failure. `tries`: requests with retry on. `after`: whether it can also come after a delta.
    """

    name: str
    line: str
    order: str
    tries: int
    counts: bool
    fallback: bool
    answer: str
    route: str = "local"
    after: bool = False
    scripted: bool = False


def _case(name: str, line: str, order: str, policy: str, answer: str, **more: Any) -> Case:
    """`policy`: how often it is tried, then what holds of `counts` and `fallback`."""
    tries, *holds = policy.split()
    return Case(name, line or name, order, int(tries), "counts" in holds, "fallback" in holds, answer, **more)


_PASSING = "4 counts fallback"
THROTTLED, UNAVAILABLE = "503 upstream_throttled", "502 upstream_unavailable"
TIMEOUT, REFUSED = "504 upstream_timeout", "502 upstream_refused"


def _cases() -> Iterator[Case]:
    for name, policy, answer in (
        ("429 ThrottlingException", _PASSING, THROTTLED),
        ("429 ModelNotReadyException", _PASSING, THROTTLED),
        ("500 InternalServerException", _PASSING, UNAVAILABLE),
        ("503 ServiceUnavailableException", _PASSING, UNAVAILABLE),
        ("408 ModelTimeoutException", _PASSING, TIMEOUT),
        ("424 ModelErrorException", "1 fallback", UNAVAILABLE),
        ("424 ModelStreamErrorException", _PASSING, UNAVAILABLE),
        ("400 ValidationException", "1", REFUSED),
        ("400 ServiceQuotaExceededException", "1 fallback", REFUSED),
        ("403 AccessDeniedException", "1 fallback", REFUSED),
    ):
        yield _case(name, "", f"[[fault={name.split()[1]}]]", policy, answer)
    yield _case("502, a proxy's HTML", "", "[[fault=502]]", _PASSING, UNAVAILABLE)
    yield _case("504, empty", "504", "[[fault=504]]", _PASSING, TIMEOUT)
    yield _case("529, an unknown 5xx", "any other 5xx", "[[fault=529]]", _PASSING, UNAVAILABLE)
    yield _case("404, model no longer served", _NOT_SERVED, "[[fault=404]]", "1 fallback", REFUSED)
    yield _case("401, without a code", _CREDENTIALS, "[[fault=401]]", "1", REFUSED)
    for name in ("ExpiredTokenException", "UnrecognizedClientException"):
        yield _case(f"403 {name}", _CREDENTIALS, f"[[fault={name}]]", "1", REFUSED)
    yield _case("409 ConflictException", _OTHER_4XX, "[[fault=409]]", "1", REFUSED)
    yield _case("418, an unknown 4xx", _OTHER_4XX, "[[fault=418]]", "1", REFUSED)
    for name, route, policy, answer in (
        ("connect timeout", "deaf", _PASSING, TIMEOUT),
        ("connection refused", "closed", _PASSING, UNAVAILABLE),
        ("name not resolved", "unnamed", _PASSING, UNAVAILABLE),
    ):
        yield _case(name, "", "", policy, answer, route=route)
    yield _case("no TLS at the other end", _OTHER_4XX, "", "1", REFUSED, route="plain")
    yield _case("no credentials", _CREDENTIALS, "", "1", REFUSED, route="keyless")
    closed = "connection closed or reset before the answer"
    yield _case("connection reset before the answer", closed, "[[fault=reset]]", _PASSING, UNAVAILABLE)
    yield _case("connection closed before the answer", closed, "[[fault=close]]", _PASSING, UNAVAILABLE)
    timeout = {"policy": "2 counts fallback", "answer": TIMEOUT, "route": "impatient"}
    yield _case("read timeout before the answer", "read timeout", "[[fault=hang]]", **timeout)
    yield _case("read timeout in the stream", "read timeout", "[[fault=hang_stream]]", **timeout, after=True)
    for name, line, fault, policy, answer in (
        ("connection reset in the stream", _BROKEN, "reset", _PASSING, UNAVAILABLE),
        ("connection closed in the stream", _BROKEN, "cut", _PASSING, UNAVAILABLE),
        ("bad checksum", "", "crc", _PASSING, UNAVAILABLE),
        ("no messageStop", "", "no_stop", _PASSING, UNAVAILABLE),
        ("half a frame, then a clean end", "no messageStop", "cut_chunked", _PASSING, UNAVAILABLE),
        ("an event that is not JSON", "any other broken stream", "bad_json", _PASSING, UNAVAILABLE),
        ("throttlingException in the stream", "429 ThrottlingException", _EXCEPTION, _PASSING, THROTTLED),
        ("internalServerException in the stream", "500 InternalServerException", _EXCEPTION, _PASSING, UNAVAILABLE),
        (
            "serviceUnavailableException in the stream",
            "503 ServiceUnavailableException",
            _EXCEPTION,
            _PASSING,
            UNAVAILABLE,
        ),
        (
            "modelStreamErrorException in the stream",
            "424 ModelStreamErrorException",
            _EXCEPTION,
            _PASSING,
            UNAVAILABLE,
        ),
        ("validationException in the stream", "400 ValidationException", _EXCEPTION, "1", REFUSED),
        ("modelTimeoutException in the stream", "unknown exception in the stream", _EXCEPTION, _PASSING, UNAVAILABLE),
        ("novelException in the stream", "unknown exception in the stream", _EXCEPTION, _PASSING, UNAVAILABLE),
    ):
        order = f"[[fault={fault.format(name.split()[0])}]]"
        yield _case(name, line, order, policy, answer, after=True)
    malformed = "malformed_model_output, malformed_tool_use"
    yield _case(malformed, "", "[[stop=malformed_model_output]]", "1 fallback", UNAVAILABLE, after=True, scripted=True)


_NOT_SERVED = "model not known or no longer served"
_CREDENTIALS = "credentials expired, invalid or missing"
_OTHER_4XX = "any other 4xx, TLS, invalid parameters"
_BROKEN = "connection closed or reset in the stream"
_EXCEPTION = "exception:{}"
CASES = tuple(_cases())
_FAILURES = "tests/rom_core/bedrock/test_classify.py"
_TRANSPORT = f"{_FAILURES}::test_a_transport_failure_has_its_class_and_kind"
# Lines of the table that no peer here brings about, and the test that does.
UNDRIVEN: Mapping[str, str] = {
    "429, the quota of a day is used up": f"{_FAILURES}::test_a_quota_of_the_day_is_no_moments_throttling",
    "any other 429": f"{_FAILURES}::test_an_answer_is_classed_by_its_status_and_by_what_is_documented",
    "read timeout, early to leave the fallback its time": (
        "tests/plugins/test_fallback_call.py::test_a_model_that_hangs_leaves_the_next_one_its_time"
    ),
    "any other timeout": "tests/rom_core/resilience/test_failure_lines.py::test_the_most_particular_line_holds",
    "any other broken connection": _TRANSPORT,
    "400, the conversation is longer than the context": (
        f"{_FAILURES}::test_a_conversation_that_does_not_fit_is_told_apart"
    ),
    "open circuit, nothing sent": "tests/plugins/test_breaker.py::test_without_retry_every_failed_request_counts",
    "too many given-up requests, nothing sent": (
        "tests/rom_core/bedrock/test_wire_waits_headers.py::test_when_given_up_connects_fill_the_pool_the_next_is_refused"
    ),
    "unknown": _TRANSPORT,
}
