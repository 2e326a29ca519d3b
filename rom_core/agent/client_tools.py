"""Tools that the client runs: which requests go to it, under which ids, and what it has run already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from rom_core.conversation import clean_name, identify
from rom_core.errors import InvalidRequest
from rom_core.settings import Model
from rom_core.turn_values import ChatRequest, ClientTools, Message, ModelReply

ToolUse = dict[str, Any]

# For a model that asks for a tool although the client said that none is to be used.
NONE_NOW = "Nesta resposta nenhuma ferramenta pode ser usada. Responda agora com o que já se sabe."


def check_client_tools(request: ChatRequest, model: Model, server_names: Collection[str]) -> None:
    """Raise InvalidRequest if the model refuses to be forced to a tool, or a tool has the name of one of the server's.

    The latter only where the server's are offered beside them.
    """
    clients = request.client_tools
    if clients is None:
        return
    if clients.forced and not model.forced_tool_choice:
        text = f"{model.alias} cannot be made to use a tool; send auto, or ask another model"
        raise InvalidRequest(f"tool_choice: {text}", param="tool_choice")
    taken = sorted(clients.names.intersection(server_names)) if clients.with_server else []
    if taken:
        raise InvalidRequest(f"tools: {', '.join(taken)} is the server's own; use another name", param="tools")


def for_client(clients: ClientTools | None, uses: Sequence[ToolUse]) -> tuple[list[ToolUse], list[ToolUse]]:
    """What of a model's `uses` the client runs, one of them if it wants no more at a time, and what is run here."""
    if clients is None:
        return [], list(uses)
    theirs = [use for use in uses if clients.owns(use["name"])]
    return theirs if clients.parallel else theirs[:1], [use for use in uses if not clients.owns(use["name"])]


def presentable(reply: ModelReply, messages: Sequence[Message]) -> ModelReply:
    """The reply, in which no request for a tool has the id of another one, here or earlier in the conversation.

    By its id a client knows which call is which; what a model sends twice would be taken for one call. Names are made
    such as a tool can have: a client has to be able to send an invented one back.
    """
    taken = {use["toolUseId"] for message in messages for use in _uses(message)}
    content = [_named(block) for block in reply.content]
    identify(content, taken)
    return replace(reply, content=tuple(content))


def loop_start(messages: Sequence[Message]) -> int:
    """The index of the first message after the person's last one: from there on, calls and results of one loop."""
    start = len(messages)
    for message in reversed(messages):
        blocks = message["content"]
        if not any(("toolUse" if message["role"] == "assistant" else "toolResult") in block for block in blocks):
            break
        start -= 1
    return start


def earlier_rounds(request: ChatRequest) -> list[list[ToolUse]]:
    """The tools that the client has run since the person's last message, round by round, oldest first.

    They belong to the loop that this turn goes on with, though each round was a request of its own.
    """
    rounds = map(_uses, request.messages[loop_start(request.messages) :])
    return [uses for uses in rounds if uses]


def _named(block: dict[str, Any]) -> dict[str, Any]:
    use = block.get("toolUse")
    return {"toolUse": {**use, "name": clean_name(use["name"], "tool")}} if use is not None else block


def _uses(message: Message) -> list[ToolUse]:
    return [block["toolUse"] for block in message["content"] if "toolUse" in block]
