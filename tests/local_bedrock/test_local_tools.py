"""Which tool the deterministic model asks for, and the arguments that it makes up."""

from __future__ import annotations

from typing import Any

import pytest
from local_tools_support import CASE, CONFIG, SONNET, spec

from local_bedrock.tools import choose_tool, find_pattern, make_input


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
