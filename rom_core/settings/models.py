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
class PriceBand:
    """USD per million tokens, of every token of a request whose prompt has more than `above_input_tokens`.

    The prompt is all input: plain, read from the cache, and written to it.
    """

    above_input_tokens: int
    price_input: float
    price_output: float
    price_cache_read: float = 0.0
    price_cache_write: float = 0.0
    price_cache_write_1h: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """One model of Amazon Bedrock.

    alias: the name in settings, requests and answers. id: the model or inference profile that goes on the wire.
    max_tokens: the most output tokens it gives; context_tokens: the most that question and answer have together.
    prompt_caching: it accepts cache points; cache_min_tokens: the shortest prefix that it caches. The prices are in USD
    per million tokens, price_cache_write for five minutes and price_cache_write_1h for an hour (0: not offered);
    price_bands: other prices for long prompts, the shortest first; price_date and price_source: of when and from where
    they are. end_of_life: the service no longer serves it.

    sampling: it accepts temperature, top_p and top_k; newer models refuse a request that has them. thinking: "none", no
    setting of it is accepted; "budget", thinking by a budget of tokens, off unless asked for; "adaptive", it decides
    itself how much, and may be told not to; "always", it decides itself and cannot be told not to.
    thinking_between_tools: of those, one that accepts to think between tool calls only. forced_tool_choice: it accepts
    a tool choice other than "auto". prefill: it goes on from an assistant's message at the end. structured_output: it
    accepts a schema for its text (Converse's outputConfig.textFormat). documents, images: it reads them.
    citations: it cites documents.
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
    citations: bool = False
    images: bool = False
    price_bands: tuple[PriceBand, ...] = ()
    price_date: str = ""
    price_source: str = ""

    def prices(self, prompt_tokens: int) -> PriceBand:
        """Those of a request whose prompt has so many tokens."""
        for band in reversed(self.price_bands):
            if prompt_tokens > band.above_input_tokens:
                return band
        return PriceBand(
            0,
            self.price_input,
            self.price_output,
            self.price_cache_read,
            self.price_cache_write,
            self.price_cache_write_1h,
        )


_CHOICES: Mapping[str, tuple[str, ...]] = {"thinking": THINKING}
_BANDS = "price_bands"
_PLAIN: Mapping[str, type[Any]] = {"str": str, "int": int, "bool": bool, "float": float}


def _types(kind: type[Any]) -> Mapping[str, type[Any]]:
    return {field.name: _PLAIN[str(field.type)] for field in fields(kind) if field.name != _BANDS}


def _required(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.default is MISSING)


_TYPES, _REQUIRED = _types(Model), _required(Model)
_BAND_TYPES, _BAND_REQUIRED = _types(PriceBand), _required(PriceBand)
_PRICES = tuple(name for name in _BAND_TYPES if name.startswith("price_"))


def build_models(
    table: Sequence[Mapping[str, Any]], setting: str = "MODELS"
) -> tuple[Mapping[str, Model], list[Problem]]:
    """The models of `table` by alias, in its order, and what is wrong with the entries that were left out."""
    models: dict[str, Model] = {}
    problems: list[Problem] = []
    for number, entry in enumerate(table, start=1):
        where = f"entry {number} ({entry.get('alias', 'without alias')})"
        wrong = _mistakes(entry, _TYPES, _REQUIRED) + _band_mistakes(entry)
        if not wrong and entry["alias"] in models:
            wrong = ["the alias is taken by an earlier entry"]
        # Clients take such parts out of a path before they ask: GET /v1/models/<alias> would not find it.
        if not wrong and not {".", ".."}.isdisjoint(entry["alias"].split("/")):
            wrong = ["the alias has a part that no path can have: `.` or `..`"]
        if wrong:
            problems += [Problem(setting, f"{where}: {message}") for message in wrong]
        else:
            bands = tuple(PriceBand(**_typed(band, _BAND_TYPES)) for band in entry.get(_BANDS, ()))
            model = Model(**_typed(entry, _TYPES), price_bands=bands)
            models[model.alias] = model
    return MappingProxyType(models), problems


def _typed(entry: Mapping[str, Any], types: Mapping[str, type[Any]]) -> dict[str, Any]:
    return {key: types[key](value) for key, value in entry.items() if key != _BANDS}


def _mistakes(entry: Mapping[str, Any], types: Mapping[str, type[Any]], required: Sequence[str]) -> list[str]:
    mistakes = [f"{key} is missing" for key in required if key not in entry]
    for key, value in entry.items():
        if key == _BANDS and types is _TYPES:
            continue
        if key not in types:
            near = difflib.get_close_matches(key, types, n=1)
            mistakes.append(f"unknown field {key}" + (f"; did you mean {near[0]}?" if near else ""))
        elif not _fits(types[key], value):
            mistakes.append(f"{key} must be {_EXPECTED[types[key]]}, not {shown(value)}")
        elif value not in _CHOICES.get(key, (value,)):
            mistakes.append(f"{key} must be one of {', '.join(_CHOICES[key])}, not {shown(value)}")
    return mistakes


def _band_mistakes(entry: Mapping[str, Any]) -> list[str]:
    """A band gives each price that its row gives, and begins above the one before it."""
    bands = entry.get(_BANDS, ())
    if not isinstance(bands, Sequence) or isinstance(bands, str) or not all(isinstance(one, Mapping) for one in bands):
        return [f"{_BANDS} must be a list of tables, not {shown(bands)}"]
    mistakes, before = [], 0
    for number, band in enumerate(bands, start=1):
        needed = dict.fromkeys((*_BAND_REQUIRED, *(price for price in _PRICES if entry.get(price))))
        wrong = _mistakes(band, _BAND_TYPES, tuple(needed))
        if not wrong and band["above_input_tokens"] <= before:
            wrong = [f"above_input_tokens must be more than {before}, that of the band before it"]
        before = before if wrong else band["above_input_tokens"]
        mistakes += [f"{_BANDS} {number}: {message}" for message in wrong]
    return mistakes


def _fits(kind: type[Any], value: Any) -> bool:
    if kind is float:
        return type(value) in (int, float) and 0 <= value <= _MAX_PRICE
    if type(value) is not kind:
        return False
    return bool(value.strip()) if kind is str else kind is bool or value >= 1
