"""docs/reference.md: what hooks are given and what they return, field by field."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rom_core import events
from rom_core.answer_text import TextFilter
from rom_core.background import BackgroundTurn
from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.concurrency.clock import Clock
from rom_core.concurrency.watchdog import Watchdog
from rom_core.errors import RomError
from rom_core.files import KeptFile
from rom_core.ops.fields import FIELDS, MAY_CHANGE
from rom_core.plugin.protocols import PluginRoutes, PluginStore, Runtime
from rom_core.settings import Model, Rule, Setting, Settings
from rom_core.settings.models import PriceBand
from rom_core.span import Span
from rom_core.tables import Erasure, Tables
from rom_core.tools import Tool, ToolBox, ToolContext, ToolError, ToolResult
from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
from rom_core.turn_snapshot import Snapshot
from rom_core.turn_speech import Speech
from rom_core.turn_values import (
    CachePlan,
    ChatRequest,
    ClientTools,
    IterationResult,
    ModelReply,
    ResponseFormat,
    StopLoop,
    TryAgain,
    TurnResult,
    Usage,
)

Types = Mapping[str, Sequence[type]]

TYPES: Types = {
    "What a turn is made of": (Turn, Iteration, ModelCall, Attempt, ToolCall, Deadline, CancelToken, Span),
    "What is asked": (ChatRequest, ClientTools, ResponseFormat, Erasure),
    "What is answered": (ModelReply, ToolResult, IterationResult, TurnResult, Usage, RomError),
    "Decisions": (TryAgain, StopLoop, CachePlan, KeptFile, BackgroundTurn, TextFilter),
    "What a plugin declares": (Setting, Rule, Tool, ToolContext, ToolError, Tables),
    "The process": (Runtime, PluginRoutes, PluginStore, Snapshot, Settings, Model, PriceBand, ToolBox, Clock, Watchdog),
    "Events": tuple(
        getattr(events, name) for name in events.__all__ if isinstance(getattr(events, name), type) and name != "Event"
    ),
}
# What a plugin makes and returns, or raises: it sets what it likes.
_MADE = (
    *(ModelReply, ToolResult, TurnResult, IterationResult, TryAgain, StopLoop, CachePlan, KeptFile, BackgroundTurn),
    *(Setting, Rule, Tool, Tables),
)
# An annotation as inspect shows it: in quotes.
_QUOTED = re.compile(r"((?:: |-> ))'([^']*)'")
_INTRODUCTION = """\
What the [hooks](hooks.md) are given and what they return, with everything that can be reached from there: fields,
properties and methods. What a name begins with `_`, or is said to be for the core, is not for plugins. Errors are in
`rom_core.errors`, `hookimpl` is in `rom_core.markers`.

Times and durations are in seconds unless something else stands there. The last column says what a plugin may do: *read*
it; *set* it, where it makes the object itself; or what stands there. A frozen object never changes: where a hook
returns such an object, `dataclasses.replace` makes another. Lists and dicts within it are shared: read them."""


def types_page(note: str) -> str:
    """The page, below `note`."""
    parts = [note, "# Reference of types", _INTRODUCTION]
    for title, types in TYPES.items():
        parts.append(f"## {title}")
        parts += [part for type_ in types for part in _described(type_)]
    return "\n\n".join(part for part in parts if part) + "\n"


def fields_of(type_: type) -> dict[str, tuple[str, str]]:
    """The public fields of a type: annotation and default by name, as a reader of the code would see them."""
    if dataclasses.is_dataclass(type_):
        return {
            field.name: (str(field.type), _default(field))
            for field in dataclasses.fields(type_)
            if not field.name.startswith("_")
        }
    found = {name: (str(kind), "") for name, kind in inspect.get_annotations(type_).items() if name[0] != "_"}
    # What is no dataclass and has no annotations is described by what docs/reference.md says of it.
    return found | {name: ("", "") for name in FIELDS.get(type_.__name__, {}) if name not in found}


def _described(type_: type) -> Iterator[str]:
    module = events.__name__ if issubclass(type_, events.Event) else type_.__module__
    yield f"### {type_.__name__}"
    yield f"`from {module} import {type_.__name__}`"
    fields = fields_of(type_)
    about = inspect.cleandoc(type_.__doc__ or "")
    # The paragraphs behind the first one describe fields, for who reads the code.
    yield about.partition("\n\n")[0] if fields else about
    if issubclass(type_, events.Event):
        yield f"Its name, in logs and elsewhere: `{type_.name}`."
    if vars(type_).get("__dataclass_params__") and vars(type_)["__dataclass_params__"].frozen:
        yield "Frozen."
    if fields:
        yield "\n".join(_rows(type_, fields))
    members = list(_methods(type_))
    yield "```\n" + "\n".join(members) + "\n```" if members else ""


def _rows(type_: type, fields: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    name = type_.__name__
    yield "| field | type | default | | a plugin may |"
    yield "|---|---|---|---|---|"
    for field, (kind, default) in fields.items():
        may = MAY_CHANGE.get(name, {}).get(field, "set" if type_ in _MADE else "read")
        text = FIELDS.get(name, {}).get(field)
        if text is None:
            raise LookupError(f"{name}.{field} is new: say in rom_core/ops/fields what it is, a number with its unit")
        cells = (f"`{field}`", _code(kind), _code(default), text, may)
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return repr(made) if made in ([], {}) else f"{type(made).__name__}()"
    default = field.default
    make: Any = type(default)
    if hasattr(default, "__dataclass_fields__") and default == make():
        return f"{make.__name__}()"
    return "" if default is dataclasses.MISSING else repr(default)


def _methods(type_: type) -> Iterator[str]:
    inherited = vars(Speech).items() if issubclass(type_, Speech) else ()
    for name, member in (*vars(type_).items(), *inherited):
        if name.startswith("_"):
            continue
        function = getattr(member, "func", None) or getattr(member, "__func__", member)
        function = member.fget if isinstance(member, property) else function
        if not inspect.isfunction(function):
            continue
        about = inspect.cleandoc(function.__doc__ or "").partition("\n")[0]
        signature = inspect.signature(function)
        if function is not member and not isinstance(member, classmethod | staticmethod):
            kind = str(signature.return_annotation).strip("'")
            yield f"{name}: {kind}  # {about}"
        else:
            _, *parameters = signature.parameters.values()
            shown = _QUOTED.sub(r"\1\2", str(signature.replace(parameters=parameters)))
            yield f"{name}{shown}  # {about}"
