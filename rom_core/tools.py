"""What a tool is, and how one run of it becomes a `toolResult` that the model can react to.

A tool never fails a turn: invalid input, an unknown name, an exception, a time-out or a full pool are answers to the
model with status "error".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.errors import PluginError
from rom_core.json_schema import first_errors

MAX_LABEL_CHARS = 60
# Of the JSON of a card; what has more is no card.
MAX_CARD_CHARS = 16_000
_MAX_PROBLEMS = 5
_MAX_PROBLEM_CHARS = 500
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CARD = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class ToolContext:
    """What a running tool may know: how long it has, whether anybody still waits, and which turn it works for.

    `deadline` is the earlier of the tool's own time-out and the turn's deadline. A tool that loops or waits looks at
    `cancel` (an event to wait on: `cancel.event`); a tool that calls out over HTTP sends `trace_headers` along, made of
    `traceparent` ("" where the turn has no W3C trace id) and `tracestate`.
    """

    deadline: Deadline
    cancel: CancelToken
    settings: Any
    trace_id: str = ""
    request_id: str = ""
    tracestate: str = ""
    traceparent: str = ""

    @property
    def trace_headers(self) -> dict[str, str]:
        """The W3C headers for what this run calls: `traceparent` and, if the caller sent one, `tracestate`; or none."""
        headers = {"traceparent": self.traceparent, "tracestate": self.tracestate}
        return {name: value for name, value in headers.items() if value} if self.traceparent else {}


@dataclass(frozen=True)
class Tool:
    """Something the model may ask for.

    `name` matches [a-zA-Z0-9_-]{1,64}; `input_schema` is a JSON Schema (2020-12) of type object.
    `run(input, context)` returns a str, or anything that JSON can carry, or a ToolResult; an exception becomes an
    error result, with its text if it is a ToolError and without it otherwise. `timeout` is in seconds,
    None = TOOL_TIMEOUT_SECONDS. `repeatable` says that asking again with other input is normal (search, paging).
    `label` says to people what the tool does while it runs ("consultando DataJud"); "" leaves it to the name.
    `card` names the kind of card that a client may show of a result, [a-z][a-z0-9_-]{0,39}; "" shows none.
    Raises ValueError if name, schema, label or card are unusable.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    run: Callable[[dict[str, Any], ToolContext], Any]
    timeout: float | None = None
    repeatable: bool = False
    label: str = ""
    card: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"tool name {self.name!r} does not match {_NAME.pattern}")
        if not self.description.strip():
            raise ValueError(f"tool {self.name!r} has no description: the model chooses by it")
        if self.input_schema.get("type") != "object":
            raise ValueError(f"tool {self.name!r}: input_schema must be of type object")
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError(f"tool {self.name!r}: timeout must be positive")
        if len(self.label) > MAX_LABEL_CHARS or not (self.label.isprintable() and self.label == self.label.strip()):
            raise ValueError(f"tool {self.name!r}: label must be one line of at most {MAX_LABEL_CHARS} characters")
        if self.card and not _CARD.fullmatch(self.card):
            raise ValueError(f"tool {self.name!r}: card {self.card!r} does not match {_CARD.pattern}")

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator

        Draft202012Validator.check_schema(dict(self.input_schema))
        return Draft202012Validator(dict(self.input_schema))

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The `toolSpec` entry of a Converse request; shared, not to be changed."""
        return {
            "toolSpec": {
                "name": self.name,
                "description": self.description,
                "inputSchema": {"json": dict(self.input_schema)},
            }
        }

    def card_of(self, status: str, content: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """What a client may show of a result, `{kind, data}`; `content` is that of a Converse toolResult.

        None unless the tool declares a card and has succeeded with one JSON object of at most MAX_CARD_CHARS.
        """
        if not self.card or status != "success" or len(content) != 1:
            return None
        data = _plain(content[0]).get("json")
        if not isinstance(data, dict) or len(json.dumps(data, ensure_ascii=False)) > MAX_CARD_CHARS:
            return None
        return {"kind": self.card, "data": data}

    def problems(self, value: Any) -> list[str]:
        """What is wrong with an input, one line for each field, empty if nothing is."""
        errors = first_errors(self._validator, value)[:_MAX_PROBLEMS]
        return [
            f"{'.'.join(map(str, error.absolute_path)) or 'input'}: {error.message[:_MAX_PROBLEM_CHARS]}"
            for error in errors
        ]

    def check(self) -> None:
        """Raise ValueError unless the schema is a valid JSON Schema."""
        from jsonschema.exceptions import SchemaError

        try:
            _ = self._validator
        except SchemaError as error:
            raise ValueError(f"tool {self.name!r}: invalid input_schema: {error.message}") from None


class ToolError(Exception):
    """Raised by a tool to tell the model, in its text, what went wrong and what to try instead."""


@dataclass(frozen=True)
class ToolResult:
    """What goes back to the model: `content` is a list of Converse toolResult blocks ({"text"} or {"json"})."""

    content: tuple[dict[str, Any], ...]
    status: Literal["success", "error"] = "success"
    reason: str = field(default="", compare=False)

    @classmethod
    def error(cls, text: str, reason: str = "failed") -> ToolResult:
        """An error the model can read; `reason` is a short name for logs and metrics."""
        return cls(({"text": text},), "error", reason)

    @classmethod
    def of(cls, value: Any) -> ToolResult:
        """Wrap what a tool returned: text as it is, an object as json, anything else as JSON text."""
        if isinstance(value, ToolResult):
            return value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return cls(({"json": json.loads(text)},) if isinstance(value, dict) else ({"text": text},))

    def limited(self, max_chars: int) -> ToolResult:
        """The same result if its blocks have at most `max_chars` characters together, else cut, with a note."""
        sizes = [len(text) if text is not None else 0 for text in map(_text, self.content)]
        if sum(sizes) <= max_chars:
            return self
        content, left = [], max_chars
        for block, size in zip(self.content, sizes, strict=True):
            text = _text(block)
            if text is None or size <= left:
                content.append(block)
            elif left > 0:
                content.append({"text": cut(text, left)})
            left -= min(size, left)
        return replace(self, content=tuple(content))

    def block(self, tool_use_id: str) -> dict[str, Any]:
        """The Converse `toolResult` content block."""
        return {"toolResult": {"toolUseId": tool_use_id, "content": list(self.content), "status": self.status}}

    def as_json(self) -> list[dict[str, Any]]:
        """The content as JSON can carry it: texts, JSON, and of anything else its kind, as a text."""
        return [_plain(block) for block in self.content]


def _plain(block: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(block.get("text"), str):
        return {"text": block["text"]}
    if "json" in block:
        try:
            return {"json": json.loads(json.dumps(block["json"], default=str, allow_nan=False))}
        except ValueError:
            return {"text": str(block["json"])}
    return {"text": f"[{', '.join(map(str, block))}]"}


def _text(block: Mapping[str, Any]) -> str | None:
    if "json" in block:
        return json.dumps(block["json"], ensure_ascii=False, default=str)
    text = block.get("text")
    return text if isinstance(text, str) else None


def cut(text: str, max_chars: int) -> str:
    """The first `max_chars` characters, and a note to the model about how much is missing."""
    return f"{text[:max_chars]}\n[resultado cortado: {max_chars} de {len(text)} caracteres]"


class ToolBox:
    """The tools of one snapshot, by name."""

    def __init__(self, tools: Iterable[tuple[str, Tool]] = ()) -> None:
        """`tools` are pairs of plugin name and tool. Raises PluginError on a name that is taken or a broken schema."""
        self._tools: dict[str, Tool] = {}
        owners: dict[str, str] = {}
        for plugin, tool in tools:
            if tool.name in self._tools:
                raise PluginError(plugin, f"tool {tool.name!r} is already offered by {owners[tool.name]!r}")
            owners[tool.name] = plugin
            self._tools[tool.name] = tool
        self.specs: tuple[dict[str, Any], ...] = tuple(tool.spec for tool in self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def get(self, name: str) -> Tool | None:
        """The tool, or None."""
        return self._tools.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the plugins."""
        return tuple(self._tools)
