"""How a model is asked for a structured answer: by a schema for its text, by a tool that it has to use, or in words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Literal

from rom_core.conversation.values import clean_name
from rom_core.structured.native import native_schema
from rom_core.turn_values import ResponseFormat

Way = Literal["native", "tool", "instruction"]

_TOOL: Final = "final_answer"
_TOOL_DESCRIPTION: Final = "Entrega a resposta final. Use-a quando tiver tudo de que precisa, e só então."
_INSTRUCTION: Final = (
    "Formato da resposta: a sua resposta final deve ser somente um valor JSON que satisfaça o JSON Schema abaixo, sem "
    "nenhum texto antes ou depois e sem cercas de código.\n<json_schema>\n{schema}\n</json_schema>"
)


def ask_for(request: dict[str, Any], wanted: ResponseFormat, *, native: bool, tool: str, last: bool) -> Way:
    """Change a Converse request, before plugins and the normaliser see it, so that it asks for the answer.

    `native`: the model takes a schema for its text. `tool` is the name of the one that takes the answer, "" where none
    can be forced or the tools are the client's, who would be handed it. `last`: the model is to answer now and to use
    no other tool. What of the request is changed is replaced, since it may be shared.
    """
    way, text = _way(wanted, native=native, forced=bool(tool))
    if way == "native":
        schema = {"schema": text, "name": clean_name(wanted.name, "answer")}
        structure = {"jsonSchema": schema | ({"description": wanted.description} if wanted.description else {})}
        request["outputConfig"] = {
            **request.get("outputConfig", {}),
            "textFormat": {"type": "json_schema", "structure": structure},
        }
    elif way == "tool":
        tools = list((request.get("toolConfig") or {}).get("tools") or ())
        spec = {
            "name": tool,
            "description": f"{_TOOL_DESCRIPTION} {wanted.description}".strip(),
            "inputSchema": {"json": wanted.schema},
        }
        choice: dict[str, Any] = {"tool": {"name": tool}} if last or not tools else {"any": {}}
        request["toolConfig"] = {"tools": [*tools, {"toolSpec": spec}], "toolChoice": choice}
    else:
        request["system"] = [*request.get("system", ()), {"text": _INSTRUCTION.format(schema=text)}]
    return way


def answer_tool(others: Iterable[str]) -> str:
    """The name of the tool that takes the answer, beside tools of these names."""
    taken = set(others)
    number, name = 1, _TOOL
    while name in taken:
        number += 1
        name = f"{_TOOL}_{number}"
    return name


def _way(wanted: ResponseFormat, *, native: bool, forced: bool) -> tuple[Way, str]:
    """How, and the schema as text for it.

    Any object at all cannot be said natively, where objects are closed, and a tool without parameters is called without
    any: that is asked for in words.
    """
    if wanted.kind == "json_schema":
        text = json.dumps(wanted.schema, ensure_ascii=False)
        if native and (closed := _native(text)) is not None:
            return "native", closed
        if forced and wanted.schema.get("type") == "object":
            return "tool", text
        return "instruction", text
    return "instruction", json.dumps(wanted.schema)


@lru_cache(maxsize=64)
def _native(text: str) -> str | None:
    return native_schema(json.loads(text))
