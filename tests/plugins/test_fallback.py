"""Fallback: who takes over, when, and for how long nobody asks the first model again."""

from __future__ import annotations

from typing import Any

import pytest
from fallback_support import by_model, gone, run
from resilience import FIRST, SECOND, THIRD, Bench, server_error
from support import Toolkit, asks, make_runtime, make_turn, says, tool

from plugins.fallback import Fallback, models_after
from rom_core.errors import (
    ModelCredentialsError,
    ModelError,
    ModelMalformedReply,
    ModelNotServed,
    ModelQuotaExhausted,
    ModelRefused,
    ModelServerError,
    ModelStreamTruncated,
)
from rom_core.events import FallbackUsed
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


def test_the_next_model_takes_over_when_retries_are_spent() -> None:
    """With a fresh retry count, and the answer says which model gave it."""
    bench = Bench(by_model(first=server_error(), second=server_error()), plugins="retry fallback")
    result = run(bench)
    assert (result.reply, result.model, result.degraded) == (f"from {THIRD}", THIRD, True)
    assert bench.models == [FIRST] * 4 + [SECOND] * 3 + [THIRD]
    used = [event for event in bench.recorder.events if isinstance(event, FallbackUsed)]
    assert [(event.from_model, event.to_model) for event in used] == [(FIRST, SECOND), (SECOND, THIRD)]


def test_an_open_circuit_is_passed_over_without_a_request_and_the_next_turn_tries_again() -> None:
    """As soon as the primary's circuit allows, a turn goes to it: the probe, then everyone."""
    bench = Bench(by_model(first=server_error()), plugins="breaker fallback")
    for _ in range(5):
        assert run(bench).model == SECOND
    assert run(bench).model == SECOND
    assert bench.models == [FIRST, SECOND] * 5 + [SECOND]
    bench.clock.advance(30)  # type: ignore[attr-defined]
    bench.transport.steps[:] = [by_model()]
    result = run(bench)
    assert (result.model, result.degraded) == (FIRST, False)
    assert run(bench).model == FIRST


@pytest.mark.parametrize(
    "error",
    [
        ModelRefused("", kind="ValidationException", http_status=400),
        ModelRefused("", kind="ConflictException", http_status=409),
        ModelCredentialsError("", kind="ExpiredTokenException", http_status=403),
    ],
    ids=lambda error: error.kind,
)
def test_not_for_the_clients_own_mistakes(error: ModelError) -> None:
    """What the next model would refuse as well comes out at once."""
    bench = Bench(by_model(first=error), plugins="retry breaker fallback")
    assert run(bench) is error
    assert bench.models == [FIRST]


@pytest.mark.parametrize(
    "error",
    [
        ModelCredentialsError("", kind="AccessDeniedException", http_status=403),
        ModelError("", kind="ModelErrorException", http_status=424),
        ModelMalformedReply("", kind="malformed_tool_use"),
        ModelRefused("", kind="ServiceQuotaExceededException", http_status=400),
        ModelError("", kind="unknown"),
    ],
    ids=lambda error: error.kind,
)
def test_what_only_this_model_cannot_do_goes_to_the_next_at_once(error: ModelError) -> None:
    """Not worth a retry, not a failure of the service, but another model may do better."""
    bench = Bench(by_model(first=error), plugins="retry breaker fallback")
    assert run(bench).model == SECOND
    assert bench.models == [FIRST, SECOND]


def test_a_model_that_is_not_served_is_passed_over_at_once_and_for_a_while() -> None:
    """One request finds it out; for ten minutes nobody asks it again; it is no failure for the breaker."""
    bench = Bench(by_model(first=gone()), plugins="retry breaker fallback")
    assert [run(bench).model for _ in range(3)] == [SECOND] * 3
    assert bench.models == [FIRST, SECOND, SECOND, SECOND]
    parts = bench.runtime.current.pipeline.status()
    assert parts["fallback"] == {"passed_over": {FIRST: 600.0}}
    assert parts["breaker"]["models"][FIRST]["recent_failures"] == 0
    bench.clock.advance(600)  # type: ignore[attr-defined]
    bench.transport.steps[:] = [by_model()]
    assert run(bench).model == FIRST
    assert bench.runtime.current.pipeline.status()["fallback"] == {"passed_over": {}}


def test_the_chain_jumps_over_models_that_are_not_served() -> None:
    """What is known not to be served is not chosen either; the default chain has such a model in its middle."""
    bench = Bench(by_model(first=server_error(), second=gone()), plugins="fallback")
    assert run(bench).model == THIRD
    assert run(bench).model == THIRD
    assert bench.models == [FIRST, SECOND, THIRD, FIRST, THIRD]


def test_the_last_model_is_asked_even_if_it_was_not_served() -> None:
    """With nobody to take over, passing over would only hide that it is back."""
    bench = Bench(by_model(first=gone()), plugins="fallback", MODEL_FALLBACKS=[])
    assert isinstance(run(bench), ModelNotServed)
    bench.transport.steps[:] = [by_model()]
    assert run(bench).model == FIRST


@pytest.mark.parametrize(
    ("asked", "models"),
    [
        (None, [FIRST, SECOND, THIRD]),
        (SECOND, [SECOND, THIRD]),
        (THIRD, [THIRD]),
    ],
)
def test_the_chain_begins_where_the_client_asked(asked: str | None, models: list[str]) -> None:
    """A model of MODEL_FALLBACKS is followed by those after it, any other by all of them."""
    bench = Bench(by_model(first=server_error(), second=server_error(), third=server_error()), plugins="fallback")
    assert isinstance(run(bench, model=asked), ModelServerError)
    assert bench.models == models


def partly(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
    """Say something, then break."""
    attempt.text("half ")
    raise ModelStreamTruncated("", kind="no_message_stop")


def test_no_fallback_once_text_reached_the_client() -> None:
    """Streamed: an error; unstreamed: the next model answers and nothing of the half answer is left."""
    bench = Bench(partly, by_model(), plugins="fallback")
    assert isinstance(run(bench, sink=lambda name, data: None), ModelStreamTruncated)
    assert bench.models == [FIRST]
    bench = Bench(partly, by_model(), plugins="fallback")
    assert run(bench).reply == f"from {SECOND}"


def test_the_switch_is_kept_for_the_turn() -> None:
    """A tool loop that changed models in its first iteration stays with the second one to its end."""
    runtime, transport = make_runtime(
        server_error(),
        asks(("look", {"n": 1})),
        asks(("look", {"n": 2})),
        says("done"),
        plugins={"fallback": Fallback(), "kit": Toolkit(tool())},
    )
    result = runtime.run(make_turn(runtime))
    assert (result.reply, result.model, result.iterations) == ("done", SECOND, 3)
    assert [r["modelId"].split(".")[2].removesuffix("-v1:0") for r in transport.requests] == [
        "first",
        *["second"] * 3,
    ]


def test_requests_are_capped_over_all_models() -> None:
    """Retries and fallbacks together stay within MAX_MODEL_REQUESTS."""
    bench = Bench(
        by_model(first=server_error(), second=server_error(), third=server_error()),
        plugins="retry breaker fallback",
        MAX_MODEL_REQUESTS=3,
    )
    run(bench)
    assert bench.models == [FIRST, SECOND, THIRD]


def test_a_model_whose_quota_of_the_day_is_used_up_is_passed_over_for_a_while() -> None:
    """One request, no retries, the next model at once; for ten minutes nobody asks the first one; its circuit stays
    closed, since nothing is wrong with it."""
    bench = Bench(by_model(first=ModelQuotaExhausted("", kind="ThrottlingException")), plugins="retry breaker fallback")
    assert [run(bench).model for _ in range(8)] == [SECOND] * 8
    assert bench.models == [FIRST] + [SECOND] * 8
    assert bench.runtime.current.pipeline.status()["breaker"]["models"][FIRST]["recent_failures"] == 0
    bench.clock.advance(600)  # type: ignore[attr-defined]
    run(bench)
    assert bench.models[-2:] == [FIRST, SECOND]


def test_models_after_the_turns_model() -> None:
    """All fallbacks for a model that is none, else those after it: there is no way back."""
    turn = make_turn(Bench(plugins="").runtime)
    assert models_after(turn) == (SECOND, THIRD)
    turn.model = SECOND
    assert models_after(turn) == (THIRD,)
    turn.model = THIRD
    assert models_after(turn) == ()


def test_the_call_names_the_candidates_for_which_time_is_kept() -> None:
    """Those that are served, after the model that is asked; none while the plugin is off, nothing for the core to
    look up."""
    seen: list[tuple[str, ...]] = []

    def play(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        seen.append(attempt.call.fallback_candidates)
        if attempt.model.alias == FIRST:
            raise server_error()
        raise gone() if attempt.model.alias == SECOND else server_error()

    bench = Bench(play, plugins="fallback")
    for _ in range(2):
        run(bench)
    assert seen == [(SECOND, THIRD), (THIRD,), (), (THIRD,), ()]
    seen.clear()
    run(Bench(play, plugins="fallback", FALLBACK_ENABLED=False))
    assert seen == [()]
