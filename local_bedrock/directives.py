"""Behaviour on demand: what a user message, or a test, may order the local Bedrock to do.

A directive stands anywhere in the last plain-text user message of the conversation, so it holds through a whole tool
loop: `[[name]]` or `[[name=value]]`. Text in double brackets whose name is not in this list is ordinary text.

The answer
    [[tools=3]]          ask for tools in three iterations, then answer (0: answer at once)
    [[parallel=4]]       four tool uses in each of those iterations
    [[tool=name]]        this tool, offered or not; `a,b,c` takes turns
    [[input={"x": 1}]]   this input; `$n` in its strings becomes the running number of the tool use
    [[say=text]]         exactly this answer
    [[length=500]]       an answer of so many words
    [[quote=text]]       cite this text from the document, whether it is there or not, before the answer
    [[empty]]            an answer without content
    [[reasoning]]        a reasoning block first
    [[stop=max_tokens]]  this stop reason for the answer, known or not
    [[cut_tool_use]]     tool input ends in the middle, with stop reason max_tokens unless [[stop]] says otherwise
    tool, parallel and input imply tools=1; say, length and empty imply tools=0.

Time, in seconds
    [[delay=0.05]]       before each piece of the answer
    [[latency=0.2]]      before the headers of the response

Faults
    [[fault=429]]        an HTTP status with Bedrock's usual error for it; 502 is a proxy's HTML, 504 an empty answer
    [[fault=NAME]]       an error by its AWS name, such as ThrottlingException or ModelTimeoutException
    [[fault=reset]]      RST before the headers; [[fault=close]] FIN; [[fault=hang]] silence
                         (with `after` these three come in the middle of the stream)
    [[fault=hang_stream]] some deltas, then silence
    [[fault=cut]]        connection closed in the middle of a frame
    [[fault=cut_chunked]] the same frame cut, but a correct end of the HTTP body
    [[fault=crc]]        a frame with a wrong checksum
    [[fault=bad_json]]   an event whose payload is not JSON
    [[fault=exception:throttlingException]]  an exception frame, [[fault=error:Code]] an error frame
    [[fault=no_stop]]    a clean end without messageStop, [[fault=no_usage]] an end without metadata

Modifiers of a fault
    [[retry_after=7]]    the Retry-After header of an HTTP fault
    [[after=3]]          a fault of the stream comes after so many deltas, 0 = before the first
    [[times=2]]          only the first two requests that carry this same message, then all is well
    [[at=2]]             only the second model request of the turn
    [[model=haiku]]      only for model ids that contain this text
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from local_bedrock.behaviour import Behaviour, DirectiveError, checked, read_fault


class Directed(NamedTuple):
    """A message taken apart: what it orders, and the text without the orders."""

    behaviour: Behaviour
    text: str


def parse(text: str, *, strict: bool = False) -> Directed:
    """The directives in `text`, and the text without them.

    Raises DirectiveError for a value that does not fit its directive; `strict` also for an unknown name.
    """
    if "[[" not in text:
        return Directed(Behaviour(), text)
    values: dict[str, Any] = {}
    rest, position = [], 0
    for name, value, start, end in _scan(text):
        if name not in _READERS:
            if strict:
                raise DirectiveError(f"unknown directive {name!r}; known: {', '.join(_READERS)}")
            continue
        try:
            values[name] = _READERS[name](value)
        except DirectiveError:
            raise
        except (TypeError, ValueError) as error:
            raise DirectiveError(f"directive {name!r} cannot have the value {value!r}") from error
        rest.append(text[position:start])
        position = end
    after, retry_after = values.pop("after", None), values.pop("retry_after", None)
    if "fault" in values:
        values["fault"] = replace(values["fault"], after=after, retry_after=retry_after)
    elif after is not None or retry_after is not None:
        raise DirectiveError("after and retry_after need a fault")
    rest.append(text[position:])
    return Directed(checked(Behaviour(**values)), "".join(rest).strip())


_OPENING = re.compile(r"\[\[([a-z_]+)(=|\]\])")


def _scan(text: str) -> Iterator[tuple[str, str | None, int, int]]:
    """Name, value (None without one), start and end of every directive; a JSON value may itself hold `]]`."""
    position = 0
    while opening := _OPENING.search(text, position):
        position = opening.end()
        if opening[2] != "=":
            yield opening[1], None, opening.start(), position
            continue
        close = text.find("]]", position)
        if opening[1] == "input":
            try:
                _, end = json.JSONDecoder().raw_decode(text, position)
                close = end if text.startswith("]]", end) else close
            except (ValueError, RecursionError):
                pass
        if close < 0:
            return
        yield opening[1], text[position:close], opening.start(), close + 2
        position = close + 2


def _count(value: str | None) -> int:
    number = int(value or "")
    if number < 0:
        raise ValueError("negative")
    return number


def _positive(value: str | None) -> int:
    if (number := _count(value)) == 0:
        raise ValueError("zero")
    return number


def _seconds(value: str | None) -> float:
    number = float(value or "")
    if not 0 <= number <= 600:
        raise ValueError("out of range")
    return number


def _text(value: str | None) -> str:
    if not value:
        raise ValueError("missing")
    return value


def _flag(value: str | None) -> bool:
    if value is not None:
        raise ValueError("takes no value")
    return True


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in _text(value).split(","))


def _json(value: str | None) -> Any:
    return json.loads(value or "")


_READERS: dict[str, Callable[[str | None], Any]] = {
    "tools": _count,
    "parallel": _positive,
    "tool": _names,
    "input": _json,
    "say": _text,
    "length": _count,
    "quote": _text,
    "empty": _flag,
    "reasoning": _flag,
    "stop": _text,
    "cut_tool_use": _flag,
    "delay": _seconds,
    "latency": _seconds,
    "fault": read_fault,
    "retry_after": _seconds,
    "after": _count,
    "times": _positive,
    "at": _positive,
    "model": _text,
}
