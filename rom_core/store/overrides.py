"""Overrides that outlive the process: what is kept of them, and what a store must do.

A store keeps an append-only history of versions. The state at any version is what replaying the history up to it
gives; nothing else is kept, so that the two can never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

CANARY = "canary"
"""The name under which the canary block stands among the overrides; names of settings are upper case."""
PENDING = "pending"
"""The name under which changes stand that wait for a second person: {id: {edits, names, by, why, at}}."""
FIRST_VERSION = 1
FIRST_START = "first start"
"""Why there is a first version."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one version changed about one name; `before` and `after` are JSON values, secrets masked.

    action: "set" and "clear" an override ("set": `after` is its value), or "reload": a layer below the overrides says
    something else, which changes no override.
    """

    name: str
    action: Literal["set", "clear", "reload"]
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Version:
    """One entry of the history. `at` is in seconds since the epoch, `by` the administrator's name."""

    number: int
    at: float
    by: str
    why: str = ""
    trace_id: str = ""
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Override:
    """One override: its JSON value, and the version that set it."""

    name: str
    value: Any
    version: int
    at: float
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class State:
    """All overrides at one version, by name."""

    version: int = FIRST_VERSION
    overrides: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def values(self) -> dict[str, Any]:
        """Their values alone."""
        return {name: override.value for name, override in self.overrides.items()}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a store.

    state: "restored" (it was damaged, the last good copy is in use), "lost" (damaged, and there was no copy) or
    "unwritable" (changes would not survive a restart).
    """

    state: Literal["restored", "lost", "unwritable"]
    detail: str


class StoreConflict(Exception):
    """Somebody else appended a version first."""


class OverrideStore(Protocol):
    """A durable history. Every method but `trouble` may raise StoreUnavailable, and waits for a few seconds at most.

    Several processes may share one store: `append` is what keeps them apart.
    """

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with it, None if nothing is."""

    def load(self) -> State:
        """The newest state."""

    def state_at(self, version: int) -> State | None:
        """The state at a version of the history, None if it has no such version."""

    def append(self, after: int, versions: Sequence[Version]) -> None:
        """Add versions, all or none; they are durable when this returns.

        Raises StoreConflict unless `after` is the newest version.
        """

    def history(self, limit: int, before: int | None = None) -> list[Version]:
        """The newest versions, newest first, at most `limit`, of those below `before`."""


def replay(versions: Iterable[Version], state: State = State()) -> State:
    """The state that `versions`, oldest first, make of `state`."""
    number, overrides = state.version, dict(state.overrides)
    for version in versions:
        number = version.number
        for change in version.changes:
            if change.action == "set":
                overrides[change.name] = Override(
                    change.name, change.after, version.number, version.at, version.by, version.why
                )
            elif change.action == "clear":
                overrides.pop(change.name, None)
    return State(number, MappingProxyType(overrides))
