"""The one place where settings change while the process runs.

Whoever reads takes no lock. A change goes through the parts of this package: `proposals` says what it wants,
`sequencer` lets one after the other through, `applier` puts it in force, `announcer` tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rom_core.concurrency.clock import SystemClock
from rom_core.errors import InvalidRequest
from rom_core.flags import proposals
from rom_core.flags.announcer import Announcer
from rom_core.flags.applier import Applier
from rom_core.flags.kills import Kills
from rom_core.flags.records import Applied, Author, InForce
from rom_core.flags.resolve import Layers
from rom_core.flags.sequencer import Sequencer
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import InvalidSettings, Settings
from rom_core.store.overrides import OverrideStore, Trouble, Version
from rom_core.store.sqlite_store import SqliteStore

if TYPE_CHECKING:
    from rom_core.plugin.snapshot import Snapshot
    from rom_core.runtime import Runtime


class Flags:
    """Settings that change while the process runs. `runtime.current` is swapped by this object alone.

    `at_start` are the layers without overrides, each setting judged by itself: enough for what is read only once.
    """

    at_start: Settings
    _runtime: Runtime
    _applier: Applier
    _announcer: Announcer
    _sequencer: Sequencer

    def __init__(self, layers: Layers, store: OverrideStore, at_start: Settings | None = None) -> None:
        """`at_start` if somebody has read it already. Raises InvalidSettings if a layer holds what does not fit."""
        self.layers = layers
        self._store = store
        self._kills = Kills()
        self.at_start = at_start or _each_by_itself(layers)

    @classmethod
    def of(cls, catalogue: Catalogue, root: Path, environ: Mapping[str, str]) -> Flags:
        """The settings of `root`, with their overrides in STATE_DIR. Raises InvalidSettings."""
        layers = Layers(catalogue, root, environ)
        # An override may be what makes two settings fit together, so relations are judged with the overrides only.
        at_start = _each_by_itself(layers)
        folder: str = at_start.STATE_DIR
        if not folder.strip():
            layers.load()
        return cls(layers, SqliteStore(root / folder, SystemClock().time), at_start)

    @property
    def now(self) -> InForce:
        """What is in force."""
        return self._applier.now

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the store of overrides."""
        return self._store.trouble

    @property
    def killed(self) -> bool:
        """Whether Bedrock has been switched off by somebody whose change is not in force yet."""
        return bool(self._kills)

    @property
    def durable(self) -> bool:
        """Whether all that counts now would survive a restart."""
        return not self.now.unkept and not self._kills

    # -- life cycle --------------------------------------------------------------------------------------------------

    def open(self, runtime: Runtime) -> Snapshot:
        """The first snapshot of `runtime`, stored overrides included; those that do not fit are skipped.

        Raises InvalidSettings if something else than an override is wrong.
        """
        self._runtime = runtime
        self._applier = Applier(self.layers, self._store, runtime)
        self._announcer = Announcer(self._store, runtime)
        self._sequencer = Sequencer(self._applier, self._kills, self._announcer)
        return self.now.snapshot

    def announce(self) -> None:
        """Log and tell the observers what an operator must know about the overrides found at start."""
        self._announcer.tell_skipped(self.now.skipped)
        self._announcer.tell_trouble()

    # -- reading -----------------------------------------------------------------------------------------------------

    def history(self, limit: int, before: int | None = None) -> list[tuple[Version, bool]]:
        """Versions, newest first, each with whether it is durable. Raises StoreUnavailable."""
        unkept = [version for version in reversed(self.now.unkept) if before is None or version.number < before]
        kept = self._store.history(limit, before) if len(unkept) < limit else []
        return [*((version, False) for version in unkept), *((version, True) for version in kept)][:limit]

    # -- changing ----------------------------------------------------------------------------------------------------

    def change(self, edits: Mapping[str, Any], author: Author, if_version: int | None = None) -> Applied:
        """Read all layers afresh and set the overrides of `edits`; None or "" clears one, {} only reads afresh.

        All or nothing. Raises InvalidSettings with every problem, VersionConflict unless `if_version` is in force,
        StoreUnavailable if an override could not be kept, and Overloaded if others take too long.

        Switching BEDROCK_ENABLED off, alone, is carried out even if the store or the layers are broken, and without
        `if_version` it counts before anything is waited for.
        """
        switched = proposals.switched(edits, self.now.snapshot.settings)
        if switched is False and len(edits) == 1:
            if if_version is None:
                return self._sequencer.kill(edits, author, enabled=self._runtime.bedrock_enabled())
            return self._sequencer.change(proposals.switch_off(edits, author, if_version))
        asked_before = tuple(self._kills)
        applied = self._sequencer.change(proposals.edit(edits, author, if_version))
        if switched:
            for kill in asked_before:
                self._kills.drop(kill)
        return applied

    def rollback(self, version: int, author: Author, if_version: int | None = None) -> Applied:
        """Put the overrides of `version` in force again, as a new version; the files are as they are now.

        What this code cannot use of them is skipped, as at start. Raises InvalidRequest for a version that is not in
        the history, and as `change`.
        """
        past = self._store.state_at(version)
        if past is None:
            raise InvalidRequest(f"there is no version {version} in the history", param="version")
        return self._sequencer.change(proposals.restore(past, author, if_version))

    def withdraw_canary(self, author: Author) -> Applied:
        """End the canary: clear its block and the override of CANARY_PERCENT, even if the store or layers are broken.

        Raises Overloaded if others take too long; it may be tried again.
        """
        return self._sequencer.change(proposals.withdraw_canary(author))


def _each_by_itself(layers: Layers) -> Settings:
    try:
        return layers.load(relations=False)
    except InvalidSettings:
        # Whoever has to put something right should hear of everything.
        layers.load()
        raise
