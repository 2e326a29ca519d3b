"""Tools that a client brings, in any dialect: they, their calls and their results as Converse has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rom_core.turn_values import ClientTools

Body = Mapping[str, Any]
# Without tools they change nothing.
ONLY_WITH_TOOLS = ("tool_choice", "parallel_tool_calls")


def client_tools(
    specs: Iterable[dict[str, Any]], kind: str, name: str = "", *, parallel: bool = True, with_server: bool = False
) -> ClientTools | None:
    """The tools of a request, None if there are none.

    `kind` of the choice is "auto", "any", "none", or "tool" for the one of this `name`.
    """
    given = tuple(specs)
    if not given:
        return None
    choices: Mapping[str, dict[str, Any]] = {"auto": {"auto": {}}, "any": {"any": {}}, "tool": {"tool": {"name": name}}}
    return ClientTools(given, choices.get(kind), parallel, offered=kind != "none", with_server=with_server)


def tool_spec(name: str, description: str | None, schema: Body | None) -> dict[str, Any]:
    """A tool as Converse has it; a blank description, which Bedrock refuses, is left out."""
    given = {"properties": {}} if schema is None else schema
    spec = {"name": name, "inputSchema": {"json": {**given, "type": "object"}}}
    return {"toolSpec": spec | ({"description": description} if description and description.strip() else {})}


def tool_use(tool_use_id: str, name: str, given: Body) -> dict[str, Any]:
    """A call of a tool, as Converse has it."""
    return {"toolUse": {"toolUseId": tool_use_id, "name": name, "input": given}}


def tool_result(tool_use_id: str, content: Sequence[Body], status: str = "") -> dict[str, Any]:
    """What came of a call, as Converse has it; without a `status` it is a success."""
    result = {"toolUseId": tool_use_id, "content": list(content)}
    return {"toolResult": result | ({"status": status} if status else {})}


def twice(names: Sequence[str], field: str) -> Iterator[tuple[str, str]]:
    """The tools whose name another has before them, as pairs of path and reason; the name is in `field` of each."""
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"tools.{index}.{field}", "is the name of another tool, too"


def contradictions(
    body: Body, unsound: Collection[str], names: Sequence[str], field: str, forced: str
) -> Iterator[tuple[str, str]]:
    """As `twice`, and a tool_choice that cannot be met; `forced` means any."""
    yield from twice(names, field)
    choice = body.get("tool_choice")
    if "tools" in unsound:
        return
    if isinstance(choice, Mapping) and choice.get("function", choice)["name"] not in names:
        yield "tool_choice", "names no tool of the request"
    elif choice == forced and not names:
        yield "tool_choice", "needs tools"


def saying(given: Body, names: Iterable[str], before: str = "") -> list[str]:
    """Those of the fields `names` that ask for anything, with `before` in front; 0 does, as a seed."""
    return [f"{before}{name}" for name in names if _says(given.get(name))]


def _says(value: Any) -> bool:
    return not (value is None or value is False or value in ("", [], {}))
