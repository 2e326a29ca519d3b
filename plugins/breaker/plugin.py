"""The breaker plugin: one circuit per model, fed by attempts and calls.

A failure is a call to a model that failed after its retries; without retries every failed request is one. So what an
attempt came to is kept with the attempt until it is known whether anybody tries again: `rom_model_failed` reaches this
plugin only if retry had no answer, and `rom_model_call` sees the failures after which nobody was asked. A probe is not
retried and counts at once.

Settings: CIRCUIT_BREAKER_ENABLED (switch), BREAKER_FAILURES, BREAKER_WINDOW_SECONDS, BREAKER_OPEN_SECONDS.
Hooks: rom_settings, rom_start, rom_model_attempt (refuses, observes), rom_model_failed and rom_model_call (count),
rom_event (starts anew once it is switched off), rom_routes (POST /admin/breaker), rom_status.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from typing import Any

import falcon

from plugins.breaker.circuit import Change, Circuit, Force, Limits, Permit
from rom_core.config import Setting
from rom_core.errors import CircuitOpen, InvalidRequest, ModelError
from rom_core.events import CircuitClosed, CircuitHalfOpened, CircuitOpened, Event, SettingsChanged
from rom_core.failures import failure_of
from rom_core.hookspecs import hookimpl
from rom_core.http.body import BodySchema, read_json
from rom_core.pipeline import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.turn import Attempt, ModelCall, ModelReply

_OWN = "breaker"
_HELD_OPEN = "the model gets no requests: its circuit is held open by an administrator"
FORCE_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "state"],
        "properties": {
            "model": {"type": "string", "description": "an alias of MODELS"},
            "state": {"enum": ["open", "closed", "auto"], "description": "hold it there, or let it find its own"},
        },
    }
)


class Breaker:
    """The plugin. Circuits live as long as the process; no lock is held while a request runs."""

    _runtime: Runtime

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._circuits: dict[str, Circuit] = {}

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
        """The limits are those of the newest settings, whichever turn asks."""
        self._runtime = runtime

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
        except BaseException:
            circuit.released(permit)
            raise
        self._tell(attempt, circuit.succeeded(permit))
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
        """Switched off, forget everything: a circuit that nobody asks would stay open in the figures for ever."""
        if not isinstance(event, SettingsChanged) or self._runtime.current.settings.CIRCUIT_BREAKER_ENABLED:
            return
        with self._lock:
            models = list(self._circuits)
        for model in models:
            self.force(model, "auto", by=event.by)

    def status_of(self, model: str) -> dict[str, Any]:
        """{state: closed|open|half_open, forced, recent_failures, seconds_to_probe: 0 = the next request, or null}."""
        view = self._circuit(model).view(self._runtime.clock.monotonic(), self._limits())
        seconds = view.seconds_to_probe
        return {
            "state": view.state,
            "forced": view.forced,
            "recent_failures": view.recent_failures,
            "seconds_to_probe": None if seconds is None else round(seconds, 1),
        }

    def force(self, model: str, state: Force, by: str) -> None:
        """Hold a model's circuit open or closed, or let it go (auto): it then starts closed, with nothing counted."""
        change = self._circuit(model).force(state)
        if change is not None:
            self._runtime.emit(_event(model, change, seconds=None, by=by))

    def _circuit(self, model: str) -> Circuit:
        with self._lock:
            return self._circuits.setdefault(model, Circuit())

    def _limits(self) -> Limits:
        settings = self._runtime.current.settings
        return Limits(settings.BREAKER_FAILURES, settings.BREAKER_WINDOW_SECONDS, settings.BREAKER_OPEN_SECONDS)

    def _admit(self, circuit: Circuit, attempt: Attempt) -> Permit:
        admission = circuit.admit(attempt.turn.clock.monotonic(), self._limits())
        self._tell(attempt, admission.change)
        if admission.permit is None:
            forced = admission.retry_after is None
            detail = _HELD_OPEN if forced else "the model failed too often lately and is given time to recover"
            raise CircuitOpen(detail, kind="circuit_open", retry_after=admission.retry_after)
        attempt.probe = admission.permit.probe
        return admission.permit

    def _count(self, attempt: Attempt) -> None:
        permit = attempt.stash.pop(_OWN, None)
        if permit is not None:
            self._failed(permit, attempt)

    def _failed(self, permit: Permit, attempt: Attempt) -> None:
        now = attempt.turn.clock.monotonic()
        self._tell(attempt, self._circuit(attempt.model.alias).failed(permit, now, self._limits()))

    def _tell(self, attempt: Attempt, change: Change | None) -> None:
        if change is not None:
            seconds = self._limits().open_seconds
            attempt.turn.emit(_event(attempt.model.alias, change, seconds))


class BreakerResource:
    """POST /admin/breaker {"model", "state"}: answers the model's part of the status, with its alias."""

    auth = "admin"

    def __init__(self, runtime: Runtime, breaker: Breaker) -> None:
        self._runtime = runtime
        self._breaker = breaker

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Force a circuit. Raises InvalidRequest for an unknown alias or state."""
        settings = self._runtime.current.settings
        body = read_json(req, settings.MAX_BODY_BYTES)
        FORCE_REQUEST.validate(body)
        model = body["model"]
        if model not in settings.models:
            raise InvalidRequest(f"unknown model; known: {', '.join(settings.models)}", param="model")
        self._breaker.force(model, body["state"], by=req.context.admin_name)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = json.dumps({"model": model, **self._breaker.status_of(model)}).encode()


def _event(model: str, change: Change, seconds: float | None, by: str = "") -> Event:
    if change.state == "open":
        return CircuitOpened(model, change.reason, change.failures, seconds, by)
    if change.state == "half_open":
        return CircuitHalfOpened(model)
    return CircuitClosed(model, change.reason, by)


def _seconds(name: str, default: float, help_: str) -> Setting:
    return Setting(name, float, default, help_, minimum=1, maximum=3600, scope="process")
