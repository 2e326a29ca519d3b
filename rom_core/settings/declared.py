"""Declarations: what a setting is, and what must hold between several of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rom_core.settings.values import InvalidValue, Kind, check_value

Scope: TypeAlias = Literal["turn", "process"]

KINDS = (bool, int, float, str, list, dict)
# One underscore at a time: dynaconf reads two as a path into a table.
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_RESERVED_NAMES = frozenset({"ROM_ENV"})


class InvalidDeclaration(ValueError):
    """A setting or rule is declared wrongly: a mistake in code, not in a configuration."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as the core or a plugin declares it. Raises InvalidDeclaration when it contradicts itself.

    name: upper case, the same in every layer. type: bool, int, float, str, list or dict. default: of that
    type. help: one sentence for the operator, with the unit. minimum, maximum: for numbers, and for each
    number of a list. choices: the only values allowed, for each element of a list. item: type of a list's
    elements, None for any. secret: never shown. runtime: may be changed at run time. scope: "turn" is read
    from the turn's own snapshot, "process" from the newest one. merge: what the layers say of a dict is laid over
    the entries of its default, which stay. sensitive: it decides where data or credentials go, or which model
    answers and by which instructions; one person alone cannot change it at run time, a second named person approves
    the change. switch: the on/off switch of the plugin that declares it. plugin: that
    plugin, filled in by the catalogue, None for the core.
    """

    name: str
    type: Kind
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] | None = None
    item: Kind | None = None
    secret: bool = False
    runtime: bool = True
    scope: Scope = "turn"
    merge: bool = False
    switch: bool = False
    sensitive: bool = False
    plugin: str | None = None

    def __post_init__(self) -> None:
        if not is_setting_name(self.name):
            raise InvalidDeclaration(f"{self.name!r} cannot be the name of a setting; a good one is MAX_TOKENS")
        for reason in _contradictions(self):
            raise InvalidDeclaration(f"{self.name}: {reason}")
        try:
            object.__setattr__(self, "default", check_value(self, self.default))
        except InvalidValue as error:
            raise InvalidDeclaration(f"{self.name}: the default {error}") from None


@dataclass(frozen=True, slots=True)
class Rule:
    """A relation between settings.

    `check` gets Settings that are valid one by one and answers None, or what is wrong as a sentence without
    secrets. `names` are the settings it reads, the one to blame first; it is not asked while one of them is
    itself invalid.
    """

    names: tuple[str, ...]
    check: Callable[[Any], str | None]

    def __post_init__(self) -> None:
        if not self.names:
            raise InvalidDeclaration("a rule needs the names of the settings it reads")


def is_setting_name(name: str) -> bool:
    """Whether a setting may be called so: upper case, digits and single underscores, and not ROM_ENV."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED_NAMES


def _contradictions(setting: Setting) -> list[str]:
    element = setting.item if setting.type is list else setting.type
    numeric = element in (int, float)
    low, high = setting.minimum, setting.maximum
    checks = (
        (setting.type not in KINDS, "the type must be bool, int, float, str, list or dict"),
        (not setting.help.strip(), "the help text is empty"),
        (setting.item is not None and setting.type is not list, "only a list has an item type"),
        (
            setting.item is not None and setting.item not in (*KINDS[:4], dict),
            "no list can hold items of this type",
        ),
        (not numeric and (low is not None or high is not None), "minimum and maximum are for numbers"),
        (low is not None and high is not None and low > high, "the minimum is above the maximum"),
        (setting.choices == (), "choices are empty"),
        (setting.merge and setting.type is not dict, "only a dict can be merged with its default"),
        (setting.switch and setting.type is not bool, "a switch must be a bool"),
        (setting.scope not in ("turn", "process"), "the scope must be turn or process"),
        (setting.secret and bool(setting.default), "a secret cannot have a default"),
        (
            setting.sensitive and (setting.secret or not setting.runtime),
            "what is secret or fixed at start cannot change at run time, so it needs no `sensitive`",
        ),
    )
    return [reason for wrong, reason in checks if wrong]
