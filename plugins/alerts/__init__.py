"""Alerts: tells people when capacity, a circuit, the error rate or the settings change, one message for each change.

Settings: ALERTS_ENABLED (switch), ALERT_WEBHOOK_URL; without a URL nothing is sent. Hooks: rom_settings, rom_start,
rom_stop, rom_status, rom_event. A pure observer; messages go out from a thread of its own (courier.py).
"""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from plugins.alerts import messages
from plugins.alerts.courier import Courier
from plugins.alerts.messages import Message
from rom_core.events import (
    AlertSent,
    CanaryAborted,
    CanaryChanged,
    CapacityChanged,
    CircuitClosed,
    CircuitOpened,
    Event,
    FlagsStoreTroubled,
    SettingsChanged,
    SettingsChanging,
    TurnFinished,
)
from rom_core.http.requests import status_of
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import Rule, Setting, Settings, address_problem
from rom_core.telemetry.capacity import Hold, RollingCounts

_NAME = "alerts"
ERROR_RATE = 0.01
MIN_ERRORS = 3
"""With little traffic a single failed turn is more than 1 %: that one is in the log, three are a pattern."""


def _usable_url(settings: Settings) -> str | None:
    return address_problem(settings.ALERT_WEBHOOK_URL) if settings.ALERT_WEBHOOK_URL else None


class Alerts:
    """The plugin."""

    def __init__(self) -> None:
        self._turns = RollingCounts()
        self._outcomes: Counter[str] = Counter()
        self._states: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._instance = os.environ.get("RENDER_INSTANCE_ID") or socket.gethostname()
        self._url = ""
        self._announced_version = -1
        self._runtime: Runtime | None = None
        self._courier: Courier | None = None
        self._errors: Hold | None = None

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch and the webhook."""
        return [
            Setting("ALERTS_ENABLED", bool, True, "Post changes of state to ALERT_WEBHOOK_URL.", switch=True),
            Setting(
                "ALERT_WEBHOOK_URL",
                str,
                "",
                "Slack-compatible webhook for alerts; empty sends none.",
                secret=True,
                scope="process",
            ),
            Rule(("ALERT_WEBHOOK_URL",), _usable_url),
        ]

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Start the courier."""
        self._runtime = runtime
        self._url = str(runtime.current.settings.ALERT_WEBHOOK_URL)
        self._forget(runtime)
        self._courier = Courier(
            runtime.clock,
            url=lambda: str(runtime.current.settings.ALERT_WEBHOOK_URL),
            origin=lambda: f"ROM Agent, {runtime.current.settings.environment}, {self._instance}",
            done=self._done,
            tick=self.tick,
        )
        self._courier.start()

    @hookimpl
    def rom_stop(self) -> None:
        """Stop the courier."""
        if self._courier is not None:
            self._courier.stop()

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """Whether there is a webhook, what waits, and how messages ended."""
        runtime, courier = self._runtime, self._courier
        if runtime is None or courier is None:
            return {}
        return {
            "webhook": bool(runtime.current.settings.ALERT_WEBHOOK_URL),
            "waiting": courier.waiting,
            **{outcome: self._outcomes[outcome] for outcome in ("delivered", "failed", "dropped")},
        }

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Count turns; turn a change of state into a message."""
        if self._runtime is None:
            return
        clock = self._runtime.clock
        match event:
            case TurnFinished():
                self._turns.add(clock.monotonic(), status_of(200, event.error))
            case CapacityChanged():
                changed, lasted = self._change("capacity", event.after)
                if changed:
                    self._send(messages.of_capacity(event, clock.time(), lasted))
            case CircuitOpened() | CircuitClosed():
                state = "open" if isinstance(event, CircuitOpened) else "closed"
                changed, lasted = self._change(f"circuit {event.model}", state)
                if changed:
                    self._send(messages.of_circuit(event, clock.time(), lasted))
            case SettingsChanging():
                self._settings_changing(event, clock.time())
            case SettingsChanged():
                if event.changes.get("ALERTS_ENABLED", (None, False))[1]:
                    self._forget(self._runtime)
                self._settings_changed(self._runtime, event)
            case CanaryAborted():
                self._send(messages.of_canary(event, clock.time()))
            case CanaryChanged(action="passed" | "inconclusive"):
                self._send(messages.of_canary(event, clock.time()))
            case FlagsStoreTroubled():
                self._send(messages.of_store(event, clock.time()))

    def _settings_changing(self, event: SettingsChanging, at: float) -> None:
        """Tell of a change by which less is seen before it is in force, where alerts go until then."""
        if event.adopted:
            return
        if self._courier is not None and self._url and messages.silenced_by(event.changes):
            self._announced_version = event.version
            self._courier.send(replace(messages.of_settings(event, at), to=self._url), first=True)

    def _settings_changed(self, runtime: Runtime, event: SettingsChanged) -> None:
        """Tell of the change, unless that was done before it."""
        before, self._url = self._url, str(runtime.current.settings.ALERT_WEBHOOK_URL)
        told = event.version == self._announced_version and before == self._url
        # What another instance has changed, that one tells of.
        if event.changes and not told and not event.adopted:
            self._send(messages.of_settings(event, runtime.clock.time()))

    def tick(self) -> None:
        """Watch the error rate; while the plugin is switched off, know nothing."""
        runtime = self._runtime
        if runtime is None:
            return
        if _NAME in runtime.current.pipeline.plugins:
            self.watch_errors()
        else:
            self._forget(runtime)

    def _forget(self, runtime: Runtime) -> None:
        """Start anew: what changed while the plugin was switched off, it has not seen."""
        with self._lock:
            self._states.clear()
            self._turns = RollingCounts()
            self._errors = Hold(runtime.clock.monotonic())

    def watch_errors(self) -> None:
        """Compare the error rate of the last five minutes with the threshold; a message when it passes it, or back."""
        if self._runtime is None or self._errors is None:
            return
        now = self._runtime.clock.monotonic()
        counts = self._turns.totals(now)
        errors, turns = counts["error"], counts.total()
        high = errors >= MIN_ERRORS and errors > ERROR_RATE * turns
        with self._lock:
            since = self._errors.since
            changed = self._errors.update(now, int(high))
        if changed:
            at = self._runtime.clock.time()
            self._send(messages.of_errors(errors, turns, at, high=high, lasted=None if high else now - since))

    def _change(self, subject: str, state: str) -> tuple[bool, float | None]:
        """Whether this is news of the subject, and how long (seconds) its state before had held.

        A circuit whose probes fail opens again and again; that it is open is news once.
        """
        now = self._runtime.clock.monotonic() if self._runtime is not None else 0.0
        with self._lock:
            before = self._states.get(subject)
            if before is not None and before[0] == state:
                return False, None
            self._states[subject] = (state, now)
        return True, None if before is None else now - before[1]

    def _send(self, message: Message) -> None:
        runtime, courier = self._runtime, self._courier
        if runtime is None or courier is None:
            return
        # Turns that began before the plugin was switched off still tell it of their events.
        current = runtime.current
        if _NAME in current.pipeline.plugins and current.settings.ALERT_WEBHOOK_URL:
            courier.send(message)

    def _done(self, message: Message, outcome: str) -> None:
        with self._lock:
            self._outcomes[outcome] += 1
        if self._runtime is not None:
            self._runtime.emit(AlertSent(message.about, outcome))
