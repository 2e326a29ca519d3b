"""Events of turns: `rom_core.events.turns`."""

from __future__ import annotations

from collections.abc import Mapping

_TURN, _CALL, _ITERATION, _TOOL_CALL = "The turn.", "The model call.", "The iteration.", "The tool run."
_SECONDS = "Seconds from start to end."
_FAILED = "The error it failed with; None if it did not."

TURN_EVENTS: Mapping[str, Mapping[str, str]] = {
    "TurnStarted": {"turn": _TURN},
    "TurnFinished": {
        "turn": _TURN,
        "result": "The answer; None if it failed.",
        "error": f"{_FAILED} A client that left is a TurnCancelled.",
        "duration": "Seconds since the request was accepted.",
    },
    "IterationStarted": {"iteration": _ITERATION},
    "IterationFinished": {
        "iteration": _ITERATION,
        "result": "What it came to; None if it raised.",
        "duration": _SECONDS,
    },
    "AnswerRestarted": {"call": _CALL, "error": "What the attempt before failed of."},
    "ModelCallStarted": {"call": _CALL},
    "ModelCallFinished": {
        "call": _CALL,
        "reply": "What the model said; None if it raised.",
        "error": "What it raised; None if it did not, or for no RomError.",
        "duration": _SECONDS,
    },
    "AttemptStarted": {"attempt": "The attempt."},
    "AttemptFinished": {
        "attempt": "The attempt; its `usage` is None where Bedrock did not report it.",
        "outcome": "ok, throttled, server_error, timeout, connection, truncated, refused or cancelled.",
        "error": _FAILED,
        "duration": _SECONDS,
    },
    "AttemptAnswered": {"attempt": "The attempt, with its `reply`."},
    "RetryScheduled": {
        "call": _CALL,
        "error": "What the attempt failed of.",
        "after_seconds": "Seconds until the next attempt.",
        "model": "The alias that is asked next.",
    },
    "FallbackUsed": {
        "call": _CALL,
        "from_model": "The alias that failed.",
        "to_model": "The alias that is asked from now on.",
    },
    "ToolStarted": {"tool_call": _TOOL_CALL},
    "ToolFinished": {"tool_call": "The tool run; `tool_call.result.reason` says why it is an error."},
    "LoopStopped": {"iteration": _ITERATION, "stop": "Who stopped it and why."},
    "GuardrailWarned": {
        "turn": _TURN,
        "iterations": "A count: iterations so far.",
        "limit": "The number of iterations at which the loop will be stopped.",
    },
    "GuardrailTripped": {
        "turn": _TURN,
        "reason": "The turn's stop_reason.",
        "iterations": "A count: iterations, the stopped one included.",
        "tools": "Names of the tools asked for, by iteration; those of the last one did not run.",
    },
    "QueueEntered": {
        "turn": _TURN,
        "depth": "A count: turns that wait now, this one included.",
        "running": "A count: turns that hold a slot.",
    },
    "QueueLeft": {
        "turn": _TURN,
        "waited": "Seconds that it waited.",
        "outcome": "started, timeout, full, draining, client_gone, deadline or released (limiter switched off).",
        "depth": "A count: turns that still wait.",
        "running": "A count: turns that hold a slot.",
    },
    "RetryDeclined": {
        "call": _CALL,
        "error": "What the attempt failed of.",
        "model": "The alias that failed.",
        "reason": "retries_spent, read_timeout, probe, deadline, fallback_time, fallback_requests or budget.",
    },
    "FallbackExhausted": {
        "call": _CALL,
        "error": "What the call ends with.",
        "attempts": "(model, outcome, kind of failure) of each; the turn's own end is (cancelled, its code).",
    },
}
