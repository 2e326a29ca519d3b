"""The kill switch before it is part of a snapshot: Bedrock is off from the moment somebody asks.

Whoever changes the settings at that moment may be held up, by a disk or another process. Nobody has to wait for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rom_core.flags.records import Applied, Author

KILL_SWITCH = "BEDROCK_ENABLED"


@dataclass(eq=False, slots=True)
class Kill:
    """One request to switch Bedrock off.

    `applied` is what it came to, None until it is part of a snapshot. `left` tells that whoever asked has been answered
    without waiting any longer: the next who may change the settings carries it out.
    """

    edits: Mapping[str, Any]
    author: Author
    applied: Applied | None = None
    left: bool = False


class Kills:
    """Those that no snapshot has yet. Bedrock is off while there is one; reading takes no lock."""

    def __init__(self) -> None:
        self._pending: list[Kill] = []

    def __bool__(self) -> bool:
        return bool(self._pending)

    def __iter__(self) -> Iterator[Kill]:
        return iter(tuple(self._pending))

    def add(self, kill: Kill) -> None:
        """From now on Bedrock is off."""
        self._pending.append(kill)

    def drop(self, kill: Kill) -> None:
        """A snapshot has it now, or somebody has decided otherwise since."""
        if kill in self._pending:
            self._pending.remove(kill)
