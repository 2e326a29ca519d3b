"""Typed events: what happened, told to observers (`rom_event`) after the fact.

Each class has a stable dotted `name`. Times are in seconds. Events carry the objects of the turn for context; an
observer reads them and changes nothing. Fields of plain text and numbers go into the log as they are, so they never
hold what a person, a model or a tool said.
"""

from rom_core.events.process import (
    AlertSent,
    CanaryAborted,
    CanaryChanged,
    CapacityChanged,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitReported,
    FlagsStoreTroubled,
    RequestFinished,
    RequestRejected,
    RequestStarted,
    ServerDraining,
    SettingsChanged,
)
from rom_core.events.turns import (
    AttemptFinished,
    AttemptStarted,
    FallbackExhausted,
    FallbackUsed,
    GuardrailTripped,
    GuardrailWarned,
    IterationFinished,
    IterationStarted,
    LoopStopped,
    QueueEntered,
    QueueLeft,
    RetryDeclined,
    RetryScheduled,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from rom_core.turn_values import Event

__all__ = [
    "AlertSent",
    "AttemptFinished",
    "AttemptStarted",
    "CanaryAborted",
    "CanaryChanged",
    "CapacityChanged",
    "CircuitClosed",
    "CircuitHalfOpened",
    "CircuitOpened",
    "CircuitReported",
    "Event",
    "FallbackExhausted",
    "FallbackUsed",
    "FlagsStoreTroubled",
    "GuardrailTripped",
    "GuardrailWarned",
    "IterationFinished",
    "IterationStarted",
    "LoopStopped",
    "QueueEntered",
    "QueueLeft",
    "RequestFinished",
    "RequestRejected",
    "RequestStarted",
    "RetryDeclined",
    "RetryScheduled",
    "ServerDraining",
    "SettingsChanged",
    "ToolFinished",
    "ToolStarted",
    "TurnFinished",
    "TurnStarted",
]
