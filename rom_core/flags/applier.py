"""From a proposal to a snapshot in force: read all layers afresh, check, build, keep, and only then swap."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from rom_core.errors import StoreUnavailable, VersionConflict
from rom_core.events import SettingsChanged
from rom_core.flags.changes import changes_between, differences, for_events
from rom_core.flags.proposals import Proposal, Target
from rom_core.flags.records import Applied, InForce
from rom_core.flags.resolve import EVERYTHING, Layers, Resolved, resolve
from rom_core.settings import InvalidSettings, Problem, Settings
from rom_core.store.overrides import OverrideStore, State, StoreConflict, Version, replay

if TYPE_CHECKING:
    from rom_core.plugin.snapshot import Snapshot
    from rom_core.runtime import Runtime

_TRIES = 3
logger = structlog.get_logger("rom.flags")


class Applier:
    """Puts proposals in force, one at a time: whoever calls `apply` sees to that. `now` is what is in force."""

    now: InForce

    def __init__(self, layers: Layers, store: OverrideStore, runtime: Runtime) -> None:
        """With the stored overrides in force; those that do not fit are skipped.

        Raises InvalidSettings if something else than an override is wrong.
        """
        self._layers = layers
        self._store = store
        self._runtime = runtime
        self._started: Settings | None = None
        try:
            state = store.load()
        except StoreUnavailable:
            state = State()
        resolved = self._resolve(state.values, EVERYTHING)
        self._started = resolved.snapshot.settings
        self.now = InForce(_numbered(resolved.snapshot, state.version), state, resolved.skipped)

    def apply(self, proposal: Proposal) -> tuple[Applied, SettingsChanged | None]:
        """What it came to, and the event to tell of it, None if nothing has changed.

        Tries again, on the newest state, while another process gets to the store first. All or nothing, and raises
        InvalidSettings, VersionConflict or StoreUnavailable, except for what is proposed with `in_need`.
        """
        first = self.now.snapshot
        for attempt in range(1, _TRIES + 1):
            state = self._stored(proposal)
            if proposal.if_version is not None and proposal.if_version != state.version:
                raise VersionConflict(f"version {state.version} is in force, not {proposal.if_version}", state.version)
            try:
                return self._try(proposal, first, state)
            except StoreConflict:
                if proposal.in_need is not None and attempt == _TRIES:
                    # It is in force, and kept with the next change.
                    return self._try(proposal, first, self.now.state, keep=False)
        raise VersionConflict("another process keeps changing the settings", self.now.state.version)

    def _try(
        self, proposal: Proposal, first: Snapshot, state: State, *, keep: bool = True
    ) -> tuple[Applied, SettingsChanged | None]:
        before, author = self.now, proposal.author
        target = proposal.target(state, before)
        resolved, not_reloaded = self._resolved(proposal, target)
        changes = changes_between(before.snapshot.settings, resolved.snapshot.settings, state.values, target.values)
        changed = differences(first, resolved.snapshot)
        new = Version(
            state.version + 1, self._runtime.clock.time(), author.by, author.why, author.trace_id, tuple(changes)
        )
        versions = [*before.unkept, *([new] if changes else [])]
        after = replay([new], state) if changes else state
        in_force = InForce(_numbered(resolved.snapshot, after.version), after, resolved.skipped, tuple(versions))
        if proposal.in_need is not None:
            self._swap(in_force)
        must_be_kept = any(change.action != "reload" for change in changes) and proposal.in_need is None
        if versions and keep and self._kept(proposal, versions, must_be_kept=must_be_kept):
            in_force = dataclasses.replace(in_force, unkept=())
        self._swap(in_force)
        applied = Applied(
            after.version,
            changed,
            not in_force.unkept,
            resolved.skipped,
            in_force.snapshot.settings.awaiting_restart,
            not_reloaded,
        )
        if not changes and not changed:
            return applied, None
        return applied, SettingsChanged(after.version, for_events(changed), author.by, author.why, author.trace_id)

    def _resolved(self, proposal: Proposal, target: Target) -> tuple[Resolved, tuple[Problem, ...]]:
        """What to put in force, and the reasons why that is not what the layers say now."""
        not_reloaded: tuple[Problem, ...] = ()
        try:
            resolved = self._resolve(target.values, target.may_skip)
        except InvalidSettings as error:
            if proposal.in_need is None:
                raise InvalidSettings([*target.problems, *error.problems]) from None
            resolved, not_reloaded = proposal.in_need(self.now), tuple(error.problems)
        except Exception as error:
            if proposal.in_need is None:
                raise
            logger.exception("flags.layers_failed")
            resolved = proposal.in_need(self.now)
            not_reloaded = (Problem("layers", f"{type(error).__name__}: {error}"),)
        if target.problems:
            raise InvalidSettings(target.problems)
        return resolved, not_reloaded

    def _resolve(self, overrides: Mapping[str, Any], may_skip: Container[str]) -> Resolved:
        return resolve(self._layers, self._runtime.build, overrides, self._started, may_skip)

    def _stored(self, proposal: Proposal) -> State:
        """The newest state, with what another process has appended meanwhile, and with what is not kept yet."""
        before = self.now
        try:
            kept = self._store.load()
        except StoreUnavailable:
            return before.state
        except Exception:
            if proposal.in_need is None:
                raise
            logger.exception("flags.store_failed")
            return before.state
        if not before.unkept:
            return kept
        unkept = tuple(
            dataclasses.replace(version, number=number)
            for number, version in enumerate(before.unkept, start=kept.version + 1)
        )
        if unkept != before.unkept:
            self.now = dataclasses.replace(before, unkept=unkept)
        return replay(unkept, kept)

    def _kept(self, proposal: Proposal, versions: Sequence[Version], *, must_be_kept: bool) -> bool:
        """Whether the store has taken them. Raises StoreConflict if another process was first."""
        try:
            self._store.append(versions[0].number - 1, versions)
        except StoreUnavailable:
            if must_be_kept:
                raise
            return False
        except StoreConflict:
            raise
        except Exception:
            if proposal.in_need is None:
                raise
            logger.exception("flags.store_failed")
            return False
        return True

    def _swap(self, in_force: InForce) -> None:
        self.now = in_force
        self._runtime.current = in_force.snapshot


def _numbered(snapshot: Snapshot, version: int) -> Snapshot:
    canary = None if snapshot.canary is None else snapshot.canary.numbered(version)
    return dataclasses.replace(snapshot, version=version, canary=canary)
