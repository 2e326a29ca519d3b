"""The keeper of the one rollout: looks at intervals, carries decisions out in the flags, keeps all in the store.

Decisions are taken one by one; whoever only reads gets the last published view and waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import structlog
from prometheus_client import generate_latest

from plugins.canary.beginning import METRICS_SWITCH, block_to_approve, metrics_enabled, needs_second_person, plan_of
from plugins.canary.earlier import take_over
from plugins.canary.kept import KeptRollout
from plugins.canary.rollout import GATE, Entry, Rollout
from plugins.canary.shapes import shown
from rom_core.concurrency.locks import timed_lock
from rom_core.errors import CanaryConflict, NotFound, RomError, StoreUnavailable
from rom_core.events import CanaryAborted, CanaryChanged
from rom_core.flags import Author, Flags
from rom_core.flags.canary import CANARY_PERCENT
from rom_core.gate import BadScrape, Scrape, parse
from rom_core.runtime import Runtime
from rom_core.settings import InvalidSettings
from rom_core.store.overrides import CANARY

# A decision changes settings, which takes at most about as long.
_TURN_SECONDS = 15.0
_NO_FLAGS = "this runtime was given its settings, not where to change them"
_NOTHING: Mapping[str, Any] = {"rollout": None, "durable": True}
logger = structlog.get_logger("rom.canary")


class Keeper:
    """Owns the rollout, its thread and its audit trail. `view` is the JSON of where it stands."""

    def __init__(self) -> None:
        self.view: Mapping[str, Any] = _NOTHING
        self._runtime: Runtime | None = None
        self._kept: KeptRollout | None = None
        self._rollout: Rollout | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # -- life cycle --------------------------------------------------------------------------------------------------

    def start(self, runtime: Runtime) -> None:
        """Go on with the rollout in the store, if there is one; without flags that are kept there is nothing to do."""
        self._runtime = runtime
        flags, store = runtime.flags, runtime.store
        if flags is None or store is None:
            return
        self._kept = kept = KeptRollout(store, runtime.clock)
        try:
            take_over(flags.layers.root / runtime.current.settings.STATE_DIR, kept)
            self._rollout = kept.load()
        except StoreUnavailable:
            self._withdraw_unwatched("the record of the rollout could not be read")
        except (KeyError, TypeError, ValueError) as error:
            logger.error("canary.record_lost", reason=str(error))
            self._withdraw_unwatched("the record of the rollout was damaged")
        self._publish()
        self._watch()

    def stop(self) -> None:
        """Stop looking, after a last look, so that the next process goes on where this one ended."""
        self._stopped.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=5)
        rollout = self._rollout
        if rollout is not None and self._unfinished():
            with self._in_turn():
                if not rollout.running:
                    self._keep_end(rollout)
                    return
                scrape = self._scrape()
                rollout.close(scrape)
                self._keep(rollout, closed=scrape is not None)

    # -- people ------------------------------------------------------------------------------------------------------

    def begin(self, block: Mapping[str, Any], author: Author) -> str:
        """Start a rollout of these flags; "" once it runs.

        Flags that take two persons are proposed instead, and the id is returned under which another named person
        approves them; whoever asks for the same again starts it. Raises CanaryConflict, InvalidSettings,
        InvalidRequest, StoreUnavailable.
        """
        runtime, flags = self._ready()
        kept, settings = self._known(), runtime.current.settings
        with self._in_turn():
            if self._rollout is not None and self._rollout.running:
                raise CanaryConflict("a rollout is under way; abort it first")
            plan = plan_of(block, settings)
            if needs_second_person(plan, settings, runtime.current.canary):
                edits = {CANARY: block_to_approve(plan), CANARY_PERCENT: 0}
                return flags.change(edits, _because(author, "rollout asked for")).pending
            rollout = Rollout(plan, runtime.clock, author.by, author.why)
            # Before the flags: a canary of which no record knows would be in force after a crash, and never judged.
            kept.save(rollout)
            try:
                flags.change(
                    {CANARY: dict(plan.block), CANARY_PERCENT: rollout.phase.percent},
                    _because(author, "rollout started"),
                )
            except (RomError, InvalidSettings) as error:
                rollout.abort(author.by, f"its flags could not be set: {error}")
                self._keep(self._rollout or rollout)
                raise
            self._rollout = rollout
            self._done(rollout.entry("started", author.by, author.why))
            self._watch()
        return ""

    def approve(self, author: Author) -> None:
        """Leave the phase: on to the next one, or the flags become everybody's. Raises CanaryConflict."""
        _, flags = self._ready()
        with self._in_turn():
            rollout = self._current()
            rollout.may_leave(author.why)
            reason = self._why_not_in_force(rollout)
            if reason is not None:
                raise CanaryConflict(reason)
            following, percent = rollout.following, rollout.phase.percent
            if following is None:
                edits = {**rollout.plan.block["flags"], CANARY: None, CANARY_PERCENT: None}
            else:
                edits = {CANARY_PERCENT: following.percent}
            flags.change(edits, _because(author, f"{percent} % approved"))
            entries = [rollout.approve(author.by, author.why)]
            if following is None:
                entries.append(rollout.entry("completed", author.by, author.why))
            self._done(*entries)

    def hold(self, author: Author, *, held: bool) -> None:
        """Refuse approvals, or no longer. Raises CanaryConflict."""
        self._ready()
        with self._in_turn():
            rollout = self._current()
            self._done(rollout.hold(author.by, author.why, held=held))

    def abort(self, author: Author) -> None:
        """Withdraw the flags and end the rollout. Raises CanaryConflict."""
        _, flags = self._ready()
        with self._in_turn():
            rollout = self._current()
            if not rollout.running:
                raise CanaryConflict(f"it has ended: {rollout.status}")
            flags.withdraw_canary(_because(author, "rollout aborted"))
            self._done(rollout.abort(author.by, author.why))

    def trail(self, limit: int) -> list[dict[str, Any]]:
        """The audit trail, newest first: who, when, what, why, on which figures. Raises StoreUnavailable."""
        return self._known().trail(limit)

    # -- the gate ----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """One look; what it finds is carried out at once."""
        _, flags = self._ready()
        with self._in_turn():
            rollout = self._rollout
            if rollout is None or not self._unfinished():
                return
            if not rollout.running:
                self._keep_end(rollout)
                return
            reason = self._why_not_in_force(rollout)
            if reason is not None:
                flags.withdraw_canary(Author(GATE, reason))
                self._done(rollout.abort(GATE, reason))
                return
            finding = rollout.look(self._scrape())
            if finding is None:
                self._keep(rollout)
                self._publish()
            elif finding.action == "failed":
                flags.withdraw_canary(Author(GATE, f"rollout aborted: {finding.judged.why}"[:500]))
                self._done(rollout.abort(GATE, finding.judged.why, finding.judged))
            else:
                self._done(rollout.entry(finding.action, GATE, finding.judged.why, finding.judged))

    def _why_not_in_force(self, rollout: Rollout) -> str | None:
        """Why the flags in force are not the rollout's own any more, None if they are."""
        runtime, _ = self._ready()
        if not runtime.current.settings.CANARY_ENABLED:
            return "CANARY_ENABLED was switched off"
        canary = runtime.current.canary
        if canary is None:
            return "the canary was ended by hand"
        if canary.percent != rollout.phase.percent or canary.as_dict() != dict(rollout.plan.block):
            return "the canary was changed by hand"
        return None

    def _scrape(self) -> Scrape | None:
        runtime, _ = self._ready()
        try:
            if not metrics_enabled(runtime.current.settings):
                logger.warning("canary.look_failed", reason=f"nothing is counted: {METRICS_SWITCH} is off")
                return None
            return parse(generate_latest(runtime.registry).decode(), runtime.clock.monotonic())
        except BadScrape:
            logger.exception("canary.look_failed")
            return None

    def _unfinished(self) -> bool:
        """Whether looks are needed: for a rollout under way, or until the end of one is kept."""
        rollout = self._rollout
        return rollout is not None and (rollout.running or not self._known().durable)

    def _watch(self) -> None:
        """See to it that a running rollout is looked at."""
        if self._unfinished() and not self._stopped.is_set() and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rom-canary", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except RomError as error:
                logger.warning("canary.look_failed", reason=error.detail)
            except Exception:
                logger.exception("canary.look_failed")
            with self._lock:
                # Under the lock, so that a rollout that starts now either finds this thread at work or starts its own.
                rollout = self._rollout
                if rollout is None or not self._unfinished():
                    self._thread = None
                    return
            # Of the machine, whatever clock the rules are tested with: a thread has to rest between two looks.
            self._stopped.wait(rollout.plan.interval)

    # -- keeping -----------------------------------------------------------------------------------------------------

    def _done(self, *entries: Entry) -> None:
        """Something happened: keep it, show it, tell it."""
        self._keep(self._current(), entries)
        self._publish()
        runtime, _ = self._ready()
        for entry in entries:
            percent = entry.details["percent"]
            if entry.action == "aborted":
                runtime.emit(CanaryAborted(percent, entry.by, entry.why))
            else:
                runtime.emit(CanaryChanged(entry.action, percent, entry.by, entry.why))

    def _keep(self, rollout: Rollout, entries: Sequence[Entry] = (), *, closed: bool = False) -> None:
        """On disk; what cannot be kept now is tried again at the next look.

        An end waits until the withdrawal of the flags is kept: a process that dies in between leaves a canary in force,
        and the next one has to find the rollout that judges it.
        """
        _, flags = self._ready()
        if not rollout.running and not flags.durable:
            self._known().postpone(entries)
            return
        with suppress(StoreUnavailable):
            self._known().save(rollout, entries, closed=closed)

    def _keep_end(self, rollout: Rollout) -> None:
        """Once more, for what could not be kept when it ended: first that the flags are withdrawn, then the record."""
        runtime, flags = self._ready()
        if not flags.durable and runtime.current.canary is None:
            # Nothing is left to withdraw; what has been is kept with it.
            flags.withdraw_canary(Author(GATE, "the end of the rollout is kept"))
        self._keep(rollout)
        self._publish()

    def _publish(self) -> None:
        rollout = self._rollout
        self.view = {"rollout": None if rollout is None else shown(rollout), "durable": self._known().durable}

    def _withdraw_unwatched(self, reason: str) -> None:
        """Withdraw the canary in force, if there is one: without its record no gate can judge it."""
        runtime, flags = self._ready()
        if runtime.current.canary is None:
            return
        try:
            flags.withdraw_canary(Author(GATE, reason))
        except RomError:
            logger.exception("canary.withdraw_failed")

    def _ready(self) -> tuple[Runtime, Flags]:
        if self._runtime is None or self._runtime.flags is None:
            raise NotFound(_NO_FLAGS)
        return self._runtime, self._runtime.flags

    def _known(self) -> KeptRollout:
        if self._kept is None:
            raise NotFound(_NO_FLAGS)
        return self._kept

    def _current(self) -> Rollout:
        if self._rollout is None:
            raise CanaryConflict("there is no rollout")
        return self._rollout

    def _in_turn(self) -> AbstractContextManager[None]:
        return timed_lock(self._lock, _TURN_SECONDS, "decision on the rollout")


def _because(author: Author, what: str) -> Author:
    return Author(author.by, f"canary {what}: {author.why}" if author.why else f"canary {what}", author.trace_id)
