"""What a plugin declares, and what of the process it is given."""

from __future__ import annotations

from collections.abc import Mapping

_PRICE = "USD per million tokens"

DECLARED: Mapping[str, Mapping[str, str]] = {
    "Setting": {
        "name": "Upper case, the same in every layer, beginning with the plugin's name.",
        "type": "bool, int, float, str, list or dict.",
        "default": "Of that type; a secret has none.",
        "help": "One sentence for the operator, with the unit.",
        "minimum": "The least number allowed, also of a list's elements, in the setting's own unit; None: any.",
        "maximum": "The greatest number allowed, likewise.",
        "choices": "The only values allowed, for each element of a list; None: any.",
        "item": "The type of a list's elements; None: any.",
        "secret": "Never shown.",
        "runtime": "May be changed while the server runs.",
        "scope": "`turn`: read from the turn's own snapshot; `process`: from the newest, `runtime.current`.",
        "merge": "What the layers say of a dict is laid over the entries of its default, which stay.",
        "switch": "The on/off switch of the plugin.",
        "sensitive": "Where data or credentials go, or which model answers how: a change needs a second person.",
        "plugin": "Filled in by the catalogue; leave it out.",
    },
    "Rule": {
        "names": "The settings that it reads, the one to blame first.",
        "check": "Gets Settings that are valid one by one; None, or what is wrong as a sentence without secrets.",
    },
    "Tool": {
        "name": "Matches [a-zA-Z0-9_-]{1,64}; no other plugin offers it.",
        "description": "What the model chooses by: write it for the model.",
        "input_schema": "A JSON Schema (2020-12) of type object.",
        "run": "Gets the validated input and a ToolContext; returns a str, what JSON carries, or a ToolResult.",
        "timeout": "Seconds; None: TOOL_TIMEOUT_SECONDS.",
        "repeatable": "To ask again with other input is normal (search, paging).",
        "label": 'What it does, for people to read while it runs, as "consultando DataJud": one line of at most 60 '
        "characters, the event `tool_call` has it.",
        "card": "The kind of card that a client may show of a result, `deadline` say: what the tool returns goes out "
        "with `tool_result` then, if it is a JSON object of at most 16,000 characters.",
    },
    "ToolContext": {
        "deadline": "The earlier of the tool's time-out and the turn's deadline.",
        "cancel": "Set when nobody waits any more: a tool that loops or waits looks at `cancel.event`.",
        "settings": "The turn's settings.",
        "trace_id": "The id of the trace, for logs.",
        "request_id": "The id of the HTTP request, for logs.",
        "tracestate": 'The W3C header that came with the trace, "" for none.',
        "traceparent": 'The W3C header for what this run calls, "" where the turn has no W3C trace id.',
    },
    "Tables": {
        "metadata": "The tables, of SQLAlchemy; each name begins with the plugin's name and an underscore.",
        "migrations": "The package whose modules make them, `r0001_….py` and so on, each an Alembic migration.",
        "copied": "The tables are small and hold no content: they are part of the good copy of a SQLite store.",
    },
    "Erasure": {
        "conversation_ids": "Of the conversations that are erased.",
        "user": "With it everything of this person; None where it is about conversations alone.",
        "key_name": "The API key under which it was said; None: whichever.",
    },
    "Runtime": {
        "clock": "Time, waiting and chance; never `time` or `random` themselves.",
        "watchdog": "Calls a function ten times a second while something runs.",
        "draining": "Set once the process shuts down: wait for it, never set it. A drained one has it unset.",
    },
    "Settings": {
        "environment": "The value of ROM_ENV: development, testing, staging or production.",
        "declared": "Every declaration by name.",
        "models": "The table MODELS by alias.",
        "awaiting_restart": "Settings read only at start that have changed since, with their next values.",
    },
    "Model": {
        "alias": "The name in settings, requests and answers.",
        "id": "The model or inference profile that goes on the wire.",
        "max_tokens": "The most tokens of output that it gives.",
        "prompt_caching": "It accepts cache points.",
        "price_input": f"{_PRICE} of plain input.",
        "price_output": f"{_PRICE} of output.",
        "price_cache_read": f"{_PRICE} read from the cache.",
        "price_cache_write": f"{_PRICE} written to the cache for five minutes.",
        "price_cache_write_1h": f"{_PRICE} written to it for an hour; 0: not offered.",
        "cache_min_tokens": "Tokens of the shortest prefix that it caches.",
        "end_of_life": "The service no longer serves it.",
        "context_tokens": "The most tokens that question and answer have together.",
        "sampling": "It accepts temperature, top_p and top_k.",
        "thinking": "`none`, `budget`, `adaptive` or `always`: what may be said of its thinking.",
        "thinking_between_tools": "Of `budget`: it thinks between tool calls only.",
        "forced_tool_choice": "It accepts a tool choice other than auto.",
        "prefill": "It goes on from an assistant's message at the end.",
        "structured_output": "It accepts a schema for its text.",
        "documents": "It reads documents.",
        "citations": "It cites documents.",
        "images": "It reads images.",
        "price_bands": "Other prices for long prompts, the shortest first.",
        "price_date": "Of when the prices are.",
        "price_source": "From where the prices are.",
    },
    "PriceBand": {
        "above_input_tokens": "For prompts of more tokens than this, all input counted.",
        "price_input": f"{_PRICE} of plain input.",
        "price_output": f"{_PRICE} of output.",
        "price_cache_read": f"{_PRICE} read from the cache.",
        "price_cache_write": f"{_PRICE} written to the cache for five minutes.",
        "price_cache_write_1h": f"{_PRICE} written to it for an hour; 0: not offered.",
    },
    "RomError": {
        "code": "The stable code of the HTTP answer.",
        "status": "The number of the HTTP status.",
        "title": "The title of the problem object.",
        "retryable": "Another attempt may succeed.",
        "should_retry": "What official clients are told (`x-should-retry`); None leaves it to them.",
        "members": "Added to the body of the answer (RFC 9457, 3.2).",
        "detail": "What is wrong, for the client's author.",
        "retry_after": "Seconds, for the header Retry-After; None for no such header.",
        "param": "The field of the request that is to blame; None if none is.",
    },
}
