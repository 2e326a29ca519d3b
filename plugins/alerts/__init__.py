"""Alerts: tells people when health, capacity, a circuit or the settings change, one message for each change.

Settings: ALERTS_ENABLED (switch), ALERT_WEBHOOK_URL; without a URL nothing is sent. Hooks: rom_settings, rom_start,
rom_stop, rom_status, rom_event. A pure observer; messages go out from a thread of its own (courier.py).
"""

from __future__ import annotations

import os
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
    HealthChanged,
    SettingsChanged,
    SettingsChanging,
)
from rom_core.fleet import instance_name
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import Rule, Setting, Settings, address_problem

_NAME = "alerts"


def _usable_url(settings: Settings) -> str | None:
    return address_problem(settings.ALERT_WEBHOOK_URL) if settings.ALERT_WEBHOOK_URL else None


class Alerts:
    """The plugin."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._states: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._instance = instance_name(os.environ)
        self._url = ""
        self._announced_version = -1
        self._runtime: Runtime | None = None
        self._courier: Courier | None = None

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
        self._courier = Courier(
            runtime.clock,
            url=lambda: str(runtime.current.settings.ALERT_WEBHOOK_URL),
            origin=lambda: f"ROM Agent, {runtime.current.settings.environment}, {self._instance}",
            done=self._done,
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
        """Turn a change of state into a message."""
        if self._runtime is None:
            return
        clock = self._runtime.clock
        match event:
            case HealthChanged():
                self._health_changed(event, clock.time())
            case CapacityChanged():
                # What it owes to failed turns is told as a change of health.
                own = replace(event, after=messages.level_without_failures(event))
                changed, lasted = self._change("capacity", own.after, known="normal")
                if changed:
                    self._send(messages.of_capacity(own, clock.time(), lasted))
            case CircuitOpened() | CircuitClosed():
                state = "open" if isinstance(event, CircuitOpened) else "closed"
                changed, lasted = self._change(f"circuit {event.model}", state)
                if changed:
                    self._send(messages.of_circuit(event, clock.time(), lasted))
            case SettingsChanging():
                self._settings_changing(event, clock.time())
            case SettingsChanged():
                if event.changes.get("ALERTS_ENABLED", (None, False))[1]:
                    self._forget()
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

    def _health_changed(self, event: HealthChanged, at: float) -> None:
        """Tell that turns do not go as they should, that it got worse, and that it is over.

        Of what else is not well there are messages of their own.
        """
        state = event.after if messages.OF_TURNS.intersection(event.reasons) else "well"
        with self._lock:
            before = self._states.get("health", ("well", 0.0))[0]
        if (before, state) == ("down", "degraded"):
            return
        changed, lasted = self._change("health", state, known="well")
        if changed:
            self._send(messages.of_health(event, state, at, lasted))

    def _forget(self) -> None:
        """Start anew: what changed while the plugin was switched off, it has not seen."""
        with self._lock:
            self._states.clear()

    def _change(self, subject: str, state: str, known: str = "") -> tuple[bool, float | None]:
        """Whether this is news of the subject, and how long (seconds) its state before had held.

        A circuit whose probes fail opens again and again; that it is open is news once. Of a subject of which nothing
        was heard `known` is what everybody takes for granted.
        """
        now = self._runtime.clock.monotonic() if self._runtime is not None else 0.0
        with self._lock:
            before = self._states.get(subject)
            if state == (known if before is None else before[0]):
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
