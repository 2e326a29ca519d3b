"""The deterministic model: tools it chooses, arguments it makes up, answers, and how both are streamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local_bedrock import LocalBedrock, reply, tool_use
from local_bedrock.rules import check_conversation
from local_bedrock.tools import choose_tool, find_pattern, make_input
from local_bedrock.wording import MARK, words_of

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CASE = "0001234-56.2024.8.26.0100"


def spec(name: str, description: str, **properties: Any) -> dict[str, Any]:
    """A toolSpec whose properties are all required unless marked `optional`."""
    required = [key for key, part in properties.items() if not part.pop("optional", False)]
    schema = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": description, "inputSchema": {"json": schema}}


TOOLS = [
    spec("buscar_jurisprudencia", "Busca decisões dos tribunais por tema.", consulta={"type": "string"}),
    spec(
        "consultar_processo",
        "Andamento de um processo judicial.",
        numero={"type": "string", "pattern": r"^\d{7}-\d{2}\.\d{4}\.\d\.\d{2}\.\d{4}$"},
    ),
    spec(
        "calcular_prazo",
        "Calcula o fim de um prazo processual.",
        inicio={"type": "string", "format": "date"},
        dias={"type": "integer", "minimum": 1, "maximum": 365},
        contagem={"type": "string", "enum": ["uteis", "corridos"]},
    ),
]
CONFIG = {"tools": [{"toolSpec": one} for one in TOOLS]}


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        (f"E o {CASE}?", "consultar_processo", {"numero": CASE}),
        (
            "Calcule o prazo de 15 dias corridos desde 10/03/2026",
            "calcular_prazo",
            {"inicio": "2026-03-10", "dias": 15, "contagem": "corridos"},
        ),
        ('Há jurisprudência sobre "dano moral"?', "buscar_jurisprudencia", {"consulta": "dano moral"}),
    ],
)
def test_fitting_tool_is_asked_for(client: Any, text: str, name: str, arguments: dict[str, Any]) -> None:
    """The tool whose pattern or words occur in the message is asked for, with arguments from the message."""
    answer = client.converse(text, toolConfig=CONFIG)
    (block,) = answer["output"]["message"]["content"]
    assert answer["stopReason"] == "tool_use"
    assert (block["toolUse"]["name"], block["toolUse"]["input"]) == (name, arguments)


@pytest.mark.parametrize("text", ["Olá, tudo bem?", "Obrigado!", "Quem é você?"])
def test_small_talk_needs_no_tool(client: Any, text: str) -> None:
    """A message that no tool fits is answered at once."""
    answer = client.converse(text, toolConfig=CONFIG)
    assert answer["stopReason"] == "end_turn"
    assert text in answer["output"]["message"]["content"][0]["text"]


def test_pattern_that_matches_anything_is_no_hint() -> None:
    """A pattern that accepts arbitrary words does not draw a tool to every message, and a broken one does no harm."""
    assert find_pattern("^.+$", "qualquer coisa") is None
    assert find_pattern("(", "(") is None
    assert find_pattern(5, "5") is None
    assert choose_tool([spec("eco", "Repete.", a={"type": "string", "pattern": "^.*$"})], "Bom dia a todos") is None


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"const": 7}, 7),
        ({"enum": ["x", "y"]}, "x"),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 3),
        ({"type": "number"}, 3),
        ({"type": "integer", "maximum": 2}, 1),
        ({"type": "integer", "maximum": 2, "default": 2}, 2),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [3, 3]),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"a": 3}),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "string", "maxLength": 4}, "Some"),
        ({}, "Some 3 itens"),
    ],
)
def test_arguments_follow_the_schema(part: dict[str, Any], value: Any) -> None:
    """Each kind of property gets a value of its kind, from the message where it has one."""
    assert make_input(spec("t", "d", a=part), "Some 3 itens") == {"a": value}


def test_optional_arguments_need_evidence() -> None:
    """An optional property is filled only if the message speaks of it."""
    tool = spec("t", "d", limite={"type": "integer", "optional": True})
    assert make_input(tool, "Liste 5 casos") == {"limite": 5}
    assert make_input(tool, "Liste casos") == {}


def test_text_and_json_are_worded() -> None:
    """JSON as a line of names and values, dates as one writes them; JSON in a text too; other blocks by kind."""
    worded = words_of(
        [
            {"json": {"last_step": {"b": True}, "c": [1, None], "at": "2026-05-04"}},
            {"text": '{"d": "x"}'},
            {"text": " y "},
            {"image": {}},
        ]
    )
    assert worded == "last step: (b sim); c: 1, não informado; at: 04/05/2026\nd: x\ny\n[image]"


def test_an_answer_that_explains_itself_is_not_spelt_out() -> None:
    """Its own words and its warnings, no names of members."""
    worded = words_of([{"json": {"valid": True, "explanation": "Número válido.", "warnings": ["Confira.", "Leia."]}}])
    assert worded == "Número válido.\n\nAtenção:\n- Confira.\n- Leia."


DATED = {
    "name": "contar_prazo",
    "inputSchema": {
        "json": {
            "type": "object",
            "properties": {"data": {"type": "string", "format": "date"}, "dias": {"type": "integer"}},
            "required": ["data", "dias"],
        }
    },
}


def test_a_date_that_nobody_named_is_asked_for(client: Any) -> None:
    """The model invents none; with one in the message, or when it is ordered to, it uses the tool."""
    config = {"tools": [{"toolSpec": DATED}]}
    asked = client.converse("Como contar o prazo de 15 dias?", toolConfig=config)
    (block,) = asked["output"]["message"]["content"]
    assert asked["stopReason"] == "end_turn"
    assert "preciso saber: data" in block["text"]
    assert "demonstração" in block["text"]
    named = client.converse("Como contar o prazo de 15 dias de 13/03/2026?", toolConfig=config)
    (block,) = named["output"]["message"]["content"]
    assert block["toolUse"]["input"] == {"data": "2026-03-13", "dias": 15}
    assert client.converse("Como contar o prazo? [[tools=1]]", toolConfig=config)["stopReason"] == "tool_use"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("houve intimação confirmada", "intimacao_confirmada"),
        ("houve intimação não confirmada", "intimacao_nao_confirmada"),
        ("citação não confirmada de ente público", "citacao_nao_confirmada_ente_publico"),
        ("houve intimação", "intimacao"),
    ],
)
def test_of_several_choices_the_one_with_most_words_is_meant(text: str, expected: str) -> None:
    """So a longer name is not taken for the shorter one that it begins with."""
    names = ["intimacao", "intimacao_confirmada", "intimacao_nao_confirmada", "citacao_nao_confirmada_ente_publico"]
    schema = {"type": "object", "properties": {"evento": {"enum": names}}, "required": ["evento"]}
    assert make_input({"name": "x", "inputSchema": {"json": schema}}, text) == {"evento": expected}


def test_an_answer_in_its_own_words_says_that_it_is_a_demonstration(client: Any) -> None:
    """Nobody takes it for a model's; a text that was ordered is exactly that text."""
    said = client.converse("Bom dia")["output"]["message"]["content"][0]["text"]
    assert "modelo local de demonstração" in said
    assert client.converse("[[say=olá]]")["output"]["message"]["content"][0]["text"] == "olá"


def input_pieces(events: list[dict[str, Any]]) -> list[str]:
    """The pieces of streamed tool input."""
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    return [delta["toolUse"]["input"] for delta in deltas]


def converse_through_tools(client: Any, text: str, answer_with: Callable[[int], dict[str, Any]]) -> list[Any]:
    """Run the tool loop with the real client; all assistant messages. Every request must keep the rules."""
    messages: list[Any] = [{"role": "user", "content": [{"text": text}]}]
    said = []
    while True:
        body = {"messages": messages, "toolConfig": CONFIG}
        assert check_conversation(body) == []
        answer = client.boto.converse(modelId=SONNET, **body)
        message = answer["output"]["message"]
        said.append(message)
        if answer["stopReason"] != "tool_use":
            return said
        uses = [block["toolUse"] for block in message["content"] if "toolUse" in block]
        results = [
            {"toolResult": {"toolUseId": use["toolUseId"], **answer_with(number)}} for number, use in enumerate(uses)
        ]
        messages += [message, {"role": "user", "content": results}]


def test_answer_holds_what_the_tool_said(client: Any) -> None:
    """After the tool's result the answer is in words, with the result's facts in it."""
    said = converse_through_tools(
        client, f"E o {CASE}?", lambda _: {"content": [{"json": {"fase": "sentença", "data": "2026-05-04"}}]}
    )
    assert said[-1]["content"] == [
        {"text": f"{MARK}\n\nSegundo a ferramenta consultar_processo: fase: sentença; data: 04/05/2026"}
    ]


def test_answer_tells_a_failed_tool(client: Any) -> None:
    """A result with status error is told as a failure."""
    said = converse_through_tools(
        client, f"E o {CASE}?", lambda _: {"status": "error", "content": [{"text": "fora do ar"}]}
    )
    assert said[-1]["content"][0]["text"] == (
        f"{MARK}\n\nNão consegui usar a ferramenta consultar_processo: fora do ar"
    )


def test_tool_iterations_are_counted_from_the_message(client: Any) -> None:
    """tools=3 and parallel=2: three iterations of two tool uses, all ids distinct, then the ordered answer."""
    said = converse_through_tools(
        client, "[[tools=3]] [[parallel=2]] [[say=Fim.]]", lambda n: {"content": [{"text": f"r{n}"}]}
    )
    ids = [block["toolUse"]["toolUseId"] for message in said[:-1] for block in message["content"]]
    assert [len(message["content"]) for message in said] == [2, 2, 2, 1]
    assert len(set(ids)) == 6
    assert said[-1]["content"] == [{"text": "Fim."}]


def test_forced_tools_take_turns_with_numbered_input(client: Any) -> None:
    """tool=a,b alternates from iteration to iteration, and $n numbers the inputs."""
    said = converse_through_tools(
        client,
        '[[tools=3]] [[tool=calcular_prazo,nenhuma]] [[input={"q": ["$n"]}]]',
        lambda n: {"content": [{"text": "ok"}]},
    )
    uses = [message["content"][0]["toolUse"] for message in said[:-1]]
    assert [(use["name"], use["input"]) for use in uses] == [
        ("calcular_prazo", {"q": ["1"]}),
        ("nenhuma", {"q": ["2"]}),
        ("calcular_prazo", {"q": ["3"]}),
    ]


def test_ids_stay_unique_when_history_is_trimmed(client: Any) -> None:
    """An id that is in the conversation is not given again, though all else that it is made from is the same."""

    def next_id(present: str) -> str:
        use = {"toolUse": {"toolUseId": present, "name": "t", "input": {}}}
        result = {"toolResult": {"toolUseId": present, "content": [{"text": "ok"}]}}
        messages = [
            {"role": "user", "content": [{"text": "[[tool=t]] [[tools=2]]"}]},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ]
        answer = client.boto.converse(modelId=SONNET, messages=messages, toolConfig=CONFIG)
        return str(answer["output"]["message"]["content"][0]["toolUse"]["toolUseId"])

    given = next_id("outro")
    assert next_id("outro") == given
    assert next_id(given) != given


@pytest.mark.parametrize(
    ("choice", "name"),
    [({"any": {}}, "buscar_jurisprudencia"), ({"tool": {"name": "calcular_prazo"}}, "calcular_prazo")],
)
def test_tool_choice_is_obeyed(client: Any, choice: dict[str, Any], name: str) -> None:
    """toolChoice any or tool makes the model ask for one, even for small talk."""
    answer = client.converse("Olá", toolConfig=CONFIG | {"toolChoice": choice})
    assert answer["output"]["message"]["content"][0]["toolUse"]["name"] == name


@pytest.mark.parametrize(
    ("text", "stop", "content"),
    [
        ("[[say=Exato.]]", "end_turn", [{"text": "Exato."}]),
        ("[[say=x]] [[stop=algo_novo]]", "algo_novo", [{"text": "x"}]),
        ("[[empty]]", "end_turn", []),
        ("[[length=3]]", "end_turn", [{"text": "o processo segue"}]),
        (f"E o {CASE}? [[length=3]]", "end_turn", [{"text": "o processo segue"}]),
        (f"E o {CASE}? [[tools=0]] [[say=x]]", "end_turn", [{"text": "x"}]),
    ],
)
def test_ordered_answers(client: Any, text: str, stop: str, content: list[Any]) -> None:
    """An ordered answer comes word by word as ordered, and without tools unless they are ordered too."""
    answer = client.converse(text, toolConfig=CONFIG)
    assert (answer["stopReason"], answer["output"]["message"]["content"]) == (stop, content)


def test_answer_stops_at_the_token_limit(client: Any) -> None:
    """maxTokens cuts the answer, and says so."""
    answer = client.converse("[[say=12345678 abc]]", inferenceConfig={"maxTokens": 2})
    assert answer["stopReason"] == "max_tokens"
    assert answer["output"]["message"]["content"] == [{"text": "12345678"}]
    assert answer["usage"]["outputTokens"] == 2


def test_answer_stops_at_a_stop_sequence(client: Any) -> None:
    """A stop sequence ends the answer before it."""
    answer = client.converse("[[say=um, dois, três]]", inferenceConfig={"stopSequences": [", três", ", dois"]})
    assert (answer["stopReason"], answer["output"]["message"]["content"][0]["text"]) == ("stop_sequence", "um")


def test_stream_has_the_events_of_bedrock(client: Any) -> None:
    """Text comes in words without a block start; metadata comes last, after messageStop."""
    events = client.stream("[[say=um dois]]")
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert [event["contentBlockDelta"]["delta"]["text"] for event in events[1:3]] == ["um ", "dois"]
    assert events[-1]["metadata"]["usage"]["totalTokens"] > 0
    assert events[-1]["metadata"]["metrics"]["latencyMs"] >= 0


def test_streamed_tool_use_comes_in_pieces(client: Any) -> None:
    """A reasoning block, then a tool use whose input is JSON in several pieces, the first of them empty."""
    events = client.stream(f"E o {CASE}? [[reasoning]]", toolConfig=CONFIG)
    starts = [event["contentBlockStart"] for event in events if "contentBlockStart" in event]
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    reasoning = [delta["delta"]["reasoningContent"] for delta in deltas if delta["contentBlockIndex"] == 0]
    pieces = [delta["delta"]["toolUse"]["input"] for delta in deltas if delta["contentBlockIndex"] == 1]
    assert [start["contentBlockIndex"] for start in starts] == [1]
    assert reasoning[0]["text"]
    assert reasoning[-1]["signature"]
    assert pieces[0] == ""
    assert len(pieces) > 2
    assert json.loads("".join(pieces)) == {"numero": CASE}


def test_streamed_and_whole_answers_agree(client: Any) -> None:
    """The text of the stream is the text of the one-body answer, and so are usage and stop reason."""
    whole, events = client.converse("Olá, [[reasoning]] modelo"), client.stream("Olá, [[reasoning]] modelo")
    text = "".join(
        event["contentBlockDelta"]["delta"].get("text", "") for event in events if "contentBlockDelta" in event
    )
    assert whole["output"]["message"]["content"][1]["text"] == text
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    assert events[-2]["messageStop"]["stopReason"] == whole["stopReason"]


def test_empty_input_is_streamed_as_nothing(client: Any) -> None:
    """A tool use without arguments has only an empty piece, as on Bedrock."""
    events = client.stream("[[tool=t]] [[input={}]]", toolConfig=CONFIG)
    pieces = input_pieces(events)
    assert pieces == [""]


@pytest.mark.parametrize(("order", "stop"), [("", "max_tokens"), ("[[stop=tool_use]]", "tool_use")])
def test_tool_use_can_end_in_the_middle(client: Any, order: str, stop: str) -> None:
    """A cut tool use has broken JSON, with the stop reason max_tokens or the one ordered."""
    events = client.stream(f'[[tool=t]] [[input={{"a": "bcdef"}}]] [[cut_tool_use]] {order}', toolConfig=CONFIG)
    pieces = input_pieces(events)
    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(pieces))
    assert events[-2]["messageStop"]["stopReason"] == stop


def test_token_limit_cuts_a_tool_use(client: Any) -> None:
    """maxTokens in the middle of the arguments leaves broken JSON and says max_tokens."""
    events = client.stream(f"E o {CASE}?", toolConfig=CONFIG, inferenceConfig={"maxTokens": 6})
    assert events[-2]["messageStop"]["stopReason"] == "max_tokens"
    assert any("contentBlockStart" in event for event in events)


def test_scripted_answers(bedrock_local: LocalBedrock, client: Any) -> None:
    """What a test scripts comes in order, whatever the messages say."""
    bedrock_local.script(tool_use("t", {"a": 1}), reply("feito"), "[[say=fim]]")
    first = client.converse("[[say=não isto]]")
    assert first["output"]["message"]["content"][0]["toolUse"]["input"] == {"a": 1}
    assert [client.converse()["output"]["message"]["content"][0]["text"] for _ in range(2)] == ["feito", "fim"]
