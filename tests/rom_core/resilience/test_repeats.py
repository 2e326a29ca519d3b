"""A client that repeats a question which failed a moment ago has had its retries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import falcon.testing
import pytest
from support import make_runtime, says

from plugins.fallback import Fallback
from plugins.retry import Retry
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelServerError, ModelThrottled, QueueFull, RomError, TurnCancelled
from rom_core.http.app import create_app
from rom_core.resilience.repeats import MAX_REMEMBERED, REMEMBERED_SECONDS, Repeats
from rom_core.turn_values import ChatRequest


def failing(error: type[RomError]) -> Any:
    """A model that fails like this, each time anew."""

    def fail(_attempt: Any, _request: Any) -> Any:
        raise error

    return fail


THROTTLED, BROKEN = failing(ModelThrottled), failing(ModelServerError)
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "oi"}]}
CHAT = "/v1/chat/completions"


def asking(*steps: Any, **settings: Any) -> tuple[Any, Any, falcon.testing.TestClient]:
    """A runtime that retries and falls back, its model, and a client."""
    runtime, model = make_runtime(
        *steps,
        plugins={"retry": Retry(), "fallback": Fallback()},
        RETRY_ENABLED=True,
        FALLBACK_ENABLED=True,
        RETRY_BUDGET_PERCENT=0,
        **settings,
    )
    runtime.catalogue.plugins["retry"].call("rom_start", runtime=runtime)
    return runtime, model, falcon.testing.TestClient(create_app(runtime))


@pytest.mark.parametrize("error", [THROTTLED, BROKEN])
def test_the_same_question_again_goes_upstream_once(error: Any) -> None:
    """The first one is retried up to MAX_MODEL_REQUESTS; each repeat is one request, and says not to repeat."""
    _, model, client = asking(*[error] * 20)
    first = client.simulate_post(CHAT, json=BODY)
    spent = len(model.requests)
    assert spent > 1
    for _ in range(6):
        again = client.simulate_post(CHAT, json=BODY)
        assert (again.status, again.headers["x-should-retry"]) == (first.status, "false")
    assert len(model.requests) == spent + 6


def test_another_question_key_or_route_is_no_repeat() -> None:
    """Only the very same one shares the budget."""
    _, model, client = asking(*[THROTTLED] * 200, API_KEYS="a=key-a-0123456789,b=key-b-0123456789")

    def sent(path: str, body: dict[str, Any], key: str) -> int:
        before = len(model.requests)
        client.simulate_post(path, json=body, headers={"x-api-key": key})
        return len(model.requests) - before

    first = sent(CHAT, BODY, "key-a-0123456789")
    assert first > 1
    assert sent(CHAT, BODY, "key-b-0123456789") == first
    assert sent(CHAT, BODY | {"max_tokens": 5}, "key-a-0123456789") == first
    assert sent("/v1/messages", BODY | {"max_tokens": 5, "model": "default"}, "key-a-0123456789") == first
    assert sent("/api/chat", {"message": "oi"}, "key-a-0123456789") == first
    assert sent("/api/chat", {"message": "oi"}, "key-a-0123456789") == first, "on /api a person asks again"
    assert sent(CHAT, BODY, "key-a-0123456789") == 1


def test_a_question_that_was_answered_begins_anew() -> None:
    """After a success, as after two minutes, the next failure is retried again."""
    _, model, client = asking(*[THROTTLED] * 8, says("oi"), *[THROTTLED] * 8)
    client.simulate_post(CHAT, json=BODY)
    while client.simulate_post(CHAT, json=BODY).status_code != 200:
        continue
    before = len(model.requests)
    client.simulate_post(CHAT, json=BODY)
    assert len(model.requests) > before + 1


def test_it_forgets_by_time_and_by_number() -> None:
    """Two minutes, and at most a thousand questions."""
    clock = FakeClock()
    repeats = Repeats(clock)
    runtime, _ = make_runtime()
    turn = runtime.turn(ChatRequest((), "conv", fingerprint="one"))
    turn.model_requests = 1
    repeats.note(turn, ModelThrottled())
    assert repeats.marked(turn.request).repeated
    clock.advance(REMEMBERED_SECONDS)
    assert not repeats.marked(turn.request).repeated
    for number in range(MAX_REMEMBERED + 1):
        turn.request = replace(turn.request, fingerprint=str(number))
        repeats.note(turn, ModelThrottled())
    assert not repeats.marked(replace(turn.request, fingerprint="0")).repeated
    assert repeats.marked(replace(turn.request, fingerprint="1")).repeated


@pytest.mark.parametrize("ended", [TurnCancelled(), QueueFull()])
def test_what_was_no_failure_of_the_model_is_no_reason(ended: RomError) -> None:
    """A client that left, a queue that was full: the next try is a first one."""
    repeats = Repeats(FakeClock())
    runtime, _ = make_runtime()
    turn = runtime.turn(ChatRequest((), "conv", fingerprint="one"))
    turn.model_requests = 1
    repeats.note(turn, ended)
    assert not repeats.marked(turn.request).repeated
