"""Changing the settings: one change after the other, the kill switch first, observers notified afterwards.

Whoever reads takes no lock. What a change makes of the overrides is decided here, `apply` puts it in force.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import structlog

from rom_core.concurrency.locks import timed_lock
from rom_core.errors import Forbidden, InvalidRequest, Overloaded, RomError
from rom_core.events import FlagsStoreTroubled, SettingsChanged
from rom_core.flags import approval, proposals
from rom_core.flags.apply import Applied, Applier, Build, Kill, each_by_itself
from rom_core.flags.approval import NEEDS_NAME, NeedsApproval, Pending, pending_of
from rom_core.flags.preview import Preview, preview
from rom_core.flags.proposals import KILL_SWITCH, Author, InForce, Proposal
from rom_core.plugin.catalogue import Layers
from rom_core.plugin.pipeline import Pipeline
from rom_core.plugin.snapshot import Snapshot
from rom_core.settings import Settings, thaw
from rom_core.store.base import Store
from rom_core.store.overrides import OverrideStore, State, Trouble, Version
from rom_core.turn_values import Event

# A change takes some tens of milliseconds, and a store may be busy for two seconds.
_LOCK_SECONDS = 10.0
_SHOWN_CHARS = 200
# Changes in force whose observers still have to be notified: the event, the pipelines before and after.
_Unnotified: TypeAlias = list[tuple[SettingsChanged, Pipeline, Pipeline]]
logger = structlog.get_logger("rom.flags")
# No setting decides whether a change is logged: this logger has a level of its own, whatever LOG_LEVEL says.
_AUDIT = "rom.audit"
audit = structlog.get_logger(_AUDIT)
logging.getLogger(_AUDIT).setLevel(logging.WARNING)


class Flags:
    """Settings that change while the process runs.

    `at_start` are the layers without overrides, each setting judged by itself: enough for what is read only once.
    """

    at_start: Settings
    _applier: Applier
    _emit: Callable[[Event], None]
    _time: Callable[[], float]

    def __init__(
        self, layers: Layers, store: OverrideStore, at_start: Settings | None = None, database: Store | None = None
    ) -> None:
        """`at_start` if somebody has read it already, `database` what `store` keeps its versions in.

        Raises InvalidSettings if a layer holds what does not fit.
        """
        self.layers = layers
        self.database = database
        self._store = store
        self._lock = threading.Lock()
        self._kills: list[Kill] = []
        self._notified: Trouble | None = None
        self.at_start = at_start or each_by_itself(layers)

    # -- life cycle --------------------------------------------------------------------------------------------------

    def open(
        self,
        *,
        build: Build,
        swap: Callable[[Snapshot], None],
        emit: Callable[[Event], None],
        time: Callable[[], float],
    ) -> None:
        """Put the first snapshot in force, stored overrides included; those that do not fit are skipped.

        `build` makes a snapshot of settings, `swap` puts it in force, `emit` tells the observers of the one in force,
        `time` is in seconds since the epoch. Raises InvalidSettings if something else than an override is wrong.
        """
        self._emit = emit
        self._time = time
        self._applier = Applier(self.layers, self._store, build=build, swap=swap, emit=emit, time=time)

    def announce(self) -> None:
        """Log and tell the observers what an operator must know about the overrides found at start."""
        for problem in self.now.skipped:
            logger.warning("flags.override_skipped", setting=problem.name, reason=problem.message)
        self._notify_trouble()

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> InForce:
        """What is in force."""
        return self._applier.now

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the store of overrides."""
        return self._store.trouble

    @property
    def pending(self) -> tuple[Pending, ...]:
        """Changes that wait for a second person, oldest first."""
        return pending_of(self.now.state, self._time())

    @property
    def killed(self) -> bool:
        """Whether Bedrock has been switched off by somebody whose change is not in force yet."""
        return bool(self._kills)

    @property
    def durable(self) -> bool:
        """Whether all that counts now would survive a restart."""
        return not self.now.unkept and not self._kills

    @property
    def stored_version(self) -> int:
        """The newest version that is in force here and that others can see."""
        now = self.now
        return now.state.version - len(now.unkept)

    def history(self, limit: int, before: int | None = None) -> list[tuple[Version, bool]]:
        """Versions, newest first, each with whether it is durable. Raises StoreUnavailable."""
        unkept = [version for version in reversed(self.now.unkept) if before is None or version.number < before]
        kept = self._store.history(limit, before) if len(unkept) < limit else []
        return [*((version, False) for version in unkept), *((version, True) for version in kept)][:limit]

    # -- changing ----------------------------------------------------------------------------------------------------

    def change(self, edits: Mapping[str, Any], author: Author, if_version: int | None = None) -> Applied:
        """Read all layers afresh and set the overrides of `edits`; None or "" clears one, {} only reads afresh.

        All or nothing. A new value of a sensitive setting waits for a second person: `pending` of what is returned is
        its id, and nothing else is changed. Raises Forbidden if that takes a name, InvalidSettings with every problem,
        VersionConflict unless `if_version` is in force, StoreUnavailable if an override could not be kept, and
        Overloaded if others take too long.

        Switching BEDROCK_ENABLED off, alone, is carried out even if the store or the layers are broken, and without
        `if_version` it counts before anything is waited for. Clearing the canary clears CANARY_PERCENT too.
        """
        try:
            return self._changed(edits, author, if_version)
        except RomError as error:
            if not self._kills and proposals.leaves_bedrock_on(edits, self.now.snapshot.settings):
                error.explain(proposals.STILL_ON)
            raise

    def _changed(self, edits: Mapping[str, Any], author: Author, if_version: int | None) -> Applied:
        switched = proposals.switched(edits, self.now.snapshot.settings)
        if switched is False and len(edits) == 1:
            if if_version is None:
                return self._kill(edits, author)
            return self._change(proposals.switch_off(edits, author, if_version))
        made_before = tuple(self._kills)
        try:
            applied = self._change(proposals.edit(edits, author, if_version))
        except NeedsApproval as error:
            applied = self._change(approval.propose(edits, error.names, author, self._time, if_version))
            return dataclasses.replace(applied, pending=f"p{applied.version}")
        if switched:
            for kill in made_before:
                self._drop(kill)
        return applied

    def approve(self, id_: str, author: Author, if_version: int | None = None) -> Applied:
        """Carry out the change that waits under `id_`, as another named person than who asked for it.

        Raises Forbidden, NotFound if nothing waits there any more, and as `change`.
        """
        waits = next((pending for pending in self.pending if pending.id == id_), None)
        why = "" if waits is None else f"approves {id_} of {waits.by}"
        why += f" ({waits.why})" if waits is not None and waits.why else ""
        full = dataclasses.replace(author, why=f"{author.why}; {why}" if author.why and why else author.why or why)
        return self._change(approval.approve(id_, full, self._time, if_version))

    def rollback(self, version: int, author: Author, if_version: int | None = None) -> Applied:
        """Put the overrides of `version` in force again, as a new version; the files are as they are now.

        What this code cannot use of them is skipped, as at start. A canary is never brought back: one that is not in
        force now stays ended, and CANARY_PERCENT with it. Raises InvalidRequest for a version that is not in the
        history, and as `change`.
        """
        try:
            return self._change(proposals.restore(self._past(version), author, if_version))
        except NeedsApproval as error:
            raise Forbidden(f"{error}: {NEEDS_NAME}") from None

    def preview(self, edits: Mapping[str, Any], author: Author, if_version: int | None = None) -> Preview:
        """What `change` would come to; nothing is changed. Raises as it does."""
        return preview(self._applier, proposals.edit(edits, author, if_version))

    def preview_rollback(self, version: int, author: Author, if_version: int | None = None) -> Preview:
        """What `rollback` would come to; nothing is changed. Raises as it does."""
        return preview(self._applier, proposals.restore(self._past(version), author, if_version))

    def _past(self, version: int) -> State:
        past = self._store.state_at(version)
        if past is None:
            raise InvalidRequest(f"there is no version {version} in the history", param="version")
        return past

    def withdraw_canary(self, author: Author, if_version: int | None = None) -> Applied:
        """End the canary: clear its block and the override of CANARY_PERCENT, even if the store or layers are broken.

        Raises Overloaded if others take too long, VersionConflict unless `if_version` is in force; it may be tried
        again.
        """
        return self._change(proposals.withdraw_canary(author, if_version))

    def catch_up(self, newest: int) -> None:
        """Put in force what other instances have changed, whose `newest` version this is, and store what waits for it.

        Raises InvalidSettings, StoreUnavailable, or Overloaded if others take too long; it may be tried again.
        """
        now = self.now
        if newest == now.state.version and not now.unkept and not self._kills:
            return
        with self._changing() as unnotified:
            before = self.now.snapshot.pipeline
            event = self._applier.adopt()
            if event is not None:
                unnotified.append((event, before, self.now.snapshot.pipeline))

    # -- one at a time -----------------------------------------------------------------------------------------------

    def _change(self, proposal: Proposal) -> Applied:
        with self._in_turn() as apply:
            return apply(proposal)

    def _kill(self, edits: Mapping[str, Any], author: Author) -> Applied:
        """Switch Bedrock off now, and make that a snapshot as soon as it is its turn.

        If others take too long, whoever comes next does it.
        """
        in_force = self.now
        enabled = in_force.snapshot.settings.BEDROCK_ENABLED and not self._kills
        kill = Kill(edits, author)
        self._kills.append(kill)
        try:
            with self._in_turn():
                pass  # The kill is among those that go first.
        except Overloaded:
            kill.left = True
        if kill.applied is not None:
            return kill.applied
        audit.warning("flags.kill_pending", by=author.by, why=author.why, trace_id=author.trace_id)
        in_force = self.now
        changed = {KILL_SWITCH: (True, False)} if enabled else {}
        awaiting = in_force.snapshot.settings.awaiting_restart
        return Applied(in_force.snapshot.version, changed, False, in_force.skipped, awaiting)

    @contextmanager
    def _in_turn(self) -> Iterator[Callable[[Proposal], Applied]]:
        with self._changing() as unnotified:
            yield lambda proposal: self._apply(proposal, unnotified)

    def _apply(self, proposal: Proposal, unnotified: _Unnotified) -> Applied:
        before = self.now.snapshot.pipeline
        applied, event = self._applier.apply(proposal)
        if event is not None:
            unnotified.append((event, before, self.now.snapshot.pipeline))
        return applied

    @contextmanager
    def _changing(self) -> Iterator[_Unnotified]:
        """Carry out the kills made before, then what is to be done, then kills that nobody waits for any more."""
        made_before = tuple(self._kills)
        unnotified: _Unnotified = []

        def carry_out(kills: Iterable[Kill]) -> None:
            for kill in kills:
                if kill.applied is None:
                    try:
                        kill.applied = self._apply(proposals.switch_off(kill.edits, kill.author), unnotified)
                    except Exception:
                        # It stays pending, so Bedrock stays off, and other changes are not held up by it.
                        logger.exception("flags.kill_failed", trace_id=kill.author.trace_id)
                        kill.left = True
                        continue
                self._drop(kill)

        try:
            with timed_lock(self._lock, _LOCK_SECONDS, "change of the settings"):
                carry_out(made_before)
                try:
                    yield unnotified
                finally:
                    carry_out(kill for kill in tuple(self._kills) if kill.left and kill not in made_before)
        finally:
            self._notify_trouble()
            for event, before, after in unnotified:
                self._notify(event, before, after)

    def _drop(self, kill: Kill) -> None:
        """A snapshot has it now, or somebody has decided otherwise since."""
        if kill in self._kills:
            self._kills.remove(kill)

    # -- notifying ---------------------------------------------------------------------------------------------------

    def _notify(self, event: SettingsChanged, before: Pipeline, after: Pipeline) -> None:
        """A change is in force; `before` and `after` are the pipelines on its two sides."""
        changes = {name: [_short(old), _short(new)] for name, (old, new) in event.changes.items()}
        audit.warning(
            event.name,
            version=event.version,
            changes=changes,
            by=event.by,
            why=event.why,
            trace_id=event.trace_id,
            **({"adopted": True} if event.adopted else {}),
        )
        self._emit(event)
        # What it switches off hears of it too: that is its last chance to let go of what it holds.
        before.emit(event, besides=after.plugins)

    def _notify_trouble(self) -> None:
        """What is wrong with the store of overrides, once as long as it stays the same."""
        before, now = self._notified, self._store.trouble
        self._notified = now
        if now is not None and now != before:
            logger.error("flags.store_troubled", state=now.state, reason=now.detail)
            self._emit(FlagsStoreTroubled(now.state, now.detail))


def _short(value: Any) -> Any:
    value = thaw(value)
    text = value if isinstance(value, str) else repr(value)
    return value if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
