"""The changes that can be asked for: what each makes of the overrides, and what it puts in force in need."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rom_core.flags.canary import CANARY_PERCENT
from rom_core.flags.edits import check_edits
from rom_core.flags.kills import KILL_SWITCH
from rom_core.flags.records import Author, InForce
from rom_core.flags.resolve import EVERYTHING, Resolved
from rom_core.settings import Problem, Settings
from rom_core.settings.layers import OVERRIDE
from rom_core.store.overrides import CANARY, State


@dataclass(frozen=True, slots=True)
class Target:
    """The overrides a change wants, as JSON values by name.

    `may_skip` are those that may give way if they do not fit, `problems` what is wrong with what was asked.
    """

    values: Mapping[str, Any]
    may_skip: Container[str] = EVERYTHING
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that somebody asks for.

    `target` gives its overrides from those that are stored and what is in force; it is asked again when another process
    was first. Unless `if_version` is None, the change is for that version only. `in_need`, given for what must be
    carried out whatever else is broken, is what to put in force when the layers cannot be read.
    """

    target: Callable[[State, InForce], Target]
    author: Author
    if_version: int | None = None
    in_need: Callable[[InForce], Resolved] | None = None


def edit(edits: Mapping[str, Any], author: Author, if_version: int | None = None) -> Proposal:
    """Set and clear overrides, as `check_edits` reads them."""
    return Proposal(_edited(edits), author, if_version)


def switch_off(edits: Mapping[str, Any], author: Author, if_version: int | None = None) -> Proposal:
    """Switch Bedrock off, which is all that `edits` say."""
    return Proposal(_edited(edits), author, if_version, in_need=_switched_off)


def restore(past: State, author: Author, if_version: int | None = None) -> Proposal:
    """Go back to the overrides of `past`; what this code cannot use of them is skipped."""
    return Proposal(lambda _state, _now: Target(past.values), author, if_version)


def withdraw_canary(author: Author) -> Proposal:
    """Clear the block of the canary and the override of CANARY_PERCENT."""

    def target(state: State, _now: InForce) -> Target:
        return Target({name: value for name, value in state.values.items() if name not in (CANARY, CANARY_PERCENT)})

    return Proposal(target, author, in_need=_without_canary)


def switched(edits: Mapping[str, Any], settings: Settings) -> bool | None:
    """What `edits` make of the kill switch, None if they leave it alone."""
    if KILL_SWITCH not in edits:
        return None
    good, _ = check_edits({KILL_SWITCH: edits[KILL_SWITCH]}, settings.declared, ())
    value: bool | None = good.get(KILL_SWITCH)
    return value


def _edited(edits: Mapping[str, Any]) -> Callable[[State, InForce], Target]:
    def target(state: State, now: InForce) -> Target:
        good, problems = check_edits(edits, now.snapshot.settings.declared, state.overrides)
        values = {name: value for name, value in (state.values | good).items() if value is not None}
        # What was skipped is tried again, and skipped again if need be, as is what another process has stored since and
        # this code cannot use; what is in force here is not given up silently.
        known = now.state.values
        foreign = {name for name, value in state.values.items() if name not in known or known[name] != value}
        return Target(values, ({problem.name for problem in now.skipped} | foreign) - set(good), problems)

    return target


def _switched_off(now: InForce) -> Resolved:
    """What is in force, with Bedrock off and nothing else changed."""
    snapshot = now.snapshot
    settings = snapshot.settings.replacing(OVERRIDE, **{KILL_SWITCH: False})
    return Resolved(dataclasses.replace(snapshot, settings=settings), now.skipped)


def _without_canary(now: InForce) -> Resolved:
    return Resolved(dataclasses.replace(now.snapshot, canary=None), now.skipped)
