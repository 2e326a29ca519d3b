"""What is said of a change: who asks for it, what is in force, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rom_core.settings import Problem
from rom_core.store.overrides import State, Version

if TYPE_CHECKING:
    from rom_core.plugin.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks for a change: the administrator's name, the reason given, the trace id of the request."""

    by: str
    why: str = ""
    trace_id: str = ""


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


@dataclass(frozen=True, slots=True)
class Applied:
    """What a change came to.

    `changed` maps names to (before, after) as JSON, secrets masked. `durable` tells whether all of it survives a
    restart. `not_reloaded` are the reasons why only the kill switch was carried out and the layers stayed as they were.
    """

    version: int
    changed: Mapping[str, tuple[Any, Any]]
    durable: bool
    skipped: tuple[Problem, ...]
    awaiting_restart: Mapping[str, Any]
    not_reloaded: tuple[Problem, ...] = ()
