"""What tests of the guardrails share: a turn whose model goes on asking for tools."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from support import (
    Recorder,
    Toolkit,
    asks,
    make_runtime,
    make_turn,
    says,
    tool,
)

from plugins.guardrails import (
    Guardrails,
)
from rom_core.tools import Tool
from rom_core.turn_values import ModelReply, TurnResult

Asked = tuple[str, dict[str, Any]]


def numbered(reply: ModelReply, number: int) -> ModelReply:
    """The reply with toolUseIds that no other reply of the turn has."""
    blocks: list[dict[str, Any]] = []
    for block in reply.content:
        use = block.get("toolUse")
        blocks.append({"toolUse": use | {"toolUseId": f"{number}-{use['toolUseId']}"}} if use else block)
    return dataclasses.replace(reply, content=tuple(blocks))


class Loop:
    """Runs one turn whose model asks for `steps`, one tuple of tool uses an iteration, and answers when told to close.

    After the last step the model gives its answer by itself.
    """

    def __init__(self, *steps: Sequence[Asked], tools: Sequence[Tool] = (), clock: Any = None, **settings: Any) -> None:
        self.recorder = Recorder()
        self.ran: list[str] = []
        kit = Toolkit(*tools, *(self._tool(name) for name in "abcd"), self._tool("search", repeatable=True))
        replies = [numbered(asks(*step), number) for number, step in enumerate(steps)]
        self.runtime, self.transport = make_runtime(
            *(replies or [asks(("a", {}))]),
            says("the answer"),
            plugins={"guardrails": Guardrails(), "kit": kit, "recorder": self.recorder},
            clock=clock,
            **settings,
        )

    def run(self, **request: Any) -> TurnResult:
        """Run the turn."""
        self.turn = make_turn(self.runtime, **request)
        return self.runtime.run(self.turn)

    def results(self, request: int) -> list[list[str]]:
        """The texts of the tool results in the last message of the n-th request on the wire (from 0)."""
        content = self.transport.requests[request]["messages"][-1]["content"]
        return [[part.get("text", "") for part in block["toolResult"]["content"]] for block in content]

    def events(self, kind: type) -> list[Any]:
        """The events of this type."""
        return [event for event in self.recorder.events if isinstance(event, kind)]

    def _tool(self, name: str, **options: Any) -> Tool:
        def run(value: Any, context: Any) -> str:
            self.ran.append(name)
            return f"{name} ran"

        return tool(name, run, **options)


def varied(count: int) -> list[list[Asked]]:
    """So many iterations in which nothing repeats."""
    return [[("abcd"[n % 4], {"n": n})] for n in range(count)]
