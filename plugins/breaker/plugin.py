"""The breaker plugin: one circuit per model, fed by attempts and calls.

A failure is a call to a model that failed after its retries; without retries every failed request is one. So what an
attempt came to is kept with the attempt until it is known whether anybody tries again: `rom_model_failed` reaches this
plugin only if retry had no answer, and `rom_model_call` sees the failures after which nobody was asked. A probe is not
retried and counts at once; so does a model that was silent until the turn's own deadline, after which nobody is asked.

Settings: CIRCUIT_BREAKER_ENABLED (switch), BREAKER_FAILURES, BREAKER_WINDOW_SECONDS, BREAKER_OPEN_SECONDS.
Hooks: rom_settings, rom_tables, rom_start, rom_model_attempt (refuses, observes), rom_model_failed and rom_model_call
(count), rom_event (starts anew once it is switched off), rom_routes (POST /admin/breaker), rom_status.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import structlog

from plugins.breaker.circuit import Change, Circuit, CircuitConfig, Force, Permit, View
from plugins.breaker.held import TOPIC, Held, held, hold, let_go
from plugins.breaker.routes import BreakerResource
from rom_core.concurrency.clock import iso
from rom_core.errors import CircuitOpen, DeadlineExceeded, ModelError, StoreUnavailable
from rom_core.events import CircuitClosed, CircuitHalfOpened, CircuitOpened, CircuitReported, Event, SettingsChanged
from rom_core.flags import Author
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.resilience.reserve import silence_that_counts
from rom_core.resilience.verdicts import failure_of
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.tables import Tables
from rom_core.turn import Attempt, ModelCall
from rom_core.turn_values import ModelReply

_OWN = "breaker"
logger = structlog.get_logger("rom.breaker")
_HELD_OPEN = "the model gets no requests: its circuit is held open by an administrator"


class Breaker:
    """The plugin. Circuits live as long as the process; no lock is held while a request runs.

    `_held`: the circuits that an administrator holds. They are in the store as well, if there is one.
    """

    _runtime: Runtime

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._circuits: dict[str, Circuit] = {}
        self._held: dict[str, Held] = {}
        self._changing = threading.Lock()

    @hookimpl
    def rom_settings(self) -> list[Setting]:
        """The switch, and when a circuit opens and for how long."""
        return [
            Setting("CIRCUIT_BREAKER_ENABLED", bool, False, "Gives failing models time to recover.", switch=True),
            Setting(
                "BREAKER_FAILURES",
                int,
                5,
                "Failed calls within the window that open a model's circuit.",
                minimum=1,
                maximum=1000,
                scope="process",
            ),
            _seconds("BREAKER_WINDOW_SECONDS", 60.0, "Seconds for which a failed call counts."),
            _seconds("BREAKER_OPEN_SECONDS", 30.0, "Seconds without requests before one probe, and for it to answer."),
        ]

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """The limits are those of the newest settings, whichever turn asks; what is held in the store is held here."""
        self._runtime = runtime
        if runtime.store is not None:
            try:
                self.catch_up()
            except StoreUnavailable as error:
                logger.error("circuit.store_failed", reason=error.detail)
            runtime.fleet.on(TOPIC, self.catch_up)

    @hookimpl
    def rom_tables(self) -> Tables:
        """The circuits that an administrator holds."""
        from plugins.breaker.tables import METADATA

        return Tables(METADATA, migrations="plugins.breaker.migrations", copied=True)

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """POST /admin/breaker."""
        app.add_route("/admin/breaker", BreakerResource(runtime, self))

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """Every model of MODELS by alias; see `status_of`."""
        return {"models": {alias: self.status_of(alias) for alias in self._runtime.current.settings.models}}

    @hookimpl(wrapper=True)
    def rom_model_attempt(self, attempt: Attempt) -> Generator[None, ModelReply, ModelReply]:
        """Let the request pass or raise CircuitOpen, and see what becomes of it."""
        model = attempt.model.alias
        circuit = self._circuit(model)
        permit = self._admit(circuit, attempt)
        try:
            reply = yield
        except ModelError as error:
            if not failure_of(error).counts:
                circuit.released(permit)
            elif permit.probe:
                self._failed(permit, attempt)
            else:
                attempt.stash[_OWN] = permit
            raise
        except DeadlineExceeded:
            if attempt.silent_since is not None and _silence(attempt) >= silence_that_counts(attempt.turn):
                self._failed(permit, attempt)
            else:
                circuit.released(permit)
            raise
        except BaseException:
            circuit.released(permit)
            raise
        if attempt.answered_by == "wire":
            self._emit(attempt, circuit.succeeded(permit))
        elif isinstance(attempt.error, ModelError) and failure_of(attempt.error).counts:
            # A plugin answered in its place: the model failed all the same.
            self._failed(permit, attempt)
        else:
            circuit.released(permit)
        return reply

    @hookimpl
    def rom_model_failed(self, attempt: Attempt) -> None:
        """Retry had no answer: this call to the model has failed. No opinion on what happens next."""
        self._count(attempt)

    @hookimpl(wrapper=True)
    def rom_model_call(self, call: ModelCall) -> Generator[None, ModelReply, ModelReply]:
        """Count the failure that ends a call where nobody was asked, or the answer could not be carried out."""
        try:
            return (yield)
        except ModelError as error:
            if call.attempts and call.attempts[-1].error is error:
                self._count(call.attempts[-1])
            raise

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """After a change of settings, report every circuit; switched off, forget everything.

        A circuit that no request comes to would otherwise stay open in the figures for ever, and an observer that was
        off until now would not know of one that is open.
        """
        if not isinstance(event, SettingsChanged):
            return
        settings = self._runtime.current.settings
        if settings.CIRCUIT_BREAKER_ENABLED:
            for model in settings.models:
                view = self._view(model)
                self._runtime.emit(CircuitReported(model, view.state, view.forced))
            return
        author = Author(event.by, event.why, event.trace_id)
        with self._lock:
            models = list(self._circuits)
        for model in models:
            self._apply(model, None, author)
        try:
            self._forget_held()
        except StoreUnavailable as error:
            # It is tried again by `catch_up`.
            logger.error("circuit.store_failed", reason=error.detail)

    def status_of(self, model: str) -> dict[str, Any]:
        """{state: closed|open|half_open, forced, recent_failures, seconds_to_probe: 0 = the next request, or null}.

        While it is forced also {by, at, why}.
        """
        view = self._view(model)
        seconds = view.seconds_to_probe
        with self._lock:
            holder = self._held.get(model) if view.forced else None
        who = {} if holder is None else {"by": holder.author.by, "at": iso(holder.at), "why": holder.author.why}
        return {
            "state": view.state,
            "forced": view.forced,
            "recent_failures": view.recent_failures,
            "seconds_to_probe": None if seconds is None else round(seconds, 1),
            **who,
        }

    def force(self, model: str, state: Force, author: Author) -> None:
        """Hold a model's circuit open or closed, or let it go (auto): it then starts closed, with nothing counted.

        Raises StoreUnavailable if that could not be kept, and then changes nothing.
        """
        who = Author(author.by, author.why)
        wanted = None if state == "auto" else Held(state, who, self._runtime.clock.time())
        store = self._runtime.store
        with self._changing:
            if store is not None and wanted is not None:
                hold(store, model, wanted)
            elif store is not None:
                let_go(store, [model])
            self._apply(model, wanted, author)

    def catch_up(self) -> None:
        """Hold what is held in the store, and nothing else. Raises StoreUnavailable."""
        settings, store = self._runtime.current.settings, self._runtime.store
        if store is None:
            return
        if not settings.CIRCUIT_BREAKER_ENABLED:
            self._forget_held()
            return
        with self._changing:
            kept = held(store)
            with self._lock:
                before = dict(self._held)
            for model in {*kept, *before} & set(settings.models):
                if kept.get(model) != before.get(model):
                    author = kept[model].author if model in kept else before[model].author
                    self._apply(model, kept.get(model), author)

    def _forget_held(self) -> None:
        """Keep nothing in the store; it is read first, since there is nothing to write nearly always."""
        store = self._runtime.store
        if store is not None:
            with self._changing:
                if kept := held(store):
                    let_go(store, kept)

    def _apply(self, model: str, wanted: Held | None, author: Author) -> None:
        circuit = self._circuit(model)
        with self._lock:
            if wanted is None:
                self._held.pop(model, None)
            else:
                self._held[model] = wanted
            change = circuit.force("auto" if wanted is None else wanted.state)
        if change is not None:
            self._runtime.emit(_event(model, change, seconds=None, author=author))

    def _view(self, model: str) -> View:
        return self._circuit(model).view(self._runtime.clock.monotonic(), self._config())

    def _circuit(self, model: str) -> Circuit:
        with self._lock:
            return self._circuits.setdefault(model, Circuit())

    def _config(self) -> CircuitConfig:
        settings = self._runtime.current.settings
        return CircuitConfig(settings.BREAKER_FAILURES, settings.BREAKER_WINDOW_SECONDS, settings.BREAKER_OPEN_SECONDS)

    def _admit(self, circuit: Circuit, attempt: Attempt) -> Permit:
        admission = circuit.admit(attempt.turn.clock.monotonic(), self._config())
        self._emit(attempt, admission.change)
        if admission.permit is None:
            forced = admission.retry_after is None
            detail = _HELD_OPEN if forced else "the model failed too often lately and is given time to recover"
            raise CircuitOpen(detail, kind="circuit_open", retry_after=admission.retry_after)
        attempt.probe = admission.permit.probe
        return admission.permit

    def _count(self, attempt: Attempt) -> None:
        permit = attempt.stash.pop(_OWN, None)
        if permit is None:
            return
        if attempt.retry_declined == "budget":
            # The retry might have been answered: what our own budget forbids is not the model's failure.
            self._circuit(attempt.model.alias).released(permit)
        else:
            self._failed(permit, attempt)

    def _failed(self, permit: Permit, attempt: Attempt) -> None:
        circuit, now = self._circuit(attempt.model.alias), attempt.turn.clock.monotonic()
        self._emit(attempt, circuit.failed(permit, now, self._config(), began=attempt.began))

    def _emit(self, attempt: Attempt, change: Change | None) -> None:
        if change is not None:
            seconds = self._config().open_seconds
            attempt.turn.emit(_event(attempt.model.alias, change, seconds, Author("", trace_id=attempt.turn.trace_id)))


def _silence(attempt: Attempt) -> float:
    """Seconds for which this model was waited for when the attempt ended, and when the call's earlier ones at it did.

    A read timeout whose retry the deadline cuts short is one failure, though neither wait need be long by itself; not
    if the retry had begun to answer.
    """
    answering = attempt.first_delta_at is not None
    return sum(
        other.finished_at - other.silent_since
        for other in ([attempt] if answering else attempt.call.attempts)
        if other.model.alias == attempt.model.alias and other.finished_at is not None and other.silent_since is not None
    )


def _event(model: str, change: Change, seconds: float | None, author: Author) -> Event:
    if change.state == "open":
        return CircuitOpened(model, change.reason, change.failures, seconds, author.by, author.why, author.trace_id)
    if change.state == "half_open":
        return CircuitHalfOpened(model, author.trace_id)
    return CircuitClosed(model, change.reason, author.by, author.why, author.trace_id)


def _seconds(name: str, default: float, help_: str) -> Setting:
    return Setting(name, float, default, help_, minimum=1, maximum=3600, scope="process")
