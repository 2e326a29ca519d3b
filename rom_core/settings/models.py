"""The table of models: the aliases that clients and settings use, and what stands behind each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from types import MappingProxyType
from typing import Any

from rom_core.settings.problems import Problem
from rom_core.settings.values import shown

_EXPECTED = {
    str: "non-blank text",
    int: "a whole number of at least 1",
    float: "a number from 0 to 1000000",
    bool: "true or false",
}


_MAX_PRICE = 1e6


THINKING = ("none", "budget", "adaptive", "always")
"""The kinds of extended thinking that a model may have; see Model."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of Amazon Bedrock.

    alias: the name in settings, requests and answers. id: the model or inference profile that goes on the wire.
    max_tokens: the most output tokens it gives; context_tokens: the most that question and answer have together.
    prompt_caching: it accepts cache points; cache_min_tokens: the shortest prefix that it caches. The prices are in USD
    per million tokens, price_cache_write for five minutes and price_cache_write_1h for an hour (0: not offered).
    end_of_life: the service no longer serves it.

    sampling: it accepts temperature, top_p and top_k; newer models refuse a request that has them. thinking: "none", no
    setting of it is accepted; "budget", thinking by a budget of tokens, off unless asked for; "adaptive", it decides
    itself how much, and may be told not to; "always", it decides itself and cannot be told not to.
    thinking_between_tools: of those, one that accepts to think between tool calls only. forced_tool_choice: it accepts
    a tool choice other than "auto". prefill: it goes on from an assistant's message at the end. structured_output: it
    accepts a schema for its text (Converse's outputConfig.textFormat). documents, images: it reads them.
    """

    alias: str
    id: str
    max_tokens: int
    prompt_caching: bool
    price_input: float
    price_output: float
    price_cache_read: float = 0.0
    price_cache_write: float = 0.0
    price_cache_write_1h: float = 0.0
    cache_min_tokens: int = 1024
    end_of_life: bool = False
    context_tokens: int = 200_000
    sampling: bool = True
    thinking: str = "none"
    thinking_between_tools: bool = False
    forced_tool_choice: bool = True
    prefill: bool = False
    structured_output: bool = False
    documents: bool = False
    images: bool = False


_CHOICES: Mapping[str, tuple[str, ...]] = {"thinking": THINKING}
_TYPES: Mapping[str, type[Any]] = {
    field.name: {"str": str, "int": int, "bool": bool, "float": float}[str(field.type)] for field in fields(Model)
}
_REQUIRED = tuple(field.name for field in fields(Model) if field.default is MISSING)


def build_models(
    table: Sequence[Mapping[str, Any]], setting: str = "MODELS"
) -> tuple[Mapping[str, Model], list[Problem]]:
    """The models of `table` by alias, in its order, and what is wrong with the entries that were left out."""
    models: dict[str, Model] = {}
    problems: list[Problem] = []
    for number, entry in enumerate(table, start=1):
        where = f"entry {number} ({entry.get('alias', 'without alias')})"
        wrong = list(_mistakes(entry))
        if not wrong and entry["alias"] in models:
            wrong = ["the alias is taken by an earlier entry"]
        if wrong:
            problems += [Problem(setting, f"{where}: {message}") for message in wrong]
        else:
            values: dict[str, Any] = {key: _TYPES[key](value) for key, value in entry.items()}
            models[values["alias"]] = Model(**values)
    return MappingProxyType(models), problems


def _mistakes(entry: Mapping[str, Any]) -> list[str]:
    mistakes = [f"{key} is missing" for key in _REQUIRED if key not in entry]
    for key, value in entry.items():
        if key not in _TYPES:
            near = difflib.get_close_matches(key, _TYPES, n=1)
            mistakes.append(f"unknown field {key}" + (f"; did you mean {near[0]}?" if near else ""))
        elif not _fits(_TYPES[key], value):
            mistakes.append(f"{key} must be {_EXPECTED[_TYPES[key]]}, not {shown(value)}")
        elif value not in _CHOICES.get(key, (value,)):
            mistakes.append(f"{key} must be one of {', '.join(_CHOICES[key])}, not {shown(value)}")
    return mistakes


def _fits(kind: type[Any], value: Any) -> bool:
    if kind is float:
        return type(value) in (int, float) and 0 <= value <= _MAX_PRICE
    if type(value) is not kind:
        return False
    return bool(value.strip()) if kind is str else kind is bool or value >= 1
