"""What tests share: settings without files, a scripted transport, a runtime that talks to nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rom_core import hookspecs
from rom_core.concurrency.clock import Clock, FakeClock
from rom_core.errors import RomError
from rom_core.events import Event
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import Settings, load_settings
from rom_core.tools import Tool
from rom_core.turn import Attempt, Turn
from rom_core.turn_values import ChatRequest, ModelReply, Usage

NOWHERE = Path(__file__).parent / "nowhere"
MODELS = [
    {
        "alias": alias,
        "id": f"global.{alias}-v1:0",
        "max_tokens": 8192,
        "prompt_caching": True,
        "price_input": 3.0,
        "price_output": 15.0,
    }
    for alias in ("anthropic.first", "anthropic.second", "anthropic.third")
]
Step = ModelReply | Exception | Callable[[Attempt, dict[str, Any]], ModelReply]


def make_settings(catalogue: Catalogue | None = None, **values: Any) -> Settings:
    """Settings of the declared defaults and `values`, read from no file and no environment."""
    catalogue = catalogue or Catalogue(hookspecs)
    defaults: dict[str, Any] = {
        "BEDROCK_ENABLED": True,
        # In-process clients name a host of their own.
        "ALLOWED_HOSTS": ["*"],
        "MODELS": MODELS,
        "MODEL_PRIMARY": "anthropic.first",
        "MODEL_FALLBACKS": ["anthropic.second", "anthropic.third"],
        "SYSTEM_PROMPT": "You answer.",
    }
    environ = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in (defaults | values).items()
    }
    return load_settings(catalogue.settings, catalogue.rules, root=NOWHERE, environ={"ROM_ENV": "testing"} | environ)


def says(text: str, stop_reason: str = "end_turn", **extra: Any) -> ModelReply:
    """A reply of text."""
    content = ({"text": text},) if text else ()
    return ModelReply(content, stop_reason, "anthropic.first", Usage(10, 5), **extra)


def asks(*uses: tuple[str, dict[str, Any]], text: str = "", stop_reason: str = "tool_use") -> ModelReply:
    """A reply that asks for tools; ids are t1, t2, … within the reply."""
    blocks: list[dict[str, Any]] = [{"text": text}] if text else []
    blocks += [
        {"toolUse": {"toolUseId": f"t{number}", "name": name, "input": value}}
        for number, (name, value) in enumerate(uses, start=1)
    ]
    return ModelReply(tuple(blocks), stop_reason, "anthropic.first", Usage(10, 5))


class ScriptedTransport:
    """Plays `steps` in order: a reply (its text is streamed in words), an error, or a function that makes either.

    The last step repeats for ever. `requests` holds the Converse requests that would have gone on the wire.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[dict[str, Any]] = []

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        """Play the next step."""
        self.requests.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        reply = step if isinstance(step, ModelReply) else step(attempt, request)
        attempt.usage = reply.usage
        for word in reply.text.split(" "):
            attempt.text(word if reply.text.startswith(word) else f" {word}")
        return reply


class Recorder:
    """An observer that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        """The dotted names in order."""
        return [event.name for event in self.events]


class Toolkit:
    """A plugin that offers these tools."""

    def __init__(self, *tools: Tool) -> None:
        self._tools = tools

    @hookimpl
    def rom_tools(self) -> Sequence[Tool]:
        """All of them."""
        return self._tools


ANYTHING = {"type": "object"}


def tool(name: str = "look", run: Callable[..., Any] | None = None, **options: Any) -> Tool:
    """A tool that accepts any object."""
    schema = options.pop("input_schema", ANYTHING)
    return Tool(name, f"the tool {name}", schema, run or (lambda value, context: f"{name} ran"), **options)


def make_runtime(
    *steps: Step, plugins: dict[str, Any] | None = None, clock: Clock | None = None, **values: Any
) -> tuple[Runtime, ScriptedTransport]:
    """A runtime with these plugins, all switched on, whose model plays `steps`."""
    catalogue = Catalogue.of(hookspecs, **(plugins or {}))
    switches = {plugin.switch: True for plugin in catalogue.plugins.values()}
    transport = ScriptedTransport(*(steps or (says("hello"),)))
    runtime = Runtime(
        catalogue,
        make_settings(catalogue, **(switches | values)),
        clock=clock or FakeClock(),
        transport=transport,
    )
    return runtime, transport


def make_turn(runtime: Runtime, message: str = "question", **request: Any) -> Turn:
    """A turn of one message, or of `messages`, not yet run."""
    messages = request.pop("messages", ({"role": "user", "content": [{"text": message}]},))
    sink = request.pop("sink", None)
    return runtime.turn(ChatRequest(messages, "conv-1", **request), sink=sink, trace_id="trace", request_id="req")


def failure(error: type[RomError], **details: Any) -> RomError:
    """An instance with keyword details."""
    return error("", **details)
