"""One run while this instance runs it: its turn, what it says, and what becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from plugins.runs import packing
from plugins.runs.journal import End, Journal, Recorder
from rom_core.concurrency.cancel import Deadline
from rom_core.errors import (
    ConversationBusy,
    InternalError,
    Rejected,
    RomError,
    RunInterrupted,
    StoreUnavailable,
    TurnCancelled,
)
from rom_core.events import RunFinished, RunStarted
from rom_core.http.problems import problem
from rom_core.http.stream import is_shown
from rom_core.telemetry.outcome import status_of
from rom_core.turn import Turn

if TYPE_CHECKING:
    from plugins.runs.keeping import Claimed, Progress, State
    from rom_core.plugin.protocols import PluginStore
    from rom_core.runtime import Runtime
    from rom_core.store.sealing import Sealer

logger = structlog.get_logger("rom.runs")
ROUTE: Final = "/api/chat"
STASH: Final = "runs"
_AGAIN_SECONDS: Final = 2.0
_MAX_AGAIN_SECONDS: Final = 10.0
_BACKPRESSURE_SECONDS: Final = 0.02
_SETTLE_SECONDS: Final = 1.0


class Running:
    """One run while this instance runs it. `ended_by`: why it was cancelled here, "" if it was not."""

    def __init__(self, claimed: Claimed, seconds_begun: float) -> None:
        """`seconds_begun` is when it began, on the monotonic clock."""
        self.claimed = claimed
        self.began = seconds_begun
        self.turn: Turn | None = None
        self.recorder: Recorder | None = None
        self.ended_by = ""
        self.unrepeatable = False
        self.give_back: Callable[[], None] | None = None
        self.lock = threading.Lock()

    def cancel(self, why: str) -> None:
        """Have it end; the first reason stays."""
        with self.lock:
            self.ended_by = self.ended_by or why
            turn = self.turn
        if turn is not None:
            turn.cancel.cancel("draining" if why == "draining" else "client_gone")

    def progress(self) -> Progress:
        """How far it has come."""
        from plugins.runs.keeping import Progress

        turn = self.turn
        if turn is None:
            return Progress()
        return Progress(turn.iterations, tuple(call.name for call in list(turn.tool_calls)), turn.usage.as_dict())


class Runner:
    """Runs runs, one in each thread that calls `run`."""

    def __init__(self, runtime: Runtime, sealer: Sealer, journal: Journal, store: Callable[[], PluginStore]) -> None:
        """`store` raises StoreUnavailable where there is none."""
        self._runtime = runtime
        self._sealer = sealer
        self._journal = journal
        self._store = store

    def run(self, running: Running, recorder: Recorder) -> None:
        """Run it, in the calling thread, and keep what became of it, or give it back."""
        claimed = running.claimed
        failure: RomError
        try:
            turn = running.turn = self._turn(running, recorder)
            if running.ended_by:
                running.cancel(running.ended_by)
            turn.emit(RunStarted(claimed.hold.run_id, claimed.hold.attempt, claimed.trace_id))
            result = self._runtime.run(turn).as_dict()
        except RomError as error:
            failure = error
        except Exception:
            logger.exception("run.failed", run_id=claimed.hold.run_id)
            failure = InternalError("an unforeseen error; the log has it under this trace id")
        else:
            self._end(running, recorder, "done", "done", result)
            return
        if running.ended_by == "lost" or recorder.lost:
            return
        if running.ended_by == "draining" and not running.unrepeatable:
            self._give_back(running, recorder, "instance_lost", 0.0)
            return
        if running.ended_by == "draining" or (failure.code == "draining" and running.unrepeatable):
            self._fail(running, recorder, "interrupted", interrupted())
        elif running.ended_by == "cancelled":
            self._fail(running, recorder, "cancelled", cancelled())
        elif self._may_wait(running, failure):
            wait = min(failure.retry_after or _AGAIN_SECONDS, _MAX_AGAIN_SECONDS)
            self._give_back(running, recorder, "", wait)
        else:
            self._fail(running, recorder, "failed", failure)

    def _turn(self, running: Running, recorder: Recorder) -> Turn:
        claimed, runtime = running.claimed, self._runtime
        request = packing.unpacked(
            self._sealer.open(claimed.request), lambda digest: self._sealer.open(claimed.files[digest])
        )
        turn = runtime.turn(request, route=ROUTE, trace_id=claimed.trace_id, request_id=claimed.request_id)
        turn.id = claimed.turn_id
        if claimed.exhaustive:
            turn.deadline = Deadline(runtime.clock, turn.settings.RUN_DEADLINE_SECONDS)
        turn.stash[STASH] = running

        def say(name: str, data: dict[str, Any]) -> None:
            while recorder.full:
                turn.check()
                turn.cancel.event.wait(_BACKPRESSURE_SECONDS)
            if name != "held" and is_shown(name, data):
                recorder.add(name, data)

        turn.sink = say
        return turn

    def _may_wait(self, running: Running, failure: RomError) -> bool:
        """Whether it did not even begin, for want of room, and has not waited too long."""
        turn, claimed = running.turn, running.claimed
        if turn is None or turn.iterations or not isinstance(failure, Rejected | ConversationBusy):
            return False
        settings = turn.settings
        most = settings.RUN_DEADLINE_SECONDS if claimed.exhaustive else settings.TURN_DEADLINE_SECONDS
        return claimed.now - claimed.created_at < float(most)

    def _give_back(self, running: Running, recorder: Recorder, restart: str, after: float) -> None:
        from plugins.runs import keeping

        claimed = running.claimed
        recorder.close()
        now = self._runtime.clock.time()
        restart = restart or claimed.restart
        try:
            self._store().write(lambda connection: keeping.give_back(connection, claimed.hold, restart, after, now))
        except StoreUnavailable as error:
            # Its hold lapses, and somebody takes it over.
            logger.warning("run.not_given_back", run_id=claimed.hold.run_id, error=error.detail)

    def _fail(self, running: Running, recorder: Recorder, state: State, error: RomError) -> None:
        claimed = running.claimed
        body = problem(error, claimed.trace_id, claimed.request_id, self._runtime.current.settings)
        self._end(running, recorder, state, "error", body, error)

    def _end(
        self,
        running: Running,
        recorder: Recorder,
        state: State,
        name: str,
        body: dict[str, Any],
        error: RomError | None = None,
    ) -> None:
        clock = self._runtime.clock
        recorder.end(name, body, End(state, body))
        # With the store away for longer than the hold lasts somebody else may run it by the time it is back.
        while not recorder.settled.wait(_SETTLE_SECONDS) and self._journal.alive:
            pass
        if recorder.lost:
            return
        claimed, turn = running.claimed, running.turn
        self._runtime.emit(
            RunFinished(
                claimed.hold.run_id,
                state,
                status_of(200, error),
                code=error.code if error is not None else "",
                duration=max(0.0, claimed.now - claimed.created_at) + clock.monotonic() - running.began,
                trace_id=claimed.trace_id,
                route=ROUTE,
                cohort=turn.cohort if turn is not None else "stable",
                exhaustive=claimed.exhaustive,
            )
        )


def cancelled() -> RomError:
    """What stands for a run that its owner has cancelled."""
    return TurnCancelled("the run was cancelled")


def interrupted() -> RomError:
    """What stands for a run that is not begun again."""
    return RunInterrupted("its instance ended after a tool had run that must not run twice; it is not begun again")


def too_often() -> RomError:
    """What stands for a run that may be what its instances died of."""
    return RunInterrupted("its instance has died several times while it ran; it is not begun again")
