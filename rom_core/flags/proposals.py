"""The changes that can be asked for: who asks, what each makes of the overrides, what it falls back on."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rom_core.flags.canary import CANARY_PERCENT, CanaryBlock
from rom_core.plugin.snapshot import Snapshot
from rom_core.settings import InvalidSettings, InvalidValue, Problem, Setting, Settings, given_value, thaw
from rom_core.settings.files import suggestion
from rom_core.settings.layers import OVERRIDE
from rom_core.store.overrides import CANARY, PENDING, State, Version

KILL_SWITCH = "BEDROCK_ENABLED"
STILL_ON = (
    f"Nothing was changed: Bedrock is still on. To switch it off, ask for {KILL_SWITCH}=false and nothing else "
    f"(`rom flags set {KILL_SWITCH}=false`)."
)
MAX_EDITS = 500
"""In one change, and in a canary: a few times as many as there are settings."""
_SHOWN_CHARS = 100
_NAMELESS = re.compile(r"|default|key-\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks for a change: the administrator's name, the reason given, the trace id of the request."""

    by: str
    why: str = ""
    trace_id: str = ""

    @property
    def named(self) -> bool:
        """Whether the token has a name of a person's own; ADMIN_TOKEN calls the others "default" or "key-2"."""
        return _NAMELESS.fullmatch(self.by) is None


@dataclass(frozen=True, slots=True)
class InForce:
    """What is in force.

    `state` are the overrides, `unkept` those versions of them that the store has not taken yet, `skipped` the
    overrides that this version of the code cannot use.
    """

    snapshot: Snapshot
    state: State
    skipped: tuple[Problem, ...] = ()
    unkept: tuple[Version, ...] = ()


@dataclass(frozen=True)
class Resolved:
    """A snapshot, its canary included, and the overrides that it does without, with the reason."""

    snapshot: Snapshot
    skipped: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """The overrides a change wants, as JSON values by name.

    `may_skip` are those that may give way if they do not fit, None for all; `problems` what is wrong with the request.
    """

    values: Mapping[str, Any]
    may_skip: Container[str] | None = None
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that somebody asks for.

    `target` gives its overrides from those that are stored and what is in force; it is asked again when another process
    was first. Unless `if_version` is None, the change is for that version only. `fallback`, given for what must be
    carried out whatever else is broken, is what to put in force when the layers cannot be read. `approved`: more than
    one person has seen it, or its values were in force before.
    """

    target: Callable[[State, InForce], Target]
    author: Author
    if_version: int | None = None
    fallback: Callable[[InForce], Resolved] | None = None
    approved: bool = False


def edit(edits: Mapping[str, Any], author: Author, if_version: int | None = None) -> Proposal:
    """Set and clear overrides, as `check_edits` reads them."""
    return Proposal(_edited(edits), author, if_version)


def switch_off(edits: Mapping[str, Any], author: Author, if_version: int | None = None) -> Proposal:
    """Switch Bedrock off, which is all that `edits` say."""

    def off(now: InForce) -> Resolved:
        return Resolved(switched_off(now.snapshot), now.skipped)

    return Proposal(_edited(edits), author, if_version, fallback=off)


def switched_off(snapshot: Snapshot) -> Snapshot:
    """The same with Bedrock switched off, and nothing read or built for it."""
    return dataclasses.replace(snapshot, settings=snapshot.settings.replacing(OVERRIDE, **{KILL_SWITCH: False}))


def restore(past: State, author: Author, if_version: int | None = None) -> Proposal:
    """Go back to the overrides of `past`; what this code cannot use of them is skipped.

    A canary is never brought back: one that is not in force now stays ended, and CANARY_PERCENT with it.
    """

    def target(state: State, _now: InForce) -> Target:
        same = CANARY in past.values and past.values[CANARY] == state.values.get(CANARY)
        values = dict(past.values) if same else _without_canary(past.values)
        values.pop(PENDING, None)
        waiting = state.values.get(PENDING)
        return Target(values if waiting is None else {**values, PENDING: waiting})

    # What was in force once was seen by two persons then, or by whoever deployed it.
    return Proposal(target, author, if_version, approved=author.named)


def withdraw_canary(author: Author, if_version: int | None = None) -> Proposal:
    """Clear the block of the canary and the override of CANARY_PERCENT."""

    def ended(now: InForce) -> Resolved:
        return Resolved(dataclasses.replace(now.snapshot, canary=None), now.skipped)

    return Proposal(lambda state, _: Target(_without_canary(state.values)), author, if_version, fallback=ended)


def switched(edits: Mapping[str, Any], settings: Settings) -> bool | None:
    """What `edits` make of the kill switch, None if they leave it alone."""
    if KILL_SWITCH not in edits:
        return None
    good, _ = check_edits({KILL_SWITCH: edits[KILL_SWITCH]}, settings.declared, ())
    value: bool | None = good.get(KILL_SWITCH)
    return value


def leaves_bedrock_on(edits: Mapping[str, Any], settings: Settings) -> bool:
    """Whether somebody meant to switch Bedrock off by `edits`, and it is on while they are not carried out."""
    meant = edits.get(KILL_SWITCH) not in (None, "") and switched(edits, settings) is not True
    return settings.BEDROCK_ENABLED and meant


def check_edits(
    edits: Mapping[str, Any], declared: Mapping[str, Setting], overridden: Container[str]
) -> tuple[dict[str, Any], list[Problem]]:
    """The edits that can be tried, as JSON values (None clears), and what is wrong with the others.

    null and empty text clear an override; `overridden` are the names that have one, whether this version knows them
    or not. `canary` is the block of the canary.
    """
    good: dict[str, Any] = {}
    problems: list[Problem] = []
    if len(edits) > MAX_EDITS:
        return {}, [Problem("settings", f"{len(edits)} at once; {MAX_EDITS} is the most")]
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
            problems.append(Problem(name[:_SHOWN_CHARS], str(error)))
        except InvalidSettings as error:
            problems += error.problems
    if good.get(CANARY, good) is None:
        good.setdefault(CANARY_PERCENT, None)
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


def _without_canary(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in (CANARY, CANARY_PERCENT)}
