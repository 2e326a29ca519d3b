"""Events of the process: `rom_core.events.process`."""

from __future__ import annotations

from collections.abc import Mapping

_BY = 'The name of the administrator\'s token; "" if nobody did it.'
_WHY = 'The reason that was given; "" for none.'
_TRACE = 'The id of the trace of the request that it came of; "" if there was none.'
_MODEL = "The alias of the model."
_ROUTE = 'The template of the route, "unmatched" where there is none.'
_CHANGE = {
    "version": "The number of the version of the settings.",
    "changes": "(before, after) by name, secrets masked.",
    "by": _BY,
    "why": _WHY,
    "trace_id": _TRACE,
    "adopted": "Another instance made the change and has told of it there.",
}
_PERCENT = "Percent of the traffic, of its phase."
_WHO = 'A person, or "gate".'

PROCESS_EVENTS: Mapping[str, Mapping[str, str]] = {
    "RequestStarted": {"route": _ROUTE, "method": "The HTTP method."},
    "RequestFinished": {
        "route": _ROUTE,
        "method": "The HTTP method.",
        "status": "ok, error, rejected, client_error or cancelled.",
        "http_status": "The number of the HTTP status.",
        "code": 'The code of the problem; "" if there was none.',
        "cohort": "stable or canary.",
        "trace_id": "The id of the trace.",
        "request_id": "The id of the request.",
        "duration": "Seconds from its arrival to its last byte.",
        "span": "The request's place in its trace; None where nobody traces it.",
        "background": "Whether its turn was taken to go on by itself: RunFinished tells how that ends.",
    },
    "SettingsChanging": _CHANGE,
    "SettingsChanged": _CHANGE,
    "FlagsStoreTroubled": {
        "state": "restored (the last good copy is in use), lost (there was none) or unwritable.",
        "reason": "What went wrong.",
    },
    "ServerDraining": {},
    "RunAccepted": {"run_id": "What its client knows it by.", "trace_id": "Of the request."},
    "RunStarted": {
        "run_id": "What its client knows it by.",
        "attempt": "A count: its beginnings, on other instances too.",
        "trace_id": "Of the request.",
    },
    "RunFinished": {
        "run_id": "What its client knows it by.",
        "state": "done, failed, cancelled or interrupted.",
        "status": "That of its turn: ok, error, rejected, client_error or cancelled.",
        "code": 'The code of its problem; "" if it has none.',
        "duration": "Seconds since its acceptance; 0 for one that ended while nobody ran it.",
        "trace_id": "Of the request.",
        "route": "The route that asked for it.",
        "cohort": "stable or canary.",
        "exhaustive": "Whether it had minutes, not a turn's deadline.",
    },
    "RunsChanged": {
        "running": "A count: runs of this instance.",
        "queued": "A count: runs that wait, in all instances together.",
    },
    "RunTakenOver": {
        "run_id": "What its client knows it by.",
        "state": "queued, to begin again, or the state that it ends in.",
    },
    "StoreUsed": {
        "kind": "sqlite or postgresql.",
        "operation": "read or write.",
        "duration": "Seconds.",
        "code": 'The code of the failure of the store; "" if there was none.',
        "trace_id": 'Of the request or turn that it was done for; "" for the work of the process itself.',
        "span": "Where that stands in its trace; None for the work of the process itself.",
    },
    "CredentialRefused": {
        "credential": "key, admin or token.",
        "reason": "missing, wrong or throttled (not compared).",
    },
    "RequestRejected": {"route": _ROUTE, "code": "The code of the HTTP answer."},
    "CapacityChanged": {
        "before": "normal, alert or critical.",
        "after": "normal, alert or critical.",
        "memory_ratio": "Memory by its limit, from 0 to 1; None where nothing is known.",
        "throttled_ratio": "The share of `attempts` that was throttled, from 0 to 1; None where nothing is known.",
        "attempts": "A count: requests to models in the window.",
        "p95_seconds": "Seconds that 95 of 100 good turns stayed within; None where nothing is known.",
        "failed": "A count: failed turns of the last minute, or with none in it of the last five.",
        "turns": "A count: all turns of that time.",
    },
    "HealthChanged": {
        "before": "well, degraded or down.",
        "after": "The same words; also the same state, where only a reason came or went.",
        "reasons": "Names of reasons, the gravest first.",
        "why": "Their sentences.",
        "pages": "Where it is written what a person has to do.",
    },
    "AlertSent": {
        "about": "What it is about.",
        "outcome": "delivered, failed (after its retries) or dropped (too many waited).",
    },
    "CircuitOpened": {
        "model": _MODEL,
        "reason": "failures, probe_failed or forced (by an administrator).",
        "failures": "A count: failures within the window.",
        "seconds": "Seconds until the first probe; None while it is forced open.",
        "by": _BY,
        "why": _WHY,
        "trace_id": _TRACE,
    },
    "CircuitHalfOpened": {"model": _MODEL, "trace_id": "The id of the trace of the probe's turn."},
    "CircuitClosed": {
        "model": _MODEL,
        "reason": "probe_succeeded, forced or reset.",
        "by": _BY,
        "why": _WHY,
        "trace_id": _TRACE,
    },
    "CircuitReported": {
        "model": _MODEL,
        "state": "closed, open or half_open.",
        "forced": "An administrator holds it there.",
    },
    "CanaryChanged": {
        "action": "started, passed, inconclusive, approved, held, released or completed.",
        "percent": _PERCENT,
        "by": _WHO,
        "why": _WHY,
    },
    "CanaryAborted": {"percent": _PERCENT, "by": _WHO, "why": _WHY},
}
