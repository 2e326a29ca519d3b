"""The request of a run as bytes, and back: what begins again elsewhere is what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from rom_core.documents.quotes import Source, Sources
from rom_core.store import content
from rom_core.structured import read_format
from rom_core.turn_values import ChatRequest, ClientTools, ResponseFormat

# Fields that are packed by hand; all others are JSON as they stand, tuples as lists.
_OWN: Final = ("client_tools", "response_format", "sources")
_TUPLES: Final = ("messages", "stop_sequences", "ignored", "warnings", "needs")


def packed(request: ChatRequest) -> tuple[bytes, dict[str, bytes]]:
    """The request, and the files in it by digest."""
    values: dict[str, Any] = {
        each.name: getattr(request, each.name) for each in fields(request) if each.name not in _OWN
    }
    if request.client_tools is not None:
        tools = request.client_tools
        values["client_tools"] = {each.name: getattr(tools, each.name) for each in fields(tools)}
    if request.response_format is not None:
        values["response_format"] = _asked(request.response_format)
    if isinstance(request.sources, Sources):
        values["sources"] = [
            [title, one.number, one.name, one.text, one.pages] for title, one in request.sources.by_name.items()
        ]
    return content.encoded([values])


def unpacked(body: bytes, file: Callable[[str], bytes]) -> ChatRequest:
    """The request of a body; `file` gives the content of a file by its digest.

    What a release does not know any more is left out. Raises InvalidRequest for a schema that it cannot use.
    """
    (given,) = content.decoded(body, file)
    known = {each.name for each in fields(ChatRequest)}
    values = {name: value for name, value in given.items() if name in known and name not in _OWN}
    values |= {name: tuple(values[name]) for name in _TUPLES if name in values}
    return ChatRequest(
        **values,
        client_tools=_tools(given.get("client_tools")),
        response_format=read_format(given.get("response_format")),
        sources=_sources(given.get("sources")),
    )


def _asked(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    schema = {"name": wanted.name, "description": wanted.description, "schema": wanted.schema}
    return {"type": "json_schema", "json_schema": schema}


def _tools(given: Mapping[str, Any] | None) -> ClientTools | None:
    return None if given is None else ClientTools(**{**given, "specs": tuple(given["specs"])})


def _sources(given: Any) -> Sources | None:
    if not given:
        return None
    return Sources((title, Source(number, name, text, tuple(pages))) for title, number, name, text, pages in given)
