"""Tools that the client runs: which requests go to it, and what it has run already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from rom_core.errors import InvalidRequest
from rom_core.settings import Model
from rom_core.turn_values import ChatRequest, ClientTools

ToolUse = dict[str, Any]


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
    """What of a model's `uses` the client runs, and what is run here; one of them, if it wants no more at a time."""
    if clients is None:
        return [], list(uses)
    uses = uses if clients.parallel else uses[:1]
    theirs = [use for use in uses if clients.owns(use["name"])]
    return theirs, [use for use in uses if not clients.owns(use["name"])]


def earlier_rounds(request: ChatRequest) -> list[list[ToolUse]]:
    """The tools that the client has run since the person's last message, round by round, oldest first.

    They belong to the loop that this turn goes on with, though each round was a request of its own.
    """
    rounds: list[list[ToolUse]] = []
    for message in reversed(request.messages):
        blocks = message["content"]
        if message["role"] == "assistant":
            uses = [block["toolUse"] for block in blocks if "toolUse" in block]
            if not uses:
                break
            rounds.append(uses)
        elif not any("toolResult" in block for block in blocks):
            break
    return rounds[::-1]
