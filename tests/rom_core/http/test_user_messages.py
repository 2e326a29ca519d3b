"""What a person is told who meets an error: in Portuguese, as the operator wishes, wherever the error comes from."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from falcon import testing
from support import make_runtime, make_settings, says

from rom_core.errors import CircuitOpen, HttpError, ModelNotServed, ModelThrottled, QueueFull, RomError, family
from rom_core.http.app import create_app
from rom_core.http.problems import problem, user_message
from rom_core.runtime import Runtime
from rom_core.settings import InvalidSettings, texts
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

OURS = "Peça ao plantão."


def ask(runtime: Runtime, **body: Any) -> testing.Result:
    """One question."""
    return testing.TestClient(create_app(runtime)).simulate_post("/api/chat", json={"message": "question"} | body)


def override(runtime: Runtime, **errors: str) -> None:
    """Put other texts in force, as a reload does."""
    current = runtime.current
    merged = {**current.settings.TEXT_ERRORS, **errors}
    settings = current.settings.replacing("override", TEXT_ERRORS=merged)
    runtime.swap(dataclasses.replace(current, settings=settings))


def test_every_error_code_has_a_text_of_its_own() -> None:
    """No code of the project without a sentence, no sentence without a code, none that says another's English."""
    ours = [error for error in family(RomError) if error.__module__.startswith("rom_core.")]
    assert {error.code for error in ours} == set(texts.ERRORS)
    assert all(text.endswith(".") and text == text.strip() for text in texts.ERRORS.values())
    assert len(set(texts.ERRORS.values())) == len(texts.ERRORS)
    assert not set(texts.ERRORS.values()) & {error.title for error in ours}


def test_an_answer_carries_the_text_beside_the_english_detail() -> None:
    """At the top and in the object that official clients read, which keep what they do not know."""
    runtime, _ = make_runtime()
    body = ask(runtime, model="nobody").json
    assert body["user_message"] == body["error"]["user_message"] == texts.ERRORS["unknown_model"]
    assert body["detail"] == body["error"]["message"]
    assert body["detail"].startswith("unknown model 'nobody'")


def test_the_operators_texts_are_laid_over_ours() -> None:
    """One entry is enough: the other codes keep their text."""
    runtime, _ = make_runtime(QueueFull("full"), TEXT_ERRORS={"unknown_model": OURS})
    assert ask(runtime, model="nobody").json["user_message"] == OURS
    assert ask(runtime).json["user_message"] == texts.ERRORS["queue_full"]


@pytest.mark.parametrize("path", ["/api/chat", "/v1/models/nobody", "/nowhere"])
def test_a_changed_text_counts_at_once(path: str) -> None:
    """Whoever answers reads the settings in force at that moment: the app that was built before has the new text."""
    runtime, _ = make_runtime()
    client = testing.TestClient(create_app(runtime))
    code = client.simulate_get(path).json["code"]
    override(runtime, **{code: OURS})
    assert client.simulate_get(path).json["user_message"] == OURS


def test_a_stream_that_breaks_tells_the_text_in_force_then() -> None:
    """The error event is the same problem; the text is read when it is told, not when the turn began."""

    def model(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        attempt.text("one")
        override(runtime, upstream_throttled=OURS)
        raise ModelThrottled("slow down")

    runtime, _ = make_runtime(model)
    name, data = ask(runtime, stream=True).text.strip().split("\n\n")[-1].split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["user_message"] == OURS
    runtime.stop()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (QueueFull("x"), "overloaded"),
        (CircuitOpen("x"), "upstream_unavailable"),
        (HttpError("x", 418), "internal_error"),
    ],
)
def test_a_code_without_a_text_says_what_its_kind_says(error: RomError, code: str) -> None:
    """A plugin's own error is told as the error that it is one of."""
    known = {name: text for name, text in texts.ERRORS.items() if name != error.code}
    settings = make_settings().replacing("override", TEXT_ERRORS=known)
    assert user_message(error, settings) == texts.ERRORS[code]


def test_errors_of_one_code_have_one_text() -> None:
    """What Bedrock says of a model is for engineers; the person hears what can be done."""
    body = problem(ModelNotServed("no such model"), "t", "r", make_settings())
    assert (body["code"], body["user_message"]) == ("upstream_refused", texts.ERRORS["upstream_refused"])


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ({"queue_fulll": OURS}, "'queue_fulll' is not the code of an error; did you mean queue_full?"),
        ({"queue_full": " "}, "queue_full: must be a sentence"),
        ({"queue_full": 1}, "queue_full: must be a sentence"),
        ({"queue_full": "Espere {seconds} s."}, "queue_full: holds a brace, and nothing is filled in"),
    ],
)
def test_texts_that_nobody_could_mean_stop_the_start(errors: dict[str, Any], reason: str) -> None:
    """An unknown code, no sentence, or a placeholder that nothing fills is a problem of TEXT_ERRORS."""
    with pytest.raises(InvalidSettings, match="TEXT_ERRORS: ") as caught:
        make_settings(TEXT_ERRORS=errors)
    assert reason in str(caught.value)


def test_a_successful_answer_is_unchanged() -> None:
    """The text is a matter of errors alone."""
    runtime, _ = make_runtime(says("hello"))
    assert "user_message" not in ask(runtime).json
