"""The keeper of the one rollout: what people decide about it, what the gate finds, and both carried out in the flags.

Each instance has a keeper and counts its own turns; the one that leads the fleet adds up what all have counted and
judges it. People decide at any instance. Decisions are taken one by one here, and by the revision of the rollout among
instances; whoever only reads gets the last published view and waits for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from plugins.canary.beginning import METRICS_SWITCH, block_to_approve, metrics_enabled, needs_second_person, plan_of
from plugins.canary.earlier import take_over
from plugins.canary.keeping import DAMAGE, MEANWHILE, Keeping
from plugins.canary.kept import TOPIC, DecidedMeanwhile, KeptRollout
from plugins.canary.looking import Looking, scrape_of
from plugins.canary.rollout import GATE, Entry, Rollout
from plugins.canary.watcher import Watcher
from rom_core.errors import CanaryConflict, RomError, StoreUnavailable, VersionConflict
from rom_core.flags import Author
from rom_core.flags.canary import CANARY_PERCENT
from rom_core.gate import Scrape
from rom_core.runtime import Runtime
from rom_core.settings import InvalidSettings
from rom_core.store.overrides import CANARY
from rom_core.store.sharing import LEADER, NotLeader

# Between what is decided at another instance and its flags in force here, and the other way round.
_SETTLE_SECONDS = 1.0
# For so long nobody takes a rollout that is about to begin elsewhere for one whose flags somebody has taken away.
_BEGIN_SECONDS = 60.0
logger = structlog.get_logger("rom.canary")


class Keeper(Keeping):
    """What this instance does for the rollout."""

    def __init__(self) -> None:
        super().__init__()
        self._watcher = Watcher("")
        self._looking = Looking(self.look, self._interval)

    # -- life cycle --------------------------------------------------------------------------------------------------

    def start(self, runtime: Runtime) -> None:
        """Go on with the rollout in the store, if there is one; without flags that are kept there is nothing to do."""
        self._runtime = runtime
        flags, store = runtime.flags, runtime.store
        if flags is None or store is None:
            return
        self._watcher = Watcher(runtime.fleet.id)
        self._kept = kept = KeptRollout(store, runtime.fleet, runtime.clock)
        try:
            take_over(flags.layers.root / runtime.current.settings.STATE_DIR, kept)
            self._load()
        except StoreUnavailable:
            self._withdraw_unwatched("the record of the rollout could not be read")
        except DAMAGE as error:
            self._lose(error)
        self._publish()
        runtime.fleet.on(TOPIC, self.refresh)
        runtime.fleet.on(LEADER, self._looking.wake)
        self._looking.begin()

    def stop(self) -> None:
        """Stop looking, after a last look, so that nothing is lost that this instance has counted."""
        self._looking.stop()
        if self._rollout is None or self._interval() is None:
            return
        with self._in_turn():
            self._reload()
            rollout = self._current()
            if not rollout.running:
                if self._term() is not None:
                    self._keep_end(rollout)
                return
            scrape = self._scrape()
            with suppress(StoreUnavailable):
                self._watcher.look(rollout.id, rollout.window, rollout.plan.interval, scrape)
                closed = scrape is not None
                self._known().save_report(self._watcher.report(rollout.id, rollout.window, closed=closed))
            if self._term() is not None:
                rollout.look(self._known().reports(), self._live())
                with suppress(DecidedMeanwhile, NotLeader):
                    self._keep(rollout, lead=True)

    def refresh(self) -> None:
        """Another instance may have decided something: go on from there. Raises StoreUnavailable, or Overloaded."""
        if self._kept is None:
            return
        if self._kept.is_newer():
            with self._in_turn():
                before = self._rollout
                self._reload()
                now = self._rollout
            if before is None or now is None or (before.id, before.window) != (now.id, now.window):
                self._looking.wake()
        # It may have been read without anybody looking at it, by a decision that was refused.
        self._looking.begin()

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
            self._reload()
            before = self._rollout
            if before is not None and before.running:
                raise CanaryConflict("a rollout is under way; abort it first")
            plan = plan_of(block, settings)
            if needs_second_person(plan, settings, runtime.current.canary):
                edits = {CANARY: block_to_approve(plan), CANARY_PERCENT: 0}
                return flags.change(edits, _because(author, "rollout asked for")).pending
            rollout = Rollout(plan, runtime.clock, author.by, author.why)
            try:
                # Before the flags: a canary of which no record knows would be in force after a crash, and never judged.
                kept.save(rollout)
                applied = flags.change(
                    {CANARY: dict(plan.block), CANARY_PERCENT: rollout.phase.percent},
                    _because(author, "rollout started"),
                )
            except DecidedMeanwhile:
                raise CanaryConflict(MEANWHILE) from None
            except (RomError, InvalidSettings) as error:
                rollout.abort(author.by, f"its flags could not be set: {error}")
                with suppress(DecidedMeanwhile):
                    self._keep(before or rollout)
                raise
            self._rollout = rollout

            def started(now: Rollout) -> list[Entry]:
                now.version = applied.version
                return [now.entry("started", author.by, author.why)]

            try:
                self._decide(started)
            except CanaryConflict:
                # Another instance has ended it meanwhile, and does not look after these flags.
                flags.withdraw_canary(Author(GATE, MEANWHILE))
                raise
        self._looking.begin()
        return ""

    def approve(self, author: Author) -> None:
        """Leave the phase: on to the next one, or the flags become everybody's. Raises CanaryConflict."""
        runtime, flags = self._ready()
        with self._in_turn():
            self._reload()
            rollout = self._current()
            rollout.may_leave(author.why, self._failing())
            version = runtime.current.version
            reason = self._why_not_in_force(rollout)
            if reason is not None:
                raise CanaryConflict(reason)
            following, percent = rollout.following, rollout.phase.percent
            if following is None:
                edits = {**rollout.plan.block["flags"], CANARY: None, CANARY_PERCENT: None}
            else:
                edits = {CANARY_PERCENT: following.percent}
            applied = flags.change(edits, _because(author, f"{percent} % approved"), version)

            def left(now: Rollout) -> list[Entry]:
                entries = [now.leave(author.by, author.why)]
                if following is None:
                    entries.append(now.entry("completed", author.by, author.why))
                now.version = applied.version
                return entries

            try:
                self._decide(left)
            except CanaryConflict:
                # Another instance has decided meanwhile, and may have ended it: nobody would look after these flags.
                flags.withdraw_canary(Author(GATE, MEANWHILE))
                raise

    def hold(self, author: Author, *, held: bool) -> None:
        """Refuse approvals, or no longer. Raises CanaryConflict."""
        self._ready()
        with self._in_turn():
            self._reload()
            self._decide(lambda now: [now.hold(author.by, author.why, held=held)])

    def abort(self, author: Author) -> None:
        """Withdraw the flags and end the rollout. Raises CanaryConflict."""
        _, flags = self._ready()
        with self._in_turn():
            self._reload()
            rollout = self._current()
            if not rollout.running:
                raise CanaryConflict(f"it has ended: {rollout.status}")
            version = flags.withdraw_canary(_because(author, "rollout aborted")).version

            def aborted(now: Rollout) -> list[Entry]:
                now.version = version
                return [now.abort(author.by, author.why)]

            self._decide(aborted)

    def trail(self, limit: int) -> list[dict[str, Any]]:
        """The audit trail, newest first: who, when, what, why, on which figures. Raises StoreUnavailable."""
        return self._known().trail(limit)

    # -- the gate ----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """One look: count, and as the leader judge what all have counted; what that finds is carried out at once."""
        self._ready()
        with self._in_turn():
            self._reload()
            rollout = self._rollout
            if rollout is None or self._interval() is None:
                return
            if not rollout.running:
                if self._term() is not None:
                    self._keep_end(rollout)
                return
            scrape = self._scrape()
            report = self._watcher.look(rollout.id, rollout.window, rollout.plan.interval, scrape)
            with suppress(StoreUnavailable):
                self._known().save_report(report)
            if self._term() is None:
                self._publish()
                return
            try:
                self._judge(rollout, scrape)
            except (DecidedMeanwhile, NotLeader, VersionConflict) as error:
                # What another has decided is looked at next time.
                logger.warning("canary.look_overtaken", reason=str(error) or type(error).__name__)

    def _judge(self, rollout: Rollout, scrape: Scrape | None) -> None:
        runtime, flags = self._ready()
        version = runtime.current.version
        reason = self._why_not_in_force(rollout)
        if reason is not None:
            if not self._settled(rollout):
                return
            flags.withdraw_canary(Author(GATE, reason))
            self._done(rollout.abort(GATE, reason), lead=True)
            return
        finding = rollout.look(self._known().reports(), self._live())
        self._watcher.follow(rollout.id, rollout.window, rollout.plan.interval, scrape)
        if finding is None:
            self._keep(rollout, lead=True)
            self._publish()
        elif finding.action == "failed":
            why = f"rollout aborted: {finding.judged.why}"[:500]
            rollout.version = flags.withdraw_canary(Author(GATE, why), version).version
            self._done(rollout.abort(GATE, finding.judged.why, finding.judged), lead=True)
        else:
            self._done(rollout.entry(finding.action, GATE, finding.judged.why, finding.judged), lead=True)

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

    def _settled(self, rollout: Rollout) -> bool:
        """Whether rollout and flags really differ, and not only because another instance is about to change both."""
        runtime, _ = self._ready()
        if len(self._live()) == 1:
            return True
        if rollout.version == 0 and runtime.clock.time() - (rollout.began or 0.0) < _BEGIN_SECONDS:
            return False
        self._looking.rest(_SETTLE_SECONDS)
        newer = self._known().is_newer() or runtime.current.version < rollout.version
        return not newer and self._why_not_in_force(rollout) is not None

    def _scrape(self) -> Scrape | None:
        runtime, _ = self._ready()
        if not metrics_enabled(runtime.current.settings):
            logger.warning("canary.look_failed", reason=f"nothing is counted: {METRICS_SWITCH} is off")
            return None
        return scrape_of(runtime)

    def _interval(self) -> float | None:
        """Seconds between two looks: for a rollout under way, and until its end is in the store; None if none are."""
        rollout = self._rollout
        unfinished = rollout is not None and (rollout.running or not self._known().durable)
        return rollout.plan.interval if rollout is not None and unfinished else None

    def _term(self) -> int | None:
        return self._ready()[0].fleet.term

    def _live(self) -> set[str]:
        return {each.id for each in self._ready()[0].fleet.instances}


def _because(author: Author, what: str) -> Author:
    return Author(author.by, f"canary {what}: {author.why}" if author.why else f"canary {what}", author.trace_id)
