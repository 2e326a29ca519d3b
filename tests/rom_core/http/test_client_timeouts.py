"""A client's own patience, as the official clients state it in headers."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.testing
import pytest
from support import make_runtime

from rom_core.errors import DeadlineExceeded
from rom_core.http.app import create_app
from rom_core.http.client_timeouts import with_client_timeouts
from rom_core.turn_values import ChatRequest


def stated(*, stream: bool = False, **headers: str) -> tuple[float | None, int]:
    """What a request with these headers says: seconds, retries."""
    names = {
        "read_timeout": "x-stainless-read-timeout",
        "timeout": "x-stainless-timeout",
        "retry_count": "x-stainless-retry-count",
    }
    environ = falcon.testing.create_environ(headers={names[name]: value for name, value in headers.items()})
    request = with_client_timeouts(ChatRequest((), "conv", stream=stream), falcon.Request(environ))
    return request.client_timeout, request.client_retries


def test_the_timeout_less_the_answers_way() -> None:
    """A twentieth, at most a second, is kept for the answer to arrive in time."""
    assert stated(read_timeout="600") == (599.0, 0)
    assert stated(read_timeout="10.0") == (9.5, 0)


def test_the_timeout_of_a_client_for_javascript() -> None:
    """It states one for the whole answer under another name; a client that states both means the silence."""
    assert stated(timeout="600") == (599.0, 0)
    assert stated(timeout="600", read_timeout="20") == (19.0, 0)
    assert stated(timeout="600", stream=True) == (None, 0)
    assert stated(timeout="NOT_GIVEN") == (None, 0)


def test_a_read_timeout_does_not_bound_a_stream() -> None:
    """It bounds silence, and a stream is not silent: heartbeats."""
    assert stated(stream=True, read_timeout="10", retry_count="2") == (None, 2)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "None", "NOT_GIVEN", "1e999", "ten"])
def test_no_sensible_time_says_nothing(text: str) -> None:
    """The settings hold then."""
    assert stated(read_timeout=text) == (None, 0)


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("3", 3), ("-1", 0), ("x", 0), ("1.5", 0), ("²", 0), ("9" * 5000, 0), ("999", 100)]
)
def test_the_count_of_retries(text: str, count: int) -> None:
    """A small whole number, or none."""
    assert stated(retry_count=text)[1] == count


def test_it_shortens_the_deadline_of_the_turn() -> None:
    """Through the route: the turn ends with its client's patience, never later than the settings allow."""
    deadlines: list[float] = []

    def look(attempt: Any, request: Any) -> Any:
        deadlines.append(attempt.call.deadline.remaining())
        raise DeadlineExceeded

    runtime, _ = make_runtime(look)
    client = falcon.testing.TestClient(create_app(runtime))
    for seconds in ("20", "600"):
        client.simulate_post("/api/chat", json={"message": "hi"}, headers={"x-stainless-read-timeout": seconds})
    assert deadlines == [19.0, 120.0]
