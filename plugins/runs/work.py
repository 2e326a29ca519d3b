"""What runs here: runs are claimed, run in threads of their own, held, cancelled, handed over, and taken over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

import structlog

from plugins.runs.journal import Changes, Journal, encoded
from plugins.runs.running import ROUTE, STASH, Runner, Running, cancelled, interrupted, too_often
from rom_core.errors import RomError, RunInterrupted, StoreUnavailable
from rom_core.events import RunFinished, RunsChanged, RunTakenOver
from rom_core.http.problems import problem
from rom_core.telemetry.outcome import status_of
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from plugins.runs.keeping import Claimed, Ending, State
    from rom_core.plugin.protocols import PluginStore
    from rom_core.runtime import Runtime
    from rom_core.settings import Settings
    from rom_core.store.sealing import Sealer

logger = structlog.get_logger("rom.runs")
LOOK_SECONDS: Final = 1.0
"""Between two looks for what may begin, or is lost."""
UNLIMITED: Final = 10
"""Runs that are not exhaustive at the same time in one instance while the limiter is off."""
RENEWALS: Final = 4
"""As often a hold is renewed before it would lapse."""
_STOP_SECONDS: Final = 8.0


class Work:
    """The runs of this instance."""

    def __init__(self, runtime: Runtime, sealer: Sealer, enabled: Callable[[], bool]) -> None:
        """`enabled` tells whether the plugin is on: else nothing begins here, and what runs goes on."""
        self._runtime = runtime
        self.sealer = sealer
        self._enabled = enabled
        self.changes = Changes()
        self._journal = Journal(lambda: self.store, sealer, runtime.clock, self.changes)
        self._runner = Runner(runtime, sealer, self._journal, lambda: self.store)
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}
        self._threads: set[threading.Thread] = set()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._renew_at = 0.0
        self.queued = 0
        self._told = (0, 0)
        self._failing = False
        self._upkeep: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._look, name="rom-runs", daemon=True)

    @property
    def store(self) -> PluginStore:
        """The store. Raises StoreUnavailable where there is none."""
        if self._runtime.store is None:
            raise StoreUnavailable("this process keeps nothing, so it has no runs", retry_after=None)
        return self._runtime.store

    @property
    def running(self) -> int:
        """How many run here."""
        return len(self._running)

    @property
    def settings(self) -> Settings:
        """The newest."""
        return self._runtime.current.settings

    def now(self) -> float:
        """Seconds since the epoch, about as the store has them."""
        return self._runtime.clock.time()

    def start(self, upkeep: Callable[[], None]) -> None:
        """Begin; `upkeep` is called again and again, and may raise StoreUnavailable."""
        from plugins.runs.keeping import TOPIC

        self._upkeep = upkeep
        self._runtime.fleet.on(TOPIC, self.look_soon)
        self._journal.start()
        self._thread.start()

    def stop(self) -> None:
        """Hand over what still runs, and end."""
        self._stopped.set()
        self._wake.set()
        if not self._thread.is_alive():
            return
        self._thread.join(_STOP_SECONDS)
        for running in self._here():
            running.cancel("draining")
        for thread in list(self._threads):
            thread.join(_STOP_SECONDS)
        self._journal.stop()

    def look_soon(self) -> None:
        """Something may have to be done: a run to be begun, or one to be cancelled."""
        self._renew_at = 0.0
        self._wake.set()

    def cancel(self, run_id: str) -> None:
        """If it runs here, cancel it."""
        running = self._running.get(run_id)
        if running is not None:
            running.cancel("cancelled")

    def drain(self) -> None:
        """The process is about to end: it waits for what runs here, which is handed over if it may begin again."""
        for running in self._here():
            if running.give_back is None:
                running.give_back = self._runtime.places.take()
        self.hand_over()

    def hand_over(self) -> None:
        """Have those end that may begin again elsewhere."""
        for running in self._here():
            with running.lock:
                may_begin_again = not running.unrepeatable
                if may_begin_again:
                    running.ended_by = running.ended_by or "draining"
            if may_begin_again:
                running.cancel("draining")

    def guard(self, turn: Turn) -> None:
        """A tool is about to run that must not run twice: nobody begins this run again.

        Raises RunInterrupted if it is to begin again elsewhere, and StoreUnavailable.
        """
        from plugins.runs import keeping

        running = turn.stash.get(STASH)
        if not isinstance(running, Running) or running.unrepeatable:
            return
        with running.lock:
            if running.ended_by or not self.store.write(
                lambda connection: keeping.guard(connection, running.claimed.hold)
            ):
                raise RunInterrupted("the run goes on elsewhere")
            running.unrepeatable = True

    # -- looking -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                self.look()
                self._upkeep()
                self._failing = False
            except StoreUnavailable as error:
                # Once, not every second until it is back.
                if not self._failing:
                    logger.warning("runs.not_tended", error=error.detail)
                self._failing = True
            except Exception:
                logger.exception("runs.tending_failed")
            self._wake.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Renew what is held here, take over what is lost, and begin what there is room for."""
        clock = self._runtime.clock
        for running in self._here():
            if running.recorder is not None and running.recorder.lost:
                running.cancel("lost")
        if self._runtime.draining.is_set():
            self.hand_over()
        if clock.monotonic() >= self._renew_at:
            # Before it, so that what is asked for meanwhile is not passed over.
            self._renew_at = clock.monotonic() + self.settings.RUN_LEASE_SECONDS / RENEWALS
            try:
                self._renew()
            except StoreUnavailable:
                # First of all when it is back: what runs here must not look lost.
                self._renew_at = 0.0
                raise
        if self._enabled():
            self._look_around(clock.time())
        standing = self.running, self.queued
        if standing != self._told:
            self._told = standing
            self._runtime.emit(RunsChanged(*standing))

    def _look_around(self, now: float) -> None:
        """Take over what is lost, and begin what there is room for."""
        from plugins.runs import keeping

        standing = self.store.read(lambda connection: keeping.standing(connection, now))
        self.queued = standing.queued
        if standing.lost:
            # After a leap of the clock, or a machine that slept, what runs here looks lost as well.
            self._renew()
            self._take_over(now)
        if not (standing.due or standing.lost):
            return
        while (kinds := self._with_room()) and (claimed := self._claim(kinds)) is not None:
            self.queued = max(0, self.queued - 1)
            self._begin(claimed)

    def _renew(self) -> None:
        from plugins.runs import keeping

        with self._lock:
            held = dict(self._running)
        if not held:
            return
        now, lease = self._runtime.clock.time(), self.settings.RUN_LEASE_SECONDS
        me = self._runtime.fleet.id
        kept = self.store.write(lambda connection: keeping.renew(connection, me, list(held), lease, now))
        for run_id, running in held.items():
            if kept.get(run_id, True):
                # Erased, or another's by now: it may be long until it says something, and notices.
                running.cancel("cancelled" if run_id in kept else "lost")

    def _take_over(self, now: float) -> None:
        from plugins.runs import keeping

        def take(connection: Connection) -> list[RunTakenOver | RunFinished]:
            done: list[RunTakenOver | RunFinished] = []
            error: RomError | None
            state: State
            for row in keeping.lost(connection, now):
                if row.cancel:
                    error, state = cancelled(), "cancelled"
                    keeping.end(connection, row, self.ending_of(row, "cancelled", error), now)
                elif row.unrepeatable or row.lost + 1 >= keeping.MAX_LOST:
                    error, state = interrupted() if row.unrepeatable else too_often(), "interrupted"
                    keeping.end(connection, row, self.ending_of(row, "interrupted", error), now)
                else:
                    error, state = None, "queued"
                    keeping.queue_again(connection, row.id)
                done.append(RunTakenOver(row.id, state))
                if error is not None:
                    done.append(self.finished(row, state, error))
            return done

        for event in self.store.write(take):
            self._runtime.emit(event)
            self.changes.tell(event.run_id)

    def _with_room(self) -> set[bool]:
        """For which runs there is room: exhaustive ones (True), others (False)."""
        if self._stopped.is_set() or self._runtime.closed() is not None:
            return set()
        settings = self.settings
        most = {True: settings.RUNS_CONCURRENT, False: UNLIMITED}
        if getattr(settings, "BOTTLENECK_LIMITER_ENABLED", False):
            most = {True: settings.MAX_CONCURRENT_EXHAUSTIVE, False: settings.MAX_CONCURRENT_REQUESTS}
        here = [running.claimed.exhaustive for running in self._here()]
        return {kind for kind, number in most.items() if here.count(kind) < number}

    def _claim(self, kinds: Collection[bool]) -> Claimed | None:
        from plugins.runs import keeping

        now, me, lease = self._runtime.clock.time(), self._runtime.fleet.id, self.settings.RUN_LEASE_SECONDS
        return self.store.write(lambda connection: keeping.claim(connection, me, kinds, lease, now))

    def _here(self) -> list[Running]:
        with self._lock:
            return list(self._running.values())

    # -- running -----------------------------------------------------------------------------------------------------

    def _begin(self, claimed: Claimed) -> None:
        running = Running(claimed, self._runtime.clock.monotonic())
        thread = threading.Thread(target=self._run, args=(running,), name="rom-run", daemon=True)
        with self._lock:
            before = self._running.get(claimed.hold.run_id)
            self._running[claimed.hold.run_id] = running
            self._threads.add(thread)
        if before is not None:
            # This instance seemed dead, and has the run again.
            before.cancel("lost")
        thread.start()

    def _run(self, running: Running) -> None:
        claimed = running.claimed
        run_id = claimed.hold.run_id
        recorder = running.recorder = self._journal.open(claimed.hold, claimed.last_event, running.progress)
        try:
            if claimed.restart:
                logger.warning("run.begins_again", run_id=run_id, attempt=claimed.hold.attempt)
                recorder.add("restart", {"reason": claimed.restart, "length": 0})
            self._runner.run(running, recorder)
        except Exception:
            logger.exception("run.failed", run_id=run_id)
        finally:
            self._journal.close(recorder)
            with self._lock:
                if self._running.get(run_id) is running:
                    del self._running[run_id]
                self._threads.discard(threading.current_thread())
            if running.give_back is not None:
                running.give_back()
            self.changes.tell(run_id)
            self._wake.set()

    def finished(self, row: Row[Any], state: State, error: RomError) -> RunFinished:
        """The event of a run that ended while nobody ran it."""
        request = ChatRequest(
            messages=(), conversation_id=row.conversation_id, key_name=row.key_name, user=row.user or None
        )
        return RunFinished(
            row.id,
            state,
            status_of(200, error),
            code=error.code,
            trace_id=row.trace_id,
            route=ROUTE,
            cohort=self._runtime.current.for_request(request)[1],
            exhaustive=row.exhaustive,
        )

    def ending_of(self, row: Row[Any], state: State, error: RomError) -> Ending:
        """The end of a run that nobody holds."""
        from plugins.runs.keeping import Ending

        body = problem(error, row.trace_id, row.request_id, self.settings)
        return Ending(state, self.sealer.seal(encoded([["error", body]])), self.sealer.seal(encoded(body)))
