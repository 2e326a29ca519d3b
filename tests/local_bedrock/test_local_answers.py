"""What the deterministic model answers: by itself, after its tools, and as ordered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from local_tools_support import CASE, CONFIG, SONNET

from local_bedrock import LocalBedrock, reply, tool_use
from local_bedrock.rules import check_conversation
from local_bedrock.wording import MARK, words_of


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


def test_an_answer_in_its_own_words_says_that_it_is_a_demonstration(client: Any) -> None:
    """Nobody takes it for a model's; a text that was ordered is exactly that text."""
    said = client.converse("Bom dia")["output"]["message"]["content"][0]["text"]
    assert "modelo local de demonstração" in said
    assert client.converse("[[say=olá]]")["output"]["message"]["content"][0]["text"] == "olá"


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


def test_scripted_answers(bedrock_local: LocalBedrock, client: Any) -> None:
    """What a test scripts comes in order, whatever the messages say."""
    bedrock_local.script(tool_use("t", {"a": 1}), reply("feito"), "[[say=fim]]")
    first = client.converse("[[say=não isto]]")
    assert first["output"]["message"]["content"][0]["toolUse"]["input"] == {"a": 1}
    assert [client.converse()["output"]["message"]["content"][0]["text"] for _ in range(2)] == ["feito", "fim"]
