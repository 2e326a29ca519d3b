"""One change after the other: one lock lets them through, kills go first, and observers hear once it is free again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from rom_core.concurrency.locks import alone
from rom_core.errors import Overloaded
from rom_core.events import SettingsChanged
from rom_core.flags.announcer import Announcer
from rom_core.flags.applier import Applier
from rom_core.flags.kills import KILL_SWITCH, Kill, Kills
from rom_core.flags.proposals import Proposal, switch_off
from rom_core.flags.records import Applied, Author

if TYPE_CHECKING:
    from rom_core.plugin.pipeline import Pipeline

# A change takes some tens of milliseconds, and a store may be busy for two seconds.
_TURN_SECONDS = 10.0
logger = structlog.get_logger("rom.flags")


class Sequencer:
    """The one way to the applier."""

    def __init__(self, applier: Applier, kills: Kills, announcer: Announcer) -> None:
        self._applier = applier
        self._kills = kills
        self._announcer = announcer
        self._lock = threading.Lock()

    def change(self, proposal: Proposal) -> Applied:
        """As `Applier.apply`, in its turn. Raises Overloaded if others take too long."""
        with self._in_turn() as apply:
            return apply(proposal)

    def kill(self, edits: Mapping[str, Any], author: Author, *, enabled: bool) -> Applied:
        """Switch Bedrock off now, and make that a snapshot as soon as it is its turn.

        If others take too long, whoever comes next does it. `edits` say nothing else; `enabled` tells whether Bedrock
        was on.
        """
        kill = Kill(edits, author)
        self._kills.add(kill)
        try:
            with self._in_turn():
                pass  # The kill is among those that go first.
        except Overloaded:
            kill.left = True
        if kill.applied is not None:
            return kill.applied
        logger.warning("flags.kill_pending", by=author.by, trace_id=author.trace_id)
        in_force = self._applier.now
        changed = {KILL_SWITCH: (True, False)} if enabled else {}
        awaiting = in_force.snapshot.settings.awaiting_restart
        return Applied(in_force.snapshot.version, changed, False, in_force.skipped, awaiting)

    @contextmanager
    def _in_turn(self) -> Iterator[Callable[[Proposal], Applied]]:
        """Carry out the kills asked for before, then what is to be done, then kills that nobody waits for any more."""
        asked_before = tuple(self._kills)
        told: list[tuple[SettingsChanged, Pipeline, Pipeline]] = []

        def apply(proposal: Proposal) -> Applied:
            before = self._applier.now.snapshot.pipeline
            applied, event = self._applier.apply(proposal)
            if event is not None:
                told.append((event, before, self._applier.now.snapshot.pipeline))
            return applied

        def carry_out(kills: Iterable[Kill]) -> None:
            for kill in kills:
                if kill.applied is None:
                    try:
                        kill.applied = apply(switch_off(kill.edits, kill.author))
                    except Exception:
                        # It stays pending, so Bedrock stays off, and other changes are not held up by it.
                        logger.exception("flags.kill_failed", trace_id=kill.author.trace_id)
                        kill.left = True
                        continue
                self._kills.drop(kill)

        try:
            with alone(self._lock, _TURN_SECONDS, "change of the settings"):
                carry_out(asked_before)
                try:
                    yield apply
                finally:
                    carry_out(kill for kill in self._kills if kill.left and kill not in asked_before)
        finally:
            self._announcer.tell_trouble()
            for event, before, after in told:
                self._announcer.tell_change(event, before, after)
