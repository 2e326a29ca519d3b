"""Fallback: who takes over, when, with what, and what is said when nobody can."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from resilience import FIRST, SECOND, THIRD, Bench, server_error
from support import NOWHERE, Toolkit, asks, make_runtime, make_turn, says, tool

from local_bedrock import LocalBedrock
from plugins.breaker import Breaker
from plugins.fallback import Fallback, models_after
from plugins.legal_tools import LegalTools
from plugins.retry import Retry
from rom_core import hookspecs
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.clock import FakeClock, SystemClock
from rom_core.errors import (
    CircuitOpen,
    DeadlineExceeded,
    Draining,
    ModelCredentialsError,
    ModelError,
    ModelMalformedReply,
    ModelNotServed,
    ModelQuotaExhausted,
    ModelRefused,
    ModelServerError,
    ModelStreamTruncated,
    ModelThrottled,
    ModelTimeout,
    RomError,
    TurnCancelled,
    WireSaturated,
)
from rom_core.events import FallbackExhausted, FallbackUsed
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import load_settings
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply

SONNET, HAIKU = "anthropic.claude-sonnet-4-5", "anthropic.claude-haiku-4-5"


def by_model(**errors: RomError) -> Any:
    """A step in which each model named (first, second, third) fails with its error and the others answer."""

    def play(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        alias = attempt.model.alias
        error = errors.get(alias.removeprefix("anthropic."))
        if error is not None:
            raise error
        return ModelReply(({"text": f"from {alias}"},), "end_turn", alias, says("").usage)

    return play


def gone() -> ModelNotServed:
    """What the 404 for a model at the end of its life becomes."""
    return ModelNotServed("", kind="ResourceNotFoundException", http_status=404)


def stories(bench: Bench) -> list[tuple[tuple[str, str, str], ...]]:
    """What every fallback.exhausted tells, in order."""
    return [event.attempts for event in bench.recorder.events if isinstance(event, FallbackExhausted)]


def run(bench: Bench, **request: Any) -> Any:
    """Run a turn; its result, or its error."""
    try:
        return bench.runtime.run(make_turn(bench.runtime, **request))
    except RomError as error:
        return error


# -- when and who ----------------------------------------------------------------------------------------------------


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


# -- when nobody can -------------------------------------------------------------------------------------------------


def test_exhausted_the_last_cause_comes_out_and_the_story_goes_to_the_log() -> None:
    """The client reads nothing of models and attempts; the event has them all."""
    bench = Bench(
        by_model(first=server_error(), second=gone(), third=ModelThrottled("", kind="429")),
        plugins="retry fallback",
        RETRY_MAX_RETRIES=1,
    )
    error = run(bench)
    assert isinstance(error, ModelThrottled)
    assert (error.status, error.should_retry) == (503, False)
    assert "anthropic" not in error.detail
    assert stories(bench) == [
        (
            (FIRST, "server_error", "InternalServerException"),
            (FIRST, "server_error", "InternalServerException"),
            (SECOND, "refused", "ResourceNotFoundException"),
            (THIRD, "throttled", "429"),
            (THIRD, "throttled", "429"),
        )
    ]


@pytest.mark.parametrize(
    "error",
    [
        ModelError("", kind="ModelErrorException", http_status=424),
        ModelMalformedReply("", kind="malformed_tool_use"),
        WireSaturated("", kind="wire_saturated"),
    ],
    ids=lambda error: error.kind,
)
def test_a_client_does_not_retry_what_was_retried_whatever_came_last(error: ModelError) -> None:
    """x-should-retry is false once retries were spent on one model, though the last one's failure was worth none."""
    bench = Bench(by_model(first=server_error(), second=error), plugins="retry fallback", MODEL_FALLBACKS=[SECOND])
    assert run(bench) is error
    assert bench.models == [FIRST] * 4 + [SECOND]
    assert error.should_retry is False
    alone = type(error)("", kind=error.kind)
    assert run(Bench(by_model(first=alone), plugins="retry fallback", MODEL_FALLBACKS=[])) is alone
    assert alone.should_retry is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModelRefused("", kind="ValidationException", http_status=400), ("refused", "ValidationException")),
        (
            ModelCredentialsError("", kind="ExpiredTokenException", http_status=403),
            ("refused", "ExpiredTokenException"),
        ),
        (DeadlineExceeded(), ("cancelled", "deadline_exceeded")),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_the_story_is_told_whatever_ends_the_call_after_a_switch(error: RomError, told: tuple[str, str]) -> None:
    """A model that took over and failed for good, or ran out of time, leaves fallback.exhausted in the log."""
    bench = Bench(by_model(first=server_error(), second=error), plugins="fallback")
    assert run(bench) is error
    assert stories(bench) == [((FIRST, "server_error", "InternalServerException"), (SECOND, *told))]
    assert error.retry_after is None


@pytest.mark.parametrize("end", [TurnCancelled(), Draining()], ids=lambda end: end.code)
def test_nothing_is_exhausted_where_nobody_waits_for_the_answer(end: RomError) -> None:
    """A client that left and a server that stops are no failure of the models."""
    bench = Bench(by_model(first=server_error(), second=end), plugins="fallback")
    assert run(bench) is end
    assert stories(bench) == []


def test_a_mistake_that_no_other_model_was_asked_about_is_no_story() -> None:
    """A ValidationException of the first model never came near the fallback."""
    bench = Bench(by_model(first=ModelRefused("", kind="ValidationException", http_status=400)), plugins="fallback")
    assert isinstance(run(bench), ModelRefused)
    assert stories(bench) == []


def test_all_circuits_open_is_circuit_open_with_the_soonest_probe() -> None:
    """503 `circuit_open`; Retry-After is when the first of the models may be asked again."""
    bench = Bench(
        by_model(first=server_error(), second=server_error()),
        plugins="breaker fallback",
        MODEL_FALLBACKS=[SECOND],
        BREAKER_FAILURES=1,
    )
    run(bench, model=SECOND)
    bench.clock.advance(10)  # type: ignore[attr-defined]
    run(bench)
    bench.clock.advance(5)  # type: ignore[attr-defined]
    error = run(bench)
    assert isinstance(error, CircuitOpen)
    assert (error.retry_after, error.should_retry) == (15.0, False)
    assert bench.models == [SECOND, FIRST]


def test_a_known_retry_after_survives_another_cause() -> None:
    """The last cause has no time, the throttled model before it had one."""
    bench = Bench(
        by_model(first=ModelThrottled("", kind="429", retry_after=9.0), second=server_error()),
        plugins="fallback",
        MODEL_FALLBACKS=[SECOND],
    )
    error = run(bench)
    assert (error.code, error.retry_after) == ("upstream_unavailable", 9.0)


def test_switched_off_the_first_error_is_the_answer() -> None:
    """FALLBACK_ENABLED off: no other model is asked, and nothing is remembered."""
    bench = Bench(by_model(first=gone()), plugins="fallback", FALLBACK_ENABLED=False)
    for _ in range(2):
        assert isinstance(run(bench), ModelNotServed)
    assert bench.models == [FIRST, FIRST]


# -- in time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chain", "model", "silences"),
    [([HAIKU], HAIKU, [0.15, 1.2]), ([], None, [1.2]), ([HAIKU, "anthropic.claude-sonnet-3-7"], HAIKU, [0.15, 0.15])],
)
def test_a_model_that_hangs_leaves_the_next_one_its_time(
    bedrock_local: LocalBedrock, chain: list[str], model: str | None, silences: list[float]
) -> None:
    """With 0.2 s left and BEDROCK_READ_TIMEOUT_SECONDS 10, silence ends after three quarters, if another may answer.

    Nothing is held against a model for it. The turn's clock stands still: what passes is the silence of the socket.
    """
    breaker = Breaker()
    catalogue = Catalogue.of(hookspecs, retry=Retry(), breaker=breaker, fallback=Fallback())
    values = {
        "BEDROCK_ENABLED": True,
        "RETRY_ENABLED": True,
        "CIRCUIT_BREAKER_ENABLED": True,
        "FALLBACK_ENABLED": True,
        "MODEL_FALLBACKS": chain,
        "BEDROCK_READ_TIMEOUT_SECONDS": 10,
    }
    environ = {name: json.dumps(value) for name, value in values.items()} | {"ROM_ENV": "testing"}
    settings = load_settings(catalogue.settings, catalogue.rules, root=NOWHERE, environ=environ)
    clock = FakeClock()
    wire = Wire(settings, clock, endpoint_url=bedrock_local.url)
    seen: list[float] = []
    before_call = "before-call.bedrock-runtime.ConverseStream"
    wire.client.meta.events.register_last(before_call, lambda context, **_: seen.append(context["read_timeout"]))
    runtime = Runtime(catalogue, settings, clock=clock, transport=wire)
    for plugin in catalogue.plugins.values():
        plugin.call("rom_start", runtime=runtime)
    message = {"role": "user", "content": [{"text": "[[fault=hang]] [[model=sonnet-4-5]] conte"}]}
    turn = runtime.turn(ChatRequest((message,), "conv", client_timeout=0.2))
    try:
        if model is None:
            with pytest.raises(ModelTimeout) as caught:
                runtime.run(turn)
            assert caught.value.kind == "read_timeout"
        else:
            assert runtime.run(turn).model == model
    finally:
        runtime.stop()
        wire.close()
    assert [round(seconds, 6) for seconds in seen] == silences
    assert breaker.status_of(SONNET)["recent_failures"] == int(model is None)


def test_the_model_that_takes_over_has_what_is_left_of_one_deadline_and_one_budget() -> None:
    """Attempts of both models are of one call: the same deadline, and MAX_MODEL_REQUESTS counted over both."""
    seen: list[tuple[str, float, int]] = []

    def play(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        call = attempt.call
        seen.append((attempt.model.alias, call.deadline.remaining(), call.requests))
        bench.clock.advance(10)  # type: ignore[attr-defined]
        raise server_error()

    bench = Bench(play, plugins="retry fallback", MODEL_FALLBACKS=[SECOND], RETRY_MAX_RETRIES=1)
    assert isinstance(run(bench), ModelServerError)
    assert seen == [(FIRST, 120.0, 1), (FIRST, 109.0, 2), (SECOND, 99.0, 3), (SECOND, 88.0, 4)]


# -- the conversation ------------------------------------------------------------------------------------------------
NUMBER = "0001234-08.2023.8.26.0100"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_switch_in_the_middle_of_a_tool_loop_loses_and_repeats_nothing(
    bedrock_local: LocalBedrock, streamed: bool
) -> None:
    """The model that takes over gets the same conversation, tool blocks included, and the tools do not run again.

    Three iterations of two parallel tool uses each; the first model fails for good at its second request.
    """
    catalogue = Catalogue.of(hookspecs, fallback=Fallback(), legal_tools=LegalTools())
    values = {"BEDROCK_ENABLED": True, "FALLBACK_ENABLED": True, "MODEL_FALLBACKS": [HAIKU]}
    environ = {name: json.dumps(value) for name, value in values.items()} | {"ROM_ENV": "testing"}
    settings = load_settings(catalogue.settings, catalogue.rules, root=NOWHERE, environ=environ)
    wire = Wire(settings, SystemClock(), endpoint_url=bedrock_local.url)
    runtime = Runtime(catalogue, settings, transport=wire)
    heard: list[tuple[str, dict[str, Any]]] = []
    question = f"[[tools=3]] [[parallel=2]] [[fault=500]] [[at=2]] [[model=sonnet-4-5]] {NUMBER}?"
    sink = (lambda name, data: heard.append((name, data))) if streamed else None
    earlier = [{"role": "user", "content": [{"text": "antes"}]}, {"role": "assistant", "content": [{"text": "sim"}]}]
    request = ChatRequest((*earlier, {"role": "user", "content": [{"text": question}]}), "conv", stream=streamed)
    try:
        result = runtime.run(runtime.turn(request, sink=sink))
    finally:
        runtime.stop()
        wire.close()
    assert (result.model, result.degraded, result.iterations) == (HAIKU, True, 4)
    assert [call["status"] for call in result.tool_calls] == ["success"] * 6
    served = ["haiku" if "haiku" in sent.model_id else "sonnet" for sent in bedrock_local.requests]
    assert served == ["sonnet", "sonnet", "haiku", "haiku", "haiku"]
    bodies = [sent.body for sent in bedrock_local.requests]
    assert bodies[1] == bodies[2], "the second model is asked exactly what the first one was"
    for shorter, longer in pairwise(bodies[2:]):
        assert longer["messages"][: len(shorter["messages"])] == shorter["messages"]
    last = bodies[-1]["messages"]
    assert [m["role"] for m in last] == ["user", "assistant"] * 4 + ["user"]
    uses = [block["toolUse"]["toolUseId"] for m in last for block in m["content"] if "toolUse" in block]
    results = [block["toolResult"]["toolUseId"] for m in last for block in m["content"] if "toolResult" in block]
    assert uses == results
    assert len(set(uses)) == 6
    assert uses == [call["id"] for call in result.tool_calls]
    if streamed:
        assert "".join(data["text"] for name, data in heard if name == "delta") == result.reply
        assert [name for name, _ in heard].count("tool_call") == 6


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
