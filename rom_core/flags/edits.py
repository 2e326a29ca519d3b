"""What an administrator asks to change, checked name by name before anything is tried."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from rom_core.flags.canary import CanaryBlock
from rom_core.settings import InvalidSettings, InvalidValue, Problem, Setting, given_value, thaw
from rom_core.settings.files import suggestion
from rom_core.store.overrides import CANARY


def check_edits(
    edits: Mapping[str, Any], declared: Mapping[str, Setting], overridden: Container[str]
) -> tuple[dict[str, Any], list[Problem]]:
    """The edits that can be tried, as JSON values (None clears), and what is wrong with the others.

    null and empty text clear an override; `overridden` are the names that have one, whether this version knows them
    or not. `canary` is the block of the canary.
    """
    good: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in edits.items():
        try:
            if value is None or value == "":
                if name not in overridden and name != CANARY:
                    _changeable(name, declared)
                good[name] = None
            elif name == CANARY:
                block = CanaryBlock.parse(value, declared)
                if not block.flags:
                    raise InvalidValue("changes no flags; null ends a canary")
                good[name] = block.as_dict()
            else:
                good[name] = thaw(given_value(_changeable(name, declared), value))
        except InvalidValue as error:
            problems.append(Problem(name, str(error)))
        except InvalidSettings as error:
            problems += error.problems
    return good, problems


def _changeable(name: str, declared: Mapping[str, Setting]) -> Setting:
    setting = declared.get(name)
    if setting is None:
        raise InvalidValue(f"unknown setting{suggestion(name, declared)}")
    if setting.secret:
        raise InvalidValue("a secret belongs in .secrets.local.toml or the environment")
    if not setting.runtime:
        raise InvalidValue("cannot be changed at run time; change a file and restart")
    return setting
