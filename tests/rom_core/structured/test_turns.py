"""Turns that seek a structured answer: how a model is asked, what is accepted, what happens to what is not valid."""

from __future__ import annotations

import json
from typing import Any

import pytest
from resilience import Bench, server_error
from support import MODELS, Toolkit, asks, make_turn, says, tool

from plugins.guardrails import Guardrails
from rom_core.errors import InvalidOutput, ModelRefused, ModelServerError
from rom_core.structured import read_format
from rom_core.turn_values import ClientTools, ModelReply, TurnResult

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"dias": {"type": "integer", "minimum": 1}},
    "required": ["dias"],
}
VALID, INVALID = '{"dias": 5}', '{"dias": 0}'
NATIVE = {**MODELS[0], "structured_output": True}
FORCED = {**MODELS[0]}
UNFORCED = {**MODELS[0], "forced_tool_choice": False}
ROWS = {"native": NATIVE, "tool": FORCED, "instruction": UNFORCED}


def wanted(schema: Any = None, kind: str = "json_schema") -> Any:
    """The format of the answer."""
    described = {"name": "prazo", "description": "um prazo", "schema": SCHEMA if schema is None else schema}
    return read_format({"type": kind} | ({"json_schema": described} if kind == "json_schema" else {}))


def bench(*steps: Any, row: dict[str, Any] = NATIVE, tools: Any = (), **more: Any) -> Bench:
    """A runtime whose first model is `row`, with these tools."""
    given = {"toolkit": Toolkit(*tools), **more.pop("more", {})}
    return Bench(*steps, more=given, MODELS=[row, *MODELS[1:]], **more)


def run(made: Bench, schema: Any = None, kind: str = "json_schema", **request: Any) -> TurnResult:
    """Run a turn that seeks the answer."""
    return made.runtime.run(make_turn(made.runtime, response_format=wanted(schema, kind), **request))


def answered(value: Any, name: str = "final_answer") -> ModelReply:
    """A reply that hands the answer to the tool for it."""
    return asks((name, value))


@pytest.mark.parametrize("way", ROWS)
@pytest.mark.parametrize(
    "text",
    [VALID, f" {VALID}\n", f"```json\n{VALID}\n```", f"Aqui está:\n```\n{VALID}\n```\nPronto.", f"Segue: {VALID}"],
)
def test_text_that_satisfies_the_schema_is_accepted(way: str, text: str) -> None:
    """Whichever way it was asked for, bare or wrapped in words; the answer is the JSON alone and says which way."""
    result = run(bench(says(text), row=ROWS[way]))
    assert json.loads(result.reply) == {"dias": 5}
    assert (result.structured, result.stop_reason, result.iterations) == (way, "end_turn", 1)


def test_a_schema_goes_to_a_model_that_takes_one() -> None:
    """As outputConfig, closed, with the name and the description that it came with, and with our tools beside it."""
    made = bench(says(VALID), tools=[tool("look")])
    run(made)
    (request,) = made.transport.requests
    described = request["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (described["name"], described["description"]) == ("prazo", "um prazo")
    assert json.loads(described["schema"])["additionalProperties"] is False
    assert "toolChoice" not in request["toolConfig"]


def test_else_a_tool_takes_the_answer_where_one_can_be_forced() -> None:
    """Its input is the answer; no tool is used as far as anybody sees."""
    made = bench(answered({"dias": 5}), row=FORCED)
    result = run(made)
    assert (result.reply, result.stop_reason, result.structured, result.tool_calls) == (VALID, "end_turn", "tool", ())
    config = made.transport.requests[0]["toolConfig"]
    assert config["toolChoice"] == {"tool": {"name": "final_answer"}}
    assert config["tools"][0]["toolSpec"]["inputSchema"]["json"] == SCHEMA


def test_our_tools_are_used_before_the_one_for_the_answer() -> None:
    """Some tool has to be used in each iteration, and the one for the answer has a name of its own."""
    made = bench(
        asks(("look", {})),
        answered({"dias": 5}, "final_answer_2"),
        row=FORCED,
        tools=[tool("look"), tool("final_answer")],
    )
    result = run(made)
    assert (result.reply, [call["name"] for call in result.tool_calls]) == (VALID, ["look"])
    config = made.transport.requests[0]["toolConfig"]
    assert config["toolChoice"] == {"any": {}}
    assert [one["toolSpec"]["name"] for one in config["tools"]][-1] == "final_answer_2"


def test_else_it_is_asked_for_in_words() -> None:
    """The schema stands in the system prompt; so it does for any object at all, whatever the model can do."""
    for row, kind in ((UNFORCED, "json_schema"), (NATIVE, "json_object"), (FORCED, "json_object")):
        made = bench(says(VALID), row=row)
        assert run(made, kind=kind).structured == "instruction"
        (request,) = made.transport.requests
        assert "<json_schema>" in request["system"][-1]["text"]
        assert "outputConfig" not in request
        assert "toolChoice" not in request.get("toolConfig", {})


@pytest.mark.parametrize("schema", [{"type": "array", "items": {}}, {"$ref": "#/$defs/a", "$defs": {"a": SCHEMA}}])
def test_what_is_no_object_is_asked_for_in_words(schema: dict[str, Any]) -> None:
    """A tool's input is always an object."""
    text = "[1]" if schema.get("type") == "array" else VALID
    assert run(bench(says(text), row=FORCED), schema).structured == "instruction"


@pytest.mark.parametrize("way", ROWS)
@pytest.mark.parametrize(
    "first", [says(INVALID), says("não sei"), says('{"dias": 5', "max_tokens"), answered({"dias": 0})]
)
def test_what_is_invalid_is_asked_for_once_more(way: str, first: ModelReply) -> None:
    """With what was wrong with it; the second answer is the only one that is handed out."""
    made = bench(first, says(VALID), row=ROWS[way])
    result = run(made)
    assert (result.reply, result.iterations) == (VALID, 2)
    again = made.transport.requests[1]
    assert "A resposta não serve" in json.dumps(again["messages"][-1], ensure_ascii=False)
    if way == "tool":
        assert again["toolConfig"]["toolChoice"] == {"tool": {"name": "final_answer"}}


@pytest.mark.parametrize("way", ROWS)
def test_what_stays_invalid_is_an_error(way: str) -> None:
    """502 invalid_output, which names the rule of the schema and quotes nothing of the answer; no third request."""
    made = bench(says('{"dias": 0, "segredo": "x"}'), row=ROWS[way])
    with pytest.raises(InvalidOutput) as caught:
        run(made)
    assert (caught.value.status, caught.value.code, caught.value.should_retry) == (502, "invalid_output", False)
    assert "properties/dias/minimum" in caught.value.detail
    assert "segredo" not in caught.value.detail
    assert len(made.transport.requests) == 2


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (says("não sei"), "not the JSON that was asked for"),
        (says('{"dias": 5', "max_tokens"), "cut at max_tokens"),
        (says('{"dias": NaN}'), "not the JSON"),
        (says('{"dias": 1e999}'), "not the JSON"),
        (says("[" * 100_000), "not the JSON"),
    ],
)
def test_the_error_says_why(reply: ModelReply, words: str) -> None:
    """Whatever came instead."""
    with pytest.raises(InvalidOutput, match=words):
        run(bench(reply))


def test_a_filtered_answer_is_not_asked_for_again() -> None:
    """It would be filtered again."""
    made = bench(says("", "content_filtered"))
    with pytest.raises(InvalidOutput, match="filtered"):
        run(made)
    assert len(made.transport.requests) == 1


def test_an_answer_that_cannot_be_checked_is_an_error() -> None:
    """A schema without an end costs no more than is bounded, and is no success."""
    with pytest.raises(InvalidOutput, match="cannot be checked"):
        run(bench(says("{}")), {"type": "object", "allOf": [{"$ref": "#"}]})


def test_the_second_answer_is_of_the_same_budget() -> None:
    """MAX_MODEL_REQUESTS holds for both together: what the first took, the second does not have."""
    made = bench(server_error(), server_error(), says(INVALID), server_error(), plugins="retry", MAX_MODEL_REQUESTS=4)
    with pytest.raises(ModelServerError):
        run(made)
    assert len(made.transport.requests) == 4
    spent = bench(server_error(), says(INVALID), says(VALID), plugins="retry", MAX_MODEL_REQUESTS=2)
    with pytest.raises(InvalidOutput):
        run(spent)
    assert len(spent.transport.requests) == 2


def test_a_fallback_is_asked_in_its_own_way() -> None:
    """The first takes a schema, the second is forced to use a tool; the answer says how its own model was asked."""
    made = Bench(
        server_error(),
        answered({"dias": 5}),
        plugins="fallback",
        MODELS=[NATIVE, *MODELS[1:]],
        MODEL_FALLBACKS=["anthropic.second"],
    )
    result = run(made)
    first, second = made.transport.requests
    assert "textFormat" in first["outputConfig"]
    assert "outputConfig" not in second
    assert (result.structured, result.degraded, result.reply) == ("tool", True, VALID)


def test_a_broken_stream_of_text_is_tried_again() -> None:
    """Nothing of a structured answer is handed out before it is valid, so nothing stands in the way."""

    def breaks(attempt: Any, request: dict[str, Any]) -> ModelReply:
        attempt.begin()
        attempt.text('{"dias"')
        raise server_error()

    made = bench(breaks, says(VALID), plugins="retry")
    said: list[tuple[str, dict[str, Any]]] = []
    turn = make_turn(
        made.runtime, response_format=wanted(), stream=True, sink=lambda name, data: said.append((name, data))
    )
    assert made.runtime.run(turn).reply == VALID
    assert said == [("held", {}), ("delta", {"text": VALID})]


def test_words_between_iterations_are_no_part_of_the_answer() -> None:
    """Neither streamed nor whole."""
    made = bench(asks(("look", {}), text="Vou ver."), says(VALID), tools=[tool("look")])
    said: list[str] = []
    turn = make_turn(
        made.runtime, response_format=wanted(), stream=True, sink=lambda name, data: said.append(data.get("text", ""))
    )
    assert made.runtime.run(turn).reply == VALID == "".join(said)


@pytest.mark.parametrize("way", ["native", "tool"])
def test_a_loop_that_is_stopped_ends_with_the_answer_or_an_error(way: str) -> None:
    """The closing request asks for it, and for nothing else; our own text never stands in its place."""
    loops = [asks(("look", {}))] * 2
    for last, good in ((says(VALID), True), (says("não sei"), False)):
        made = bench(
            *loops,
            last,
            row=ROWS[way],
            tools=[tool("look")],
            more={"guardrails": Guardrails()},
            MAX_LOOPS_SOFT=1,
            MAX_LOOPS_HARD=2,
        )
        if good:
            result = run(made)
            assert (result.reply, result.degraded) == (VALID, True)
            assert result.stop_reason.startswith("guardrail")
        else:
            with pytest.raises(InvalidOutput):
                run(made)
        choice = made.transport.requests[-1]["toolConfig"].get("toolChoice")
        assert choice == ({"tool": {"name": "final_answer"}} if way == "tool" else None)


CLIENT_TOOLS = ClientTools(({"toolSpec": {"name": "theirs", "inputSchema": {"json": {"type": "object"}}}},))


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_beside_tools_of_the_client_there_is_none_of_ours(row: dict[str, Any]) -> None:
    """It would be handed to the client; a request for one of the client's ends the turn, without an answer."""
    made = bench(asks(("theirs", {"a": 1}), text="Um momento."), row=row)
    result = run(made, client_tools=CLIENT_TOOLS)
    (request,) = made.transport.requests
    assert [tool["toolSpec"]["name"] for tool in request["toolConfig"]["tools"]] == ["theirs"]
    assert "toolChoice" not in request["toolConfig"]
    assert (result.reply, result.stop_reason, len(result.tool_uses)) == ("", "tool_use", 1)
    answered = run(bench(says(VALID), row=row), client_tools=CLIENT_TOOLS)
    assert (answered.reply, answered.structured != "tool") == (VALID, True)


@pytest.mark.parametrize(
    "words",
    [
        "output_config.format: Extra inputs are not permitted",
        "Schema compilation exceeded limits: Schema is too complex",
        "The compiled grammar is too large",
    ],
)
@pytest.mark.parametrize(("row", "way"), [(NATIVE, "tool"), ({**NATIVE, "forced_tool_choice": False}, "instruction")])
def test_a_model_that_refuses_the_schema_is_asked_otherwise(row: dict[str, Any], way: str, words: str) -> None:
    """Whatever its row says, and for the rest of the turn; any other refusal ends it."""
    refused = ModelRefused(
        kind="ValidationException", upstream_message=f"The model returned the following errors: {words}"
    )
    made = bench(refused, says(INVALID), says(VALID), row=row)
    result = run(made)
    assert (result.reply, result.structured) == (VALID, way)
    assert ["outputConfig" in request for request in made.transport.requests] == [True, False, False]
    other = bench(ModelRefused(kind="ValidationException", upstream_message="output tokens"), row=row)
    with pytest.raises(ModelRefused):
        run(other)
    assert len(other.transport.requests) == 1
