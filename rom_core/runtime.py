"""The runtime: what lives as long as the process, and the one place where a request becomes a turn.

It owns the catalogue, the snapshot in force, the wire, the pools and the watchdog; `start` and `stop` frame its life.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from rom_core.agent.client_tools import check_client_tools
from rom_core.agent.loop import ToolLoop
from rom_core.agent.model_call import LateTransport, ModelCalls, Transport
from rom_core.agent.tool_run import ToolRuns
from rom_core.concurrency.body_room import BodyRoom
from rom_core.concurrency.bounded import finished_within
from rom_core.concurrency.cancel import Deadline
from rom_core.concurrency.clock import Clock, SystemClock
from rom_core.concurrency.intake import Intake
from rom_core.concurrency.places import Places
from rom_core.concurrency.watchdog import Watchdog
from rom_core.concurrency.workers import WorkerPool
from rom_core.documents.examiner import Examiner
from rom_core.errors import BedrockDisabled, Draining, InternalError, Overloaded, RomError, UnknownModel
from rom_core.events import Event, RequestRejected, ServerDraining, TurnFinished, TurnStarted
from rom_core.fleet.joining import fleet_of
from rom_core.plugin.answers import answer_of
from rom_core.plugin.catalogue import Catalogue, Plugin
from rom_core.plugin.snapshot import Snapshot, build_snapshot
from rom_core.resilience.repeats import Repeats
from rom_core.settings import Settings
from rom_core.store.watching import emit_transactions
from rom_core.telemetry import log
from rom_core.telemetry.health_watch import HealthWatch
from rom_core.telemetry.ids import new_id, new_span
from rom_core.telemetry.plugin_figures import add_plugin_figures
from rom_core.telemetry.registry import IsolatingRegistry
from rom_core.telemetry.tracing import working_for_turn
from rom_core.turn import Turn
from rom_core.turn_speech import Sink
from rom_core.turn_values import ChatRequest, TurnResult

if TYPE_CHECKING:
    from rom_core.flags import Flags
    from rom_core.store.base import Store

logger = structlog.get_logger("rom.runtime")
# More than any plugin of ours can need: the canary waits for a decision that is under way.
_STOP_SECONDS = 30.0

# Threads kept free of chats, for health, readiness, metrics and admin.
RESERVED_THREADS = 12


class Runtime:
    """One per process; its collaborators are handed in, and nobody assigns into it.

    `flags` change the settings at run time; None if the runtime was given nothing to read them from. `store` is
    what outlives the process, if there are flags that are kept. `registry` holds what is counted: what
    plugins give (`rom_collectors`) is added when they have started.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        flags: Flags | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        """With `flags`, theirs are the settings in force, and `settings` only what is read once (`flags.at_start`).

        `transport` replaces the wire, for tests. Raises PluginError if an enabled plugin cannot be used, and
        InvalidSettings as `flags.open`.
        """
        self.catalogue = catalogue
        self.clock: Clock = clock or SystemClock()
        self.observer_errors: Counter[tuple[str, str]] = Counter()
        self.registry = registry if registry is not None else IsolatingRegistry()
        self.watchdog = Watchdog()
        self.max_turns = int(settings.HTTP_THREADS) - RESERVED_THREADS
        self.tool_pool = WorkerPool("tools", settings.TOOL_THREADS, waiting=2 * settings.TOOL_THREADS)
        self.turn_pool = WorkerPool("turns", self.max_turns)
        self.examiner, self.body_room = Examiner(self.clock), BodyRoom()
        self.intake = Intake()
        self.draining = self.intake.draining
        self._closers: list[Callable[[], None]] = []
        self.places = Places(self.max_turns)
        self._repeats = Repeats(self.clock)
        self._stopped = False
        self._log_level = ""
        self._active: set[Turn] = set()
        self._transport = transport
        tools = ToolRuns(self.tool_pool)
        self.health = HealthWatch(self)
        self._core = (
            self.health,
            ToolLoop(tools, self.watchdog, self.check_enabled),
            ModelCalls(LateTransport(lambda: self.transport), self.check_enabled),
            tools,
        )
        self.flags = flags
        self.store: Store | None = None if flags is None else flags.database
        self._closers.extend([] if self.store is None else [self.store.close])
        if flags is None:
            self.swap(self.build(settings))
        else:
            flags.open(build=self.build, swap=self.swap, emit=self.emit, time=lambda: self.clock.time())
        emit_transactions(self.store, self.emit)
        self.fleet = fleet_of(flags, self.clock, lambda: self.current.version, lambda: not self.intake.open)

    @property
    def current(self) -> Snapshot:
        """The snapshot in force, which new turns take."""
        return self._current

    def swap(self, snapshot: Snapshot) -> None:
        """Put `snapshot` in force, by one assignment: turns that run keep the one they began with."""
        level = snapshot.settings.LOG_LEVEL
        if level != self._log_level:
            # Nothing is changed at start: whoever began the process has configured its log.
            if self._log_level:
                log.set_level(level)
            self._log_level = level
        self._current = snapshot

    def build(self, settings: Settings) -> Snapshot:
        """A snapshot of these settings for this runtime, not in force. Raises PluginError."""
        return build_snapshot(self.catalogue, settings, self._core, observer_errors=self.observer_errors)

    # -- life cycle --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the wire and start what plugins start. Raises ConfigurationError or PluginError."""
        if self._transport is None:
            self._transport = self._open_wire(self.current.settings)
        self.watchdog.start()
        self.catalogue.start(self)
        add_plugin_figures(self.catalogue, self.registry, self.clock, lambda: self.current.pipeline.plugins)
        if self.flags is not None:
            self.flags.announce()
        self.fleet.start()
        self.health.start()

    def drain(self) -> None:
        """Take no new turns from now on, and tell whoever makes turns wait."""
        self.draining.set()
        self.emit(ServerDraining())

    def stop(self) -> None:
        """Stop everything that `start` started; no plugin is waited for longer than 30 seconds."""
        self.draining.set()
        self.intake.ending.set()
        if self._stopped:
            return
        self._stopped = True
        self.health.stop()
        for plugin in self.catalogue.plugins.values():
            if "rom_stop" in plugin.hooks:
                self._stop(plugin)
        self.fleet.stop()
        self.watchdog.stop()
        self.turn_pool.stop()
        self.tool_pool.stop()
        for close in reversed(self._closers):
            try:
                close()
            except Exception:
                logger.exception("runtime.close_failed")

    def _stop(self, plugin: Plugin) -> None:
        def stop() -> None:
            try:
                plugin.call("rom_stop", runtime=self)
            except BaseException:
                logger.exception("plugin.stop_failed", plugin=plugin.name)

        if not finished_within(_STOP_SECONDS, stop, name=f"rom-stop-{plugin.name}"):
            logger.error("plugin.stop_overdue", plugin=plugin.name, seconds=_STOP_SECONDS)

    def _open_wire(self, settings: Settings) -> Transport:
        from rom_core.bedrock.wire import Wire

        endpoint: str | None = settings.BEDROCK_ENDPOINT_URL or None
        if endpoint == "local":
            from local_bedrock import LocalBedrock

            local = LocalBedrock().start()
            self._closers.append(local.stop)
            endpoint = local.url
        wire = Wire(settings, self.clock, endpoint_url=endpoint, watchdog=self.watchdog)
        self._closers.append(wire.close)
        return wire

    # -- turns -------------------------------------------------------------------------------------------------------

    def bedrock_enabled(self) -> bool:
        """The kill switch as it stands now."""
        # In this order: a kill is dropped only once its snapshot is the current one.
        if self.flags is not None and self.flags.killed:
            return False
        return bool(self.current.settings.BEDROCK_ENABLED)

    def check_enabled(self) -> None:
        """Raise BedrockDisabled while the kill switch is off."""
        if not self.bedrock_enabled():
            raise BedrockDisabled("BEDROCK_ENABLED is off")

    def closed(self) -> BedrockDisabled | Draining | None:
        """Why no turn of anybody is taken at this moment; None while turns are taken."""
        if not self.bedrock_enabled():
            return BedrockDisabled("BEDROCK_ENABLED is off")
        return self.intake.refusal()

    @property
    def active_turns(self) -> int:
        """Turns that run at this moment."""
        return len(self._active)

    @property
    def admitted(self) -> int:
        """Requests that hold one of the core's own places."""
        return self.places.taken

    def emit(self, event: Event) -> None:
        """Tell the observers of the snapshot in force."""
        self.current.pipeline.emit(event)

    def admit(self, route: str, key_name: str = "") -> Callable[[], None]:
        """Take one of the core's places for a request of which nothing is known but who asks.

        The returned function gives it back, once, however often it is called. Raises BedrockDisabled, Draining, what a
        plugin answers to `rom_admit`, or Overloaded, and asks in this order.
        """
        # The plugins before the places: they know better what is full, and for how long.
        refusal = self.closed() or self.current.refusal(route, key_name)
        if isinstance(refusal, BedrockDisabled):
            raise refusal
        if refusal is None:
            give_back = self.places.take()
            if give_back is not None:
                return give_back
            refusal = Overloaded("every place is taken", retry_after=2)
        self.emit(RequestRejected(route, refusal.code))
        raise refusal

    def turn(
        self,
        request: ChatRequest,
        *,
        route: str = "",
        trace_id: str = "",
        request_id: str = "",
        accepted_at: float | None = None,
        sink: Sink | None = None,
    ) -> Turn:
        """A turn for `request` on the snapshot in force for its cohort.

        `accepted_at` (monotonic) is where its deadline starts. Raises UnknownModel, PluginDisabled, InvalidRequest.
        """
        snapshot, cohort = self.current.for_request(request)
        settings = snapshot.settings
        snapshot.check_plugins(request.needs)
        model = request.model or settings.MODEL_PRIMARY
        if model not in settings.models:
            raise UnknownModel(f"unknown model {model[:100]!r}; known: {', '.join(settings.models)}", param="model")
        check_client_tools(request, settings.models[model], snapshot.tools.names)
        limit = "EXHAUSTIVE_DEADLINE_SECONDS" if request.mode == "exhaustive" else "TURN_DEADLINE_SECONDS"
        seconds = float(getattr(settings, limit))
        if request.client_timeout is not None:
            seconds = min(seconds, request.client_timeout)
        return Turn(
            id=f"chat-{new_id()}",
            request=self._repeats.marked(request),
            snapshot=snapshot,
            clock=self.clock,
            deadline=Deadline(self.clock, seconds, started=accepted_at),
            model=model,
            trace_id=trace_id,
            span=new_span(),
            request_id=request_id,
            route=route,
            cohort=cohort,
            sink=sink,
        )

    def run(self, turn: Turn, disconnected: Callable[[], bool] | None = None) -> TurnResult:
        """Run a turn to its end in the calling thread; `disconnected` tells whether the client has left.

        Raises a RomError, whatever happened; an unforeseen exception is logged and becomes InternalError.
        """
        result: TurnResult | None = None
        failure: RomError | None = None
        with self._running(turn, disconnected), working_for_turn(turn):
            turn.emit(TurnStarted(turn))
            try:
                turn.check()
                # Before any plugin: one may answer in the model's place.
                self.check_enabled()
                answer = answer_of("rom_turn", turn.snapshot.pipeline.hook.rom_turn(turn=turn), TurnResult)
                if turn.sink is None:
                    turn.snapshot.pipeline.delta(turn, answer.reply)
                result = answer
            except RomError as error:
                failure = error
                raise
            except BaseException as error:
                # Also SystemExit and the like, which a tool or a plugin may raise: they end a turn, not a thread.
                logger.exception("turn.failed", trace_id=turn.trace_id, request_id=turn.request_id)
                failure = InternalError("an unforeseen error; the log has it under this trace id")
                raise failure from error
            finally:
                self._repeats.note(turn, failure)
                turn.emit(TurnFinished(turn, result, failure, turn.deadline.elapsed()))
        return answer

    def cancel_active(self, reason: str) -> None:
        """Cancel every running turn."""
        for turn in list(self._active):
            turn.cancel.cancel(reason)

    @contextmanager
    def _running(self, turn: Turn, disconnected: Callable[[], bool] | None) -> Iterator[None]:
        def check() -> None:
            if disconnected is not None and disconnected():
                turn.cancel.cancel("client_gone")
            elif turn.deadline.passed:
                turn.cancel.cancel("deadline")

        self._active.add(turn)
        try:
            with self.watchdog.watching(check):
                yield
        finally:
            self._active.discard(turn)

    @property
    def transport(self) -> Transport:
        """What carries requests to the model."""
        if self._transport is None:
            raise InternalError("the runtime was not started")
        return self._transport
