"""Declarations refuse to contradict themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rom_core.settings import InvalidDeclaration, Rule, Setting


def _setting(**changes: Any) -> Setting:
    good: dict[str, Any] = {"name": "GOOD_NAME", "type": int, "default": 1, "help": "Help."}
    return Setting(**(good | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(
            ({"name": name}, "cannot be the name")
            for name in ("", "lower", "A__B", "_A", "A_", "1A", "A-B", "ROM_ENV", "Ä")
        ),
        ({"type": tuple, "default": ()}, "the type must be"),
        ({"help": "  "}, "help text is empty"),
        ({"default": "1"}, "the default must be a whole number"),
        ({"default": True}, "the default must be a whole number"),
        ({"default": None}, "the default must be a whole number"),
        ({"minimum": 2}, "the default must be at least 2"),
        ({"maximum": 0}, "the default must be at most 0"),
        ({"minimum": 3, "maximum": 2}, "the minimum is above the maximum"),
        ({"choices": (2, 3)}, "the default must be one of 2, 3"),
        ({"choices": ()}, "choices are empty"),
        ({"item": int}, "only a list has an item type"),
        ({"type": list, "default": ["a"], "item": int}, "the default element 1"),
        ({"type": list, "default": (), "item": list}, "no list can hold"),
        ({"type": str, "default": "", "minimum": 1}, "minimum and maximum are for numbers"),
        ({"switch": True}, "a switch must be a bool"),
        ({"scope": "request"}, "the scope must be"),
        ({"type": list, "default": (), "merge": True}, "only a dict can be merged"),
        ({"type": str, "default": "k", "secret": True}, "a secret cannot have a default"),
        ({"sensitive": True, "runtime": False}, "it needs no `sensitive`"),
        ({"sensitive": True, "type": str, "default": "", "secret": True}, "it needs no `sensitive`"),
        ({"type": float, "default": float("inf")}, "the default must be a finite number"),
    ],
)
def test_contradiction_is_refused(changes: dict[str, Any], reason: str) -> None:
    """A setting whose name, type, default, range or marks do not fit together cannot be declared."""
    with pytest.raises(InvalidDeclaration, match=reason):
        _setting(**changes)


def test_default_is_frozen() -> None:
    """A list or table given as default cannot change later, whoever kept it."""
    names = ["a"]
    declared = _setting(type=list, default=names, item=str)
    names.append("b")
    assert declared.default == ("a",)


def test_catalogue_can_fill_in_the_plugin() -> None:
    """dataclasses.replace gives the same setting with its plugin."""
    declared = _setting(type=list, default=[1], item=int)
    assert dataclasses.replace(declared, plugin="limiter").plugin == "limiter"
    assert dataclasses.replace(declared, plugin=None) == declared


def test_rule_needs_names() -> None:
    """A rule that reads no setting could be blamed on nothing."""
    with pytest.raises(InvalidDeclaration):
        Rule((), lambda settings: None)
