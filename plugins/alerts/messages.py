"""What an alert says: what happened, since when, the figures, what to do. Pure; plain English, Slack's markup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rom_core.events import (
    CanaryAborted,
    CanaryChanged,
    CapacityChanged,
    CircuitClosed,
    CircuitOpened,
    FlagsStoreTroubled,
    HealthChanged,
    SettingsChanged,
    SettingsChanging,
)
from rom_core.store.overrides import CANARY
from rom_core.telemetry.capacity import Reading

KILL_SWITCH = "BEDROCK_ENABLED"
# The values of these that mean that less is seen from then on.
_SILENT: Mapping[str, tuple[Any, ...]] = {
    "ALERTS_ENABLED": (False,),
    "LOGGING_ENABLED": (False,),
    "METRICS_ENABLED": (False,),
    "LOG_LEVEL": ("ERROR", "CRITICAL"),
}
# The same in the one line that tells of a canary (`rom_core.flags.canary.describe`).
_SILENT_IN_CANARY = frozenset(f"{name}={json.dumps(value)}" for name, values in _SILENT.items() for value in values)
OF_TURNS = frozenset(("failed_turns", "refused_turns", "slow_turns"))
"""The reasons why it is not well that no other message tells of."""
WEBHOOK = "ALERT_WEBHOOK_URL"
_MAX_VALUE = 100
_MAX_CHANGES = 20
_ICONS = {"bad": ":red_circle:", "warning": ":large_yellow_circle:", "good": ":large_green_circle:", "info": ":gear:"}


@dataclass(frozen=True, slots=True)
class Message:
    """One alert. `about` names its subject for figures and logs, `mood` is one of bad, warning, good, info.

    `at` is when it happened, in seconds since the epoch. `to` is the webhook it goes to; empty, the one in force.
    """

    about: str
    mood: str
    title: str
    at: float
    figures: Sequence[str] = ()
    advice: str = ""
    to: str = field(default="", repr=False)

    def payload(self, origin: str) -> dict[str, Any]:
        """The JSON of a Slack incoming webhook, https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.

        `origin` says which environment and instance speaks.
        """
        lines = [f"{_ICONS[self.mood]} *{escaped(self.title)}*", escaped(origin)]
        lines += [f"Since {moment(self.at)}.", *(f"• {escaped(figure)}" for figure in self.figures)]
        if self.advice:
            lines.append(f"_What to do:_ {escaped(self.advice)}")
        return {"text": "\n".join(lines)}


def escaped(text: str) -> str:
    """Text without meaning to Slack: no links, no mentions of a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def moment(seconds: float) -> str:
    """A time for people, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def of_capacity(event: CapacityChanged, at: float, lasted: float | None) -> Message:
    """`lasted` is how long the level before held, in seconds, if that is known."""
    mood = {"normal": "good", "alert": "warning", "critical": "bad"}[event.after]
    return Message(
        "capacity",
        mood,
        f"Capacity: {event.before} → {event.after}",
        at,
        figures=[
            f"memory: {_percent(event.memory_ratio)} of the limit (alert above 75 %, critical above 90 %)",
            f"throttled: {_percent(event.throttled_ratio)} of {event.attempts} requests to the model in 5 min "
            "(alert above 5 %, critical above 10 %)",
            f"p95 of turns: {'no turns' if event.p95_seconds is None else f'{event.p95_seconds:.1f} s'}",
            *_lasted(event.before, lasted),
        ],
        advice={
            "normal": "nothing",
            "alert": "watch it; if it lasts, lower MAX_CONCURRENT_REQUESTS or ask AWS for more quota",
            "critical": "lower MAX_CONCURRENT_REQUESTS now; then a larger instance (memory) or more quota (throttling)",
        }[event.after],
    )


def level_without_failures(event: CapacityChanged) -> str:
    """The level to which memory and throttling alone come."""
    return Reading(event.memory_ratio, event.throttled_ratio, event.attempts).level


def of_circuit(event: CircuitOpened | CircuitClosed, at: float, lasted: float | None) -> Message:
    """`lasted` is how long the state before held, in seconds, if that is known."""
    by = [f"by {event.by}", f"why: {_value(event.why or 'not said')}"] if event.by else []
    about = f"circuit {event.model}"
    if isinstance(event, CircuitClosed):
        figures = [f"reason: {event.reason}", *by, *_lasted("open", lasted)]
        return Message(about, "good", f"Circuit closed: {event.model} is asked again", at, figures, "nothing")
    probe = "none, it is forced open" if event.seconds is None else f"in {event.seconds:.0f} s"
    figures = [f"reason: {event.reason}", *by, f"failures in the window: {event.failures}", f"first probe: {probe}"]
    advice = (
        "see which error it is (log: attempt.failed) and AWS Health; with FALLBACK_ENABLED the next model answers, "
        "otherwise chats to this model get 503 circuit_open"
    )
    return Message(about, "bad", f"Circuit open: {event.model} gets no requests", at, figures, advice)


def of_settings(event: SettingsChanged | SettingsChanging, at: float) -> Message:
    """The kill switch comes first, if it was used."""
    changes = event.changes
    figures = [f"{name}: {_value(old)} → {_value(new)}" for name, (old, new) in _first(changes)]
    if len(changes) > _MAX_CHANGES:
        figures.append(f"and {len(changes) - _MAX_CHANGES} more")
    figures += [f"version {event.version}, by {event.by or 'unknown'}", f"why: {_value(event.why or 'not said')}"]
    undo = "if it was not meant: POST /admin/flags/rollback with the version before"
    if KILL_SWITCH not in changes and (silenced := silenced_by(changes)):
        advice = f"ask who did it; {undo}"
        return Message(
            "silence", "bad", f"Less is seen from now on: {', '.join(silenced)} changed", at, figures, advice
        )
    if KILL_SWITCH not in changes:
        return Message("flags", "info", f"Settings changed: {', '.join(list(changes)[:5])}", at, figures, undo)
    if changes[KILL_SWITCH][1]:
        return Message("kill switch", "good", "Kill switch released: Bedrock is on", at, figures, "nothing")
    advice = "chats get 503 bedrock_disabled until BEDROCK_ENABLED is true again (POST /admin/reload-flags)"
    return Message("kill switch", "bad", "Kill switch used: Bedrock is off", at, figures, advice)


def silenced_by(changes: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """The settings by whose change alerts, logs or figures fall silent, or go elsewhere."""
    return [
        name
        for name, (old, new) in changes.items()
        if (name == WEBHOOK and old)
        or (name in _SILENT and new in _SILENT[name])
        or (name == CANARY and isinstance(new, str) and _SILENT_IN_CANARY.intersection(new.split(", ")))
    ]


def of_store(event: FlagsStoreTroubled, at: float) -> Message:
    """Overrides of the settings, the kill switch among them, may be lost."""
    figures = [f"state: {event.state}", f"reason: {_value(event.reason)}"]
    advice = "compare GET /admin/flags with what was set, set it again, and look after STATE_DIR"
    return Message("flags store", "bad", "The store of run-time settings is in trouble", at, figures, advice)


def of_canary(event: CanaryChanged | CanaryAborted, at: float) -> Message:
    """A rollout was aborted, or its gate has spoken and it waits for a person."""
    figures = [f"at {event.percent} % of the traffic, by {event.by}", f"why: {_value(event.why)}"]
    if isinstance(event, CanaryAborted):
        advice = "its flags are withdrawn; `rom canary status` shows both cohorts' figures"
        return Message("canary", "bad", "Canary aborted", at, figures, advice)
    if event.action == "passed":
        return Message("canary", "good", "Canary waits: the gate has held", at, figures, "`rom canary approve`")
    advice = "approve with a reason, or wait for more traffic: `rom canary status`"
    return Message("canary", "warning", "Canary waits: the gate cannot judge", at, figures, advice)


def of_health(event: HealthChanged, state: str, at: float, lasted: float | None) -> Message:
    """Turns go well, degraded or down (`state`); `lasted` as above."""
    if state == "well":
        figures = _lasted("otherwise", lasted)
        return Message("health", "good", "Health: turns go well again", at, figures, "nothing")
    mood = "bad" if state == "down" else "warning"
    return Message("health", mood, f"Health: {state}", at, event.why, f"see {', '.join(event.pages)}")


def _percent(ratio: float | None) -> str:
    return "unknown" if ratio is None else f"{100 * ratio:.1f} %"


def _lasted(what: str, seconds: float | None) -> list[str]:
    return [] if seconds is None else [f"it was {what} for {span(seconds)}"]


def _first(changes: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, tuple[Any, Any]]]:
    silenced = silenced_by(changes)
    return sorted(changes.items(), key=lambda item: (item[0] != KILL_SWITCH, item[0] not in silenced))[:_MAX_CHANGES]


def _value(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"
