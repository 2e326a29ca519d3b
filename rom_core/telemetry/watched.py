"""What is watched: the runtime, as far as the judgement on health looks at it; this package stands below it."""

from __future__ import annotations

from typing import Protocol

from rom_core.concurrency.clock import Clock
from rom_core.concurrency.intake import Intake
from rom_core.plugin.snapshot import Snapshot
from rom_core.turn_values import Event


class Trouble(Protocol):
    """What is wrong with the store."""

    @property
    def state(self) -> str:
        """In one word."""

    @property
    def detail(self) -> str:
        """In a sentence."""


class KeptFlags(Protocol):
    """The overrides, and how their store is."""

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the store, None if nothing is."""

    @property
    def durable(self) -> bool:
        """Whether all that is in force would survive a restart."""


class Reachable(Protocol):
    """The fleet."""

    @property
    def away(self) -> str:
        """Why it cannot be reached, "" while it can."""


class Process(Protocol):
    """The runtime, as far as it is watched."""

    clock: Clock
    intake: Intake

    @property
    def current(self) -> Snapshot:
        """The snapshot in force."""

    @property
    def flags(self) -> KeptFlags | None:
        """None if the settings cannot change."""

    @property
    def fleet(self) -> Reachable:
        """The instances that share the store."""

    def bedrock_enabled(self) -> bool:
        """The kill switch as it stands now."""

    def emit(self, event: Event) -> None:
        """Tell the observers."""


def trouble_of_store(process: Process) -> str:
    """What is wrong with the store, "" if nothing is."""
    flags = process.flags
    if flags is None:
        return ""
    if flags.trouble is not None:
        return f"{flags.trouble.state}: {flags.trouble.detail}"
    if not flags.durable:
        return "what is in force would not survive a restart"
    return f"cannot be reached: {process.fleet.away}" if process.fleet.away else ""
