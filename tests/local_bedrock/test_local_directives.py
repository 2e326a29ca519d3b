"""The directives of a message: syntax, values, and how long a counted fault lasts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_bedrock.behaviour import MISSING, Behaviour, DirectiveError, Fault, fault, reply, tool_use
from local_bedrock.conversation import Turn, current_turn
from local_bedrock.directives import parse
from local_bedrock.script import Script

SONNET = "us.anthropic.claude-sonnet-4-5"


def turn(text: str, request: int = 1) -> Turn:
    """A turn at its n-th model request."""
    return Turn(text=text, request=request, tool_rounds=0, results=(), tool_names={})


@pytest.mark.parametrize(
    ("text", "behaviour"),
    [
        ("[[tools=3]] [[parallel=2]]", Behaviour(tools=3, parallel=2)),
        ("[[tool=a, b]]", Behaviour(tool=("a", "b"))),
        ('[[input={"a": [[1]], "b": "]]"}]]', Behaviour(input={"a": [[1]], "b": "]]"})),
        ("[[say=Bom dia!]] [[stop=novel]]", Behaviour(say="Bom dia!", stop="novel")),
        ("[[length=500]] [[delay=0.05]] [[latency=0.2]]", Behaviour(length=500, delay=0.05, latency=0.2)),
        ("[[empty]] [[reasoning]] [[cut_tool_use]]", Behaviour(empty=True, reasoning=True, cut_tool_use=True)),
        (
            "[[fault=429]] [[retry_after=7]] [[times=2]] [[at=2]] [[model=haiku]]",
            fault(429, retry_after=7, times=2, at=2, model="haiku"),
        ),
        ("[[fault=ModelTimeoutException]]", fault("ModelTimeoutException")),
        ("[[fault=exception:throttlingException]] [[after=0]]", fault("exception:throttlingException", after=0)),
        ("[[fault=cut]] [[after=3]]", Behaviour(fault=Fault("cut", after=3))),
    ],
)
def test_directive_is_read(text: str, behaviour: Behaviour) -> None:
    """Each directive sets its field, and leaves the rest of the message as it was."""
    assert parse(f"Antes. {text} Depois.") == (behaviour, "Antes. " + " " * text.count("]] [[") + " Depois.")


@pytest.mark.parametrize(
    "text",
    [
        "[[tools=many]]",
        "[[tools]]",
        "[[parallel=0]]",
        "[[times=-1]]",
        "[[input={]]",
        "[[empty=1]]",
        "[[delay=inf]]",
        "[[fault=302]]",
        "[[fault=nothing]]",
        "[[after=1]]",
        "[[retry_after=1]]",
        "[[fault=429]][[after=1]]",
        "[[fault=cut]][[retry_after=1]]",
    ],
)
def test_meaningless_value_is_an_error(text: str) -> None:
    """A known directive with a wrong value is never ignored."""
    with pytest.raises(DirectiveError):
        parse(text)


@pytest.mark.parametrize("text", ["[[nota]] de rodapé", "[[nota=1]]", "[[tools=3", "[[", "]]", "[[Tools=3]]"])
def test_other_double_brackets_are_text(text: str) -> None:
    """Users may write double brackets; only a test that scripts directives must know their names."""
    assert parse(text) == (Behaviour(), text)


def test_scripts_are_strict() -> None:
    """A misspelt directive in a script is an error."""
    with pytest.raises(DirectiveError, match="unknown directive 'falt'"):
        Script().add("[[falt=429]]")


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    """Whatever users write is either read or refused as a directive."""
    try:
        parse(text)
    except DirectiveError:
        assert "[[" in text


def test_refused_directive_reaches_the_client(client: Any) -> None:
    """The SDK sees a wrong directive as a ValidationException that names it."""
    with pytest.raises(client.boto.exceptions.ValidationException, match="directive 'tools' cannot have the value"):
        client.converse("[[tools=many]]")


def test_times_counts_requests_of_one_text() -> None:
    """The fault strikes twice for one message, and again for another."""
    script = Script()
    struck = [script.next(SONNET, turn("a [[fault=500]] [[times=2]]")).behaviour.fault is not None for _ in range(4)]
    assert struck == [True, True, False, False]
    assert script.next(SONNET, turn("b [[fault=500]] [[times=2]]")).behaviour.fault is not None


def test_at_and_model_select_requests() -> None:
    """A fault for the second request and one model leaves all others alone, and they do not use up `times`."""
    script, text = Script(), "[[fault=500]] [[at=2]] [[model=sonnet]] [[times=1]]"
    cases = [(SONNET, 1), ("haiku", 2), (SONNET, 2), (SONNET, 2)]
    struck = [script.next(model, turn(text, request)).behaviour.fault is not None for model, request in cases]
    assert struck == [False, False, True, False]


def test_script_is_a_queue_before_the_standing_order() -> None:
    """Scripted behaviours come once each and in order, then the standing one, then the message's own."""
    script = Script()
    script.add(fault(429, times=2), reply("um"))
    script.set_always(reply("sempre"))
    said = [script.next(SONNET, turn("[[say=eu]]")).behaviour for _ in range(5)]
    assert [one.say for one in said] == [None, None, "um", "sempre", "sempre"]
    assert said[0].fault is not None
    script.set_always(None)
    assert script.next(SONNET, turn("[[say=eu]]")).behaviour.say == "eu"


def test_script_waits_for_its_model() -> None:
    """A scripted behaviour for another model stays queued and does not block those behind it."""
    script = Script()
    script.add(fault(500, model="haiku"), reply("um"))
    assert script.next(SONNET, turn("x")).behaviour.say == "um"
    assert script.next(SONNET, turn("x")).behaviour == Behaviour()
    assert script.next("us.haiku", turn("x")).behaviour.fault is not None


def test_standing_fault_can_be_counted() -> None:
    """`times` of a standing order counts all requests, whatever they say; setting it again starts anew."""
    script = Script()
    for _ in range(2):
        script.set_always(fault(503, times=1))
        struck = [script.next(SONNET, turn(text)).behaviour.fault is not None for text in ("a", "b")]
        assert struck == [True, False]


def test_a_standing_fault_for_another_model_leaves_the_message_its_orders() -> None:
    """An outage of one model must not change what the others answer."""
    script = Script()
    script.set_always(fault(503, model="haiku"))
    assert script.next(SONNET, turn("[[say=eu]]")).behaviour.say == "eu"
    assert script.next("us.haiku", turn("[[say=eu]]")).behaviour.fault is not None


def test_clear_forgets_everything() -> None:
    """After clear nothing is queued, standing or counted."""
    script, text = Script(), "[[fault=500]] [[times=1]]"
    script.next(SONNET, turn(text))
    script.add(reply("um"))
    script.set_always("[[empty]]")
    script.clear()
    assert script.next(SONNET, turn("x")).behaviour == Behaviour()
    assert script.next(SONNET, turn(text)).behaviour.fault is not None


def test_constructors() -> None:
    """The functions for tests describe what their names say."""
    assert reply("oi", stop="max_tokens") == Behaviour(say="oi", stop="max_tokens")
    assert reply("") == Behaviour(empty=True)
    assert tool_use("t").input is MISSING
    assert tool_use("t", {"a": 1}, parallel=2).parallel == 2
    assert fault(429, message="Too many tokens").fault == Fault("http", 429, "ThrottlingException", "Too many tokens")


def test_current_turn_is_that_of_the_last_plain_message() -> None:
    """Tool results do not begin a turn; requests and tool iterations are counted from the plain message on."""
    use = {"toolUse": {"toolUseId": "a", "name": "t", "input": {}}}
    result = {"toolResult": {"toolUseId": "a", "content": [{"text": "1"}]}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"text": "antes"}]},
        {"role": "assistant", "content": [{"text": "sim"}]},
        {"role": "user", "content": [{"text": "agora"}, {"guardContent": {"text": {"text": "isto"}}}]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    assert current_turn({"messages": messages}) == Turn("agora\nisto", 2, 1, (result["toolResult"],), {"a": "t"})
    assert current_turn({"messages": messages[:3]}) == Turn("agora\nisto", 1, 0, (), {})
