"""The plugin masking, in the whole app and as a server would find it: through its entry point."""

from __future__ import annotations

import json
from typing import Any

import pytest
from local_bedrock import LocalBedrock, reply, tool_use
from rom_core.markers import hookimpl
from rom_core.testing import MakeApp, RomApp
from rom_core.tools import Tool

from rom_masking import Masking
from rom_masking.masks import Masks

CPF = "529.982.247-25"
KEY = "a key of the tests"
MASK = Masks(KEY.encode()).hide(CPF)
SCHEMA = {"type": "object", "properties": {"cpf": {"type": "string", "pattern": "^[0-9.-]+$"}}, "required": ["cpf"]}


class Register:
    """Another plugin: a tool that is asked for a CPF and knows another one."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @hookimpl
    def rom_tools(self) -> list[Tool]:
        """The tool."""

        def run(arguments: dict[str, Any], _context: object) -> dict[str, Any]:
            self.asked.append(arguments["cpf"])
            return {"titular": arguments["cpf"], "conjuge": "390.533.447-05"}

        return [Tool("cadastro", "Consulta o cadastro.", SCHEMA, run=run)]


def sent(bedrock: LocalBedrock) -> str:
    """All that has reached the model service."""
    return json.dumps([recorded.body for recorded in bedrock.requests], ensure_ascii=False)


@pytest.fixture
def app(rom_app: MakeApp) -> RomApp:
    """With the plugin, as it is installed."""
    return rom_app(MASKING_ENABLED=True, MASKING_KEY=KEY)


def test_the_model_sees_a_mask_and_the_person_the_number(app: RomApp, bedrock_local: LocalBedrock) -> None:
    """In one answer and streamed, in what the client adds to the system prompt too."""
    bedrock_local.script(reply(f"O CPF {MASK} é válido."), reply(f"O CPF {MASK} é válido."))
    assert app.chat(f"O CPF {CPF} é válido?", system=f"Fala com {CPF}.")["reply"] == f"O CPF {CPF} é válido."
    events = app.stream("O CPF 52998224725 é válido?")
    assert "".join(data["text"] for name, data in events if name == "delta") == "O CPF 52998224725 é válido."
    assert events[-1][1]["reply"] == "O CPF 52998224725 é válido."
    assert sent(bedrock_local).count(MASK) == 3
    assert CPF not in sent(bedrock_local)
    assert "52998224725" not in sent(bedrock_local)


def test_a_number_has_one_mask_in_the_whole_conversation(app: RomApp, bedrock_local: LocalBedrock) -> None:
    """The client sends the history as it knows it, with numbers; what reaches the model begins with the same text."""
    bedrock_local.script(reply(f"{MASK}, certo."), reply("Sim."))
    question = f"Meu CPF é {CPF}."
    answer = app.chat(question)["reply"]
    history = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    app.chat("E o de 390.533.447-05?", messages=history)
    first, second = (recorded.body["messages"] for recorded in bedrock_local.requests)
    texts = [message["content"][0]["text"] for message in second]
    assert texts[:2] == [first[0]["content"][0]["text"], f"{MASK}, certo."]
    assert CPF not in sent(bedrock_local)


def test_a_tool_of_the_server_works_with_numbers_and_its_result_is_masked(
    rom_app: MakeApp, bedrock_local: LocalBedrock
) -> None:
    """What the model asks for with a mask the tool gets as the number; the conversation keeps the mask."""
    register = Register()
    app = rom_app(
        plugins={"masking": Masking(), "register": register},
        MASKING_ENABLED=True,
        REGISTER_ENABLED=True,
        MASKING_KEY=KEY,
    )
    other = Masks(KEY.encode()).hide("390.533.447-05")
    bedrock_local.script(tool_use("cadastro", {"cpf": MASK}), reply(f"O cônjuge de {MASK} é {other}."))
    assert app.chat(f"Quem é o cônjuge de {CPF}?")["reply"] == f"O cônjuge de {CPF} é 390.533.447-05."
    assert register.asked == [CPF]
    _, asked, result = bedrock_local.requests[1].body["messages"]
    assert asked["content"][0]["toolUse"]["input"] == {"cpf": MASK}
    assert result["content"][0]["toolResult"]["content"] == [{"json": {"titular": MASK, "conjuge": other}}]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_of_the_client_gets_numbers_too(app: RomApp, bedrock_local: LocalBedrock, stream: bool) -> None:
    """And what it sends back is masked, with its own request for the tool."""
    bedrock_local.script(tool_use("cadastro", {"cpf": MASK}), reply("Sim."))
    tools = [{"type": "function", "function": {"name": "cadastro", "parameters": SCHEMA}}]
    body = {"messages": [{"role": "user", "content": f"Veja {CPF}"}], "tools": tools, "stream": stream}
    answer = app.client.simulate_post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert CPF in answer.text
    assert MASK not in answer.text
    if not stream:
        message = answer.json["choices"][0]["message"]
        back = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": f"{CPF} existe"}
        app.client.simulate_post("/v1/chat/completions", json={**body, "messages": [*body["messages"], message, back]})  # type: ignore[misc]
    assert MASK in sent(bedrock_local)
    assert CPF not in sent(bedrock_local)


def test_counting_tokens_masks_as_well(app: RomApp, bedrock_local: LocalBedrock) -> None:
    """The model service counts what it would be asked."""
    body = {"model": "anthropic.claude-sonnet-4-5", "messages": [{"role": "user", "content": CPF}]}
    assert app.client.simulate_post("/v1/messages/count_tokens", json=body).status_code == 200
    assert [recorded.operation for recorded in bedrock_local.requests] == ["CountTokens"]
    assert MASK in sent(bedrock_local)
    assert CPF not in sent(bedrock_local)


def test_switched_off_nothing_is_masked(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The switch alone decides."""
    rom_app(MASKING_KEY=KEY).chat(CPF)
    assert CPF in sent(bedrock_local)
