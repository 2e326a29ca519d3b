"""What there is to know of a fleet, and the fleet of one."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instance:
    """A process of the fleet, as the others know it.

    `version` is that of the settings in force there, `since` when it came and `seen` when it was last heard of, both in
    seconds since the epoch by the store's clock.
    """

    id: str
    release: str
    version: int
    since: float
    seen: float
    draining: bool = False


@dataclass(frozen=True, slots=True)
class InForceAt:
    """On how many of `of` instances a version of the settings is in force; the ids of those that have not said so."""

    instances: int
    of: int
    unconfirmed: tuple[str, ...] = ()


class Fleet(Protocol):
    """What the rest of the process asks of its fleet; nothing here waits for the store, but `wait_in_force` a while."""

    @property
    def id(self) -> str:
        """Of this instance."""

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All of them, this one first, as last heard of."""

    @property
    def term(self) -> int | None:
        """The term in which this instance leads, None while it does not. What a leader writes, it writes for a term."""

    @property
    def away(self) -> str:
        """Why the fleet cannot be reached, "" while it can."""

    def on(self, topic: str, callback: Callable[[], None]) -> None:
        """Call back when the store tells of `topic`, and whenever a message may have been missed.

        `rom_core.store.sharing.notify` tells of one; LEADER is told when this instance begins to lead. The thread of
        the fleet calls back, so never for long.
        """

    def wait_in_force(self, version: int, *, durable: bool) -> InForceAt:
        """Wait until `version` or a newer one is in force everywhere, at most 5 seconds.

        Nobody else can know of a change that is not `durable`: then nothing is waited for.
        """

    def start(self) -> None:
        """Join it."""

    def stop(self) -> None:
        """Leave it."""


class SingleInstance:
    """The fleet of a process whose store is its own: it leads, and what it has in force is in force everywhere."""

    term: int | None = 0
    away = ""

    def __init__(self, myself: Callable[[], Instance]) -> None:
        """`myself` is this instance as it is now."""
        self._myself = myself

    @property
    def id(self) -> str:
        """Of this instance."""
        return self._myself().id

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Only this one."""
        return (self._myself(),)

    def on(self, topic: str, callback: Callable[[], None]) -> None:
        """Nobody else ever changes anything, and nobody else leads."""

    def wait_in_force(self, version: int, *, durable: bool) -> InForceAt:  # noqa: ARG002
        """It is."""
        return InForceAt(1, 1)

    def start(self) -> None:
        """Nothing to join."""

    def stop(self) -> None:
        """Nothing to leave."""


def instance_name(environ: Mapping[str, str]) -> str:
    """RENDER_INSTANCE_ID or the host name: it outlives the process, and two on one host have the same."""
    return environ.get("RENDER_INSTANCE_ID") or socket.gethostname()


def instance_id(environ: Mapping[str, str]) -> str:
    """`instance_name` with a random suffix: two processes never have the same."""
    return f"{instance_name(environ)}-{secrets.token_hex(3)}"
