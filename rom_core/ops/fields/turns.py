"""The objects that live while a turn runs: `rom_core.turn`, and what they carry."""

from __future__ import annotations

from collections.abc import Mapping

_STASH = "What plugins want to remember on this level, each under its own name."
_CANCEL = "Set when nobody waits any more: wait on its `event`, or ask `check`."
_STARTED = "seconds on the turn's monotonic clock (`turn.clock.monotonic()`); None before"

TURNS: Mapping[str, Mapping[str, str]] = {
    "Turn": {
        "id": "The id of the answer, `chat-…`.",
        "request": "What was asked, validated.",
        "snapshot": "The settings, plugins and tools that this turn sees from start to end.",
        "clock": "Time, waiting and chance; never `time` or `random` themselves.",
        "deadline": "When the turn must have ended; it counts from the acceptance of the request.",
        "model": "The alias that the next model call goes to; a fallback changes it for the rest of the turn.",
        "trace_id": 'The id of the trace, W3C where the caller had one; "" in tests.',
        "span": "The turn's own place in its trace.",
        "tracestate": 'The W3C header that came with the trace, "" for none.',
        "request_id": "The id of the HTTP request, `req-…`.",
        "route": "The template of the route that it came by, as `/api/chat`.",
        "cohort": '"stable", or "canary" for the share of a rollout.',
        "sink": "For the core: where the events of a stream go; None if the client wants one answer.",
        "cancel": _CANCEL,
        "messages": "The conversation as Converse messages: what the client sent, then what model and tools said.",
        "iterations": "A count: rounds of the tool loop that have begun.",
        "tool_calls": "All tool runs so far, in the order in which the model asked for them.",
        "tool_uses": "The `toolUse` objects that the client is to run, set when the turn ends with them.",
        "usage": "Tokens of all attempts so far.",
        "usage_unknown": "A count: attempts whose usage Bedrock did not report.",
        "model_requests": "A count: requests on the wire so far, all attempts of all calls.",
        "degraded": "Another model than asked for, a stopped loop, or no text of the model's.",
        "stand_in": "Something came from a stand-in for a model, as the bundled local Bedrock is.",
        "queue_wait": "Seconds that it waited for a slot.",
        "stash": _STASH,
        "normalised": "For the core: what the normaliser remembers of the messages.",
        "ignored": "Names of what was asked for and had no effect, in the words of requests.",
        "citations": "Quotes from documents so far, each found in its document, as in TurnResult.",
        "warnings": "What to know of the answer so far, as in TurnResult, without the request's own.",
        "structured": "For the core: the answer of a certain form that is sought; None where text is.",
        "text_failure": "What a filter of the answer raised, None if none did: nothing more is said then.",
    },
    "Iteration": {
        "turn": "The turn.",
        "number": "A number from 1: which round of the loop this is.",
        "stash": _STASH,
    },
    "ModelCall": {
        "turn": "The turn.",
        "iteration": "The number of the iteration, from 1.",
        "cancel": "The turn's, or a narrower one.",
        "deadline": "The turn's, or an earlier one.",
        "closing": "The last call of a stopped loop: the model is to answer from what it has.",
        "fallback_candidates": "Aliases of models that may still take over: time and requests are kept for them.",
        "requests": "A count: requests on the wire so far, all attempts of this call.",
        "span_id": 'The id of the call\'s own span; "" where nobody traces.',
        "attempts": "The attempts so far, the present one last.",
        "stash": _STASH,
    },
    "Attempt": {
        "call": "The model call.",
        "number": "A number from 1, within the call.",
        "model": "The model that this attempt goes to: its row of MODELS.",
        "emitted": "Text of it was handed to the client: it can no longer be repeated.",
        "on_wire": "Its request was sent.",
        "probe": "The one request that shows whether a model is back: it is not retried.",
        "started_at": f"When its request was sent: {_STARTED}.",
        "first_delta_at": f"When its first piece of text arrived: {_STARTED}.",
        "finished_at": f"When it ended: {_STARTED}.",
        "silent_since": f"Since when the model is waited for: {_STARTED}, and while its output is processed.",
        "began": "The model has begun to answer.",
        "retry_declined": 'Why a failure worth a retry got none, as in `RetryDeclined`; "" if nobody declined.',
        "usage": "Tokens that it cost; None until the end, and where Bedrock did not say.",
        "error": "The error it failed with; None if it did not.",
        "left_out": "Parameters that were asked for and that this model does not take, as Bedrock calls them.",
        "thinking_announced": "For the core: the client knows that the model thinks.",
        "cache_plan": "Where its cache points stand and why; None while nobody decided.",
        "outgoing": "For the core: the request itself.",
        "reply": "What was answered, by the model or a plugin; None before, and if nothing was.",
        "answered_by": '"wire" or "plugin" once there is a reply; "" before.',
        "passage": "For the core: its text on the way through the filters of plugins.",
        "stash": _STASH,
    },
    "ToolCall": {
        "turn": "The turn.",
        "iteration": "The number of the iteration, from 1.",
        "id": "The model's id of the request, `toolUseId`.",
        "name": "The name that the model asked for.",
        "input": "What the model sent, not yet validated: mostly a dict, but it may be anything that JSON holds.",
        "tool": "The tool; None for an unknown name.",
        "deadline": "The earlier of the tool's time-out and the turn's deadline.",
        "cancel": _CANCEL,
        "result": "What goes back to the model; None until it is known.",
        "started_at": f"When a thread of the pool took it: {_STARTED}.",
        "duration": "Seconds that it ran, 0 until it has ended.",
        "span_id": 'The id of the run\'s own span; "" where nobody traces.',
        "stash": _STASH,
    },
    "Span": {
        "id": 'The span\'s id, 16 hexadecimal digits; "" where nobody traces.',
        "parent_id": 'That of the span which it is a part of; "" if nobody knows.',
        "from_caller": "The trace began at whoever asked us.",
        "sampled": "The trace is recorded where it began.",
    },
    "CancelToken": {
        "event": "Set when it is cancelled, a threading.Event.",
        "reason": '"client_gone", "deadline" or "draining"; None while it is not cancelled.',
    },
    "Deadline": {
        "started": "When it began to run, in seconds on the monotonic clock.",
        "at": "When it passes, in seconds on the same clock.",
    },
}

_STASH_MAY = "keep things under its own name"
MAY_CHANGE: Mapping[str, Mapping[str, str]] = {
    "Turn": {
        "cancel": "cancel it, which ends the turn",
        "messages": "append a message, or put a new one in the place of one; one that has gone on the wire is not "
        "changed in place",
        "queue_wait": "add to it where it makes the turn wait",
        "stash": _STASH_MAY,
        "ignored": "add names, by `ignore`",
    },
    "Iteration": {"stash": _STASH_MAY},
    "ModelCall": {
        "fallback_candidates": "set those that its `rom_model_failed` would let take over",
        "stash": _STASH_MAY,
    },
    "Attempt": {
        "probe": "set it, around `rom_model_attempt`",
        "retry_declined": "say why its `rom_model_failed` has no `TryAgain`",
        "stash": _STASH_MAY,
    },
    "ToolCall": {
        "input": "put another value in its place before `yield` in `rom_tool_call`: it is validated and the tool gets "
        "it, while the conversation keeps what the model sent",
        "stash": _STASH_MAY,
    },
}
