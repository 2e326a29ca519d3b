"""docs/types.md: what hooks are given and what they return, field by field."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rom_core import events
from rom_core.answer_text import TextFilter
from rom_core.files import KeptFile
from rom_core.plugin.protocols import PluginRoutes, Runtime
from rom_core.settings import Rule, Setting
from rom_core.tables import Tables
from rom_core.tools import Tool, ToolContext, ToolError, ToolResult
from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
from rom_core.turn_speech import Speech
from rom_core.turn_values import (
    CachePlan,
    ChatRequest,
    IterationResult,
    ModelReply,
    StopLoop,
    TryAgain,
    TurnResult,
    Usage,
)

_TYPES: Mapping[str, Sequence[type]] = {
    "What a turn is made of": (Turn, Iteration, ModelCall, Attempt, ToolCall),
    "What is asked and answered": (ChatRequest, ModelReply, ToolResult, IterationResult, TurnResult, Usage, KeptFile),
    "Decisions": (TryAgain, StopLoop, CachePlan, TextFilter),
    "What a plugin declares": (Setting, Rule, Tool, ToolContext, ToolError, Tables),
    "The process": (Runtime, PluginRoutes),
}
# An annotation as inspect shows it: in quotes.
_QUOTED = re.compile(r"((?:: |-> ))'([^']*)'")
_INTRODUCTION = """\
What the [hooks](hooks.md) are given and what they return: fields with their defaults, properties and methods. What a
name begins with `_` is not for plugins. Errors are in `rom_core.errors`, `hookimpl` is in `rom_core.markers`."""


def types_page(note: str) -> str:
    """The page, below `note`."""
    parts = [note, "# Types", _INTRODUCTION]
    for title, types in _TYPES.items():
        parts.append(f"## {title}")
        parts += [part for type_ in types for part in _described(type_, type_.__module__)]
    parts.append("## Events")
    for name in events.__all__:
        event = getattr(events, name)
        if isinstance(event, type) and event is not events.Event:
            parts += _described(event, events.__name__)
    return "\n\n".join(part for part in parts if part) + "\n"


def _described(type_: type, module: str) -> Iterator[str]:
    yield f"### {type_.__name__}"
    yield f"`from {module} import {type_.__name__}`"
    yield inspect.cleandoc(type_.__doc__ or "")
    members = [*_fields(type_), *_methods(type_)]
    yield "```\n" + "\n".join(members) + "\n```" if members else ""


def _fields(type_: type) -> Iterator[str]:
    if not dataclasses.is_dataclass(type_):
        annotations = inspect.get_annotations(type_)
        yield from (f"{name}: {kind}" for name, kind in annotations.items() if not name.startswith("_"))
        return
    if issubclass(type_, events.Event):
        yield f'name = "{type_.name}"'
    for field in dataclasses.fields(type_):
        if not field.name.startswith("_"):
            yield f"{field.name}: {field.type}{_default(field)}"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return f" = {made!r}" if made in ([], {}) else f" = {type(made).__name__}()"
    return "" if field.default is dataclasses.MISSING else f" = {field.default!r}"


def _methods(type_: type) -> Iterator[str]:
    inherited = vars(Speech).items() if issubclass(type_, Speech) else ()
    for name, member in (*vars(type_).items(), *inherited):
        if name.startswith("_"):
            continue
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not inspect.isfunction(function):
            continue
        about = inspect.cleandoc(function.__doc__ or "").partition("\n")[0]
        signature = inspect.signature(function)
        if isinstance(member, property):
            yield f"{name}: {signature.return_annotation}  # {about}"
        else:
            _, *parameters = signature.parameters.values()
            shown = _QUOTED.sub(r"\1\2", str(signature.replace(parameters=parameters)))
            yield f"{name}{shown}  # {about}"
