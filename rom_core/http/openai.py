"""POST /v1/chat/completions and GET /v1/models, for programs that speak to OpenAI's API.

The tools are ours and run here, inside the one answer. What cannot be honoured is refused by its name, never ignored;
a value that asks for nothing (`n: 1`, `tools: []`, null) may stand. Two fields are ours: `conversation_id` and `mode`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from rom_core.errors import InvalidRequest, NotFound
from rom_core.http.answer import answer
from rom_core.http.body import REFUSAL, BodySchema, nullable, read_json
from rom_core.http.chat import CHAT_REQUEST, NEEDS_TEXT, TOOL_CALLS, whole_number
from rom_core.http.openapi import TURN_ERRORS, Operation
from rom_core.ids import new_id
from rom_core.runtime import Runtime
from rom_core.turn import ChatRequest, Turn, TurnResult, Usage

DEFAULT_MODEL = "default"
DONE = b"data: [DONE]\n\n"
_OURS = CHAT_REQUEST.schema["properties"]

# Bedrock's stop reasons; whatever is not here, our own included, is "stop".
FINISH_REASONS: Mapping[str, str] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}


def _only(allowed: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """A field of OpenAI's API that may have these values, which ask for nothing, and no other."""
    return nullable({**allowed, REFUSAL: reason})


_NOTHING: Mapping[str, Any] = {"type": "null"}
_EMPTY_LIST = {"type": "array", "maxItems": 0}
_EMPTY_OBJECT = {"type": "object", "maxProperties": 0}
_UNSUPPORTED = "not supported here"
_NO_TOOLS = "the tools are the server's own and run there; a client cannot supply any"
_REFUSED: Mapping[str, dict[str, Any]] = {
    "n": _only({"type": "integer", "minimum": 1, "maximum": 1}, "one request has one answer"),
    "tools": _only(_EMPTY_LIST, _NO_TOOLS),
    "tool_choice": _only({"enum": ["auto"]}, _NO_TOOLS),
    "functions": _only(_EMPTY_LIST, _NO_TOOLS),
    "function_call": _only({"enum": ["auto"]}, _NO_TOOLS),
    "parallel_tool_calls": {**_NOTHING, REFUSAL: _NO_TOOLS},
    "top_p": _only({"type": "number", "minimum": 1, "maximum": 1}, f"{_UNSUPPORTED}; use temperature"),
    "frequency_penalty": _only({"type": "number", "minimum": 0, "maximum": 0}, _UNSUPPORTED),
    "presence_penalty": _only({"type": "number", "minimum": 0, "maximum": 0}, _UNSUPPORTED),
    "logit_bias": _only(_EMPTY_OBJECT, _UNSUPPORTED),
    "logprobs": _only({"enum": [False]}, _UNSUPPORTED),
    "response_format": _only(
        {
            "type": "object",
            "required": ["type"],
            "additionalProperties": False,
            "properties": {"type": {"enum": ["text"], REFUSAL: "answers are text; no other format is supported"}},
        },
        "an object such as {type: text}",
    ),
    "modalities": _only(
        {"type": "array", "items": {"enum": ["text"], REFUSAL: "answers are text"}}, "answers are text"
    ),
    "service_tier": _only({"enum": ["auto", "default"]}, "the server chooses the tier"),
    "store": _only({"enum": [False]}, "nothing is stored"),
    "metadata": _only(_EMPTY_OBJECT, "nothing is stored, so there is nothing to attach metadata to"),
    **{
        name: {**_NOTHING, REFUSAL: _UNSUPPORTED}
        for name in (
            "audio",
            "moderation",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "reasoning_effort",
            "seed",
            "stop",
            "top_logprobs",
            "verbosity",
            "web_search_options",
        )
    },
}
_PART = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "text"],
    "properties": {
        "type": {"enum": ["text"], REFUSAL: "only text parts are read"},
        "text": {"type": "string", "pattern": r"\S", REFUSAL: NEEDS_TEXT},
    },
}
_MESSAGE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["role", "content"],
    "properties": {
        "role": {
            "enum": ["system", "developer", "user", "assistant"],
            REFUSAL: "must be system, developer, user or assistant: tools run on the server",
        },
        "content": {
            "type": ["string", "array"],
            "pattern": r"\S",
            "minItems": 1,
            "items": _PART,
            "description": "text, or parts of text",
            REFUSAL: NEEDS_TEXT,
        },
        # A client that sends our own message back sends these with it.
        "refusal": {**_NOTHING, REFUSAL: _UNSUPPORTED},
        "annotations": _only(_EMPTY_LIST, _UNSUPPORTED),
        "audio": {**_NOTHING, REFUSAL: _UNSUPPORTED},
        "function_call": {**_NOTHING, REFUSAL: _NO_TOOLS},
        "tool_calls": _only(_EMPTY_LIST, _NO_TOOLS),
        "name": {**_NOTHING, REFUSAL: _UNSUPPORTED},
    },
}
COMPLETION_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["messages"],
        "properties": {
            "model": nullable(
                {"type": "string", "maxLength": 128, "description": "an alias of MODELS; empty or `default`: the first"}
            ),
            "messages": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "description": "the whole conversation; the last message is the person's new one",
                "items": _MESSAGE,
            },
            "stream": nullable({"type": "boolean"}),
            "stream_options": nullable(
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "include_usage": nullable({"type": "boolean"}),
                        "include_obfuscation": _only({"enum": [False]}, _UNSUPPORTED),
                    },
                }
            ),
            "max_tokens": nullable(_OURS["max_tokens"]),
            "max_completion_tokens": nullable(_OURS["max_tokens"]),
            "temperature": nullable({**_OURS["temperature"], REFUSAL: "must be a number from 0 to 1"}),
            "user": nullable(_OURS["user"]),
            "safety_identifier": nullable(_OURS["user"]),
            "conversation_id": nullable(_OURS["conversation_id"]),
            "mode": nullable(_OURS["mode"]),
            **_REFUSED,
        },
    }
)

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
COMPLETION: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage", "rom"],
    "properties": {
        "id": _TEXT,
        "object": {"enum": ["chat.completion"]},
        "created": {"type": "integer", "description": "seconds since 1970"},
        "model": {"type": "string", "description": "the alias of the model that answered"},
        "choices": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["index", "message", "finish_reason", "logprobs"],
                "properties": {
                    "index": {"enum": [0]},
                    "message": {
                        "type": "object",
                        "required": ["role", "content", "refusal"],
                        "properties": {"role": {"enum": ["assistant"]}, "content": _TEXT, "refusal": {"type": "null"}},
                    },
                    "finish_reason": {"enum": ["stop", *sorted({*FINISH_REASONS.values()})]},
                    "logprobs": {"type": "null"},
                },
            },
        },
        "usage": {
            "type": "object",
            "required": ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"],
            "properties": {
                "prompt_tokens": _COUNT,
                "completion_tokens": _COUNT,
                "total_tokens": _COUNT,
                "prompt_tokens_details": {"type": "object", "properties": {"cached_tokens": _COUNT}},
            },
        },
        "rom": {
            "type": "object",
            "description": "what /api/chat tells besides",
            "required": ["conversation_id", "stop_reason", "degraded", "iterations", "tool_calls"],
            "properties": {
                "conversation_id": _TEXT,
                "stop_reason": _TEXT,
                "degraded": {"type": "boolean"},
                "iterations": _COUNT,
                "tool_calls": TOOL_CALLS,
                "trace_id": _TEXT,
                "request_id": _TEXT,
            },
        },
    },
}
_MODEL = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {"id": _TEXT, "object": {"enum": ["model"]}, "created": {"type": "integer"}, "owned_by": _TEXT},
}
MODELS_ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {"object": {"enum": ["list"]}, "data": {"type": "array", "items": _MODEL}},
}


def parse_completion(body: Mapping[str, Any], key_name: str) -> ChatRequest:
    """The request of a body that COMPLETION_REQUEST accepts.

    System and developer messages become the turn's `system`, wherever they stand. Raises InvalidRequest: no message of
    a person at the end, both limits on tokens, stream_options without stream.
    """
    given = {name: value for name, value in body.items() if value is not None}
    if "max_tokens" in given and "max_completion_tokens" in given:
        raise InvalidRequest("max_tokens: send either this or max_completion_tokens", param="max_tokens")
    if "stream_options" in given and not given.get("stream"):
        raise InvalidRequest("stream_options: only with stream: true", param="stream_options")
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for message in given["messages"]:
        content = message["content"]
        texts = [content] if isinstance(content, str) else [part["text"] for part in content]
        if message["role"] in ("system", "developer"):
            system += texts
        else:
            messages.append({"role": message["role"], "content": [{"text": text} for text in texts]})
    if not messages or messages[-1]["role"] != "user":
        raise InvalidRequest("messages: the last one must be the user's", param="messages")
    return ChatRequest(
        messages=tuple(messages),
        conversation_id=given.get("conversation_id") or f"conv-{new_id()}",
        system="\n\n".join(system),
        model=given.get("model") or None,
        mode=given.get("mode", "standard"),
        stream=given.get("stream", False),
        max_tokens=whole_number(given.get("max_completion_tokens", given.get("max_tokens"))),
        temperature=given.get("temperature"),
        user=given.get("user", given.get("safety_identifier")),
        key_name=key_name,
    )


@dataclass(frozen=True, slots=True)
class OpenAIDialect:
    """An answer as a chat completion, or as its chunks. `created` is in seconds since 1970.

    With `include_usage` every chunk has a `usage`, null but in the last one, which has no choices.
    """

    created: int
    include_usage: bool = False

    def whole(self, result: TurnResult) -> dict[str, Any]:
        """The chat.completion object."""
        message = {"role": "assistant", "content": result.reply, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason(result.stop_reason), "logprobs": None}
        return {
            "id": result.id,
            "object": "chat.completion",
            "created": self.created,
            "model": result.model,
            "choices": [choice],
            "usage": usage_object(result.usage),
            "rom": _besides(result.as_dict()),
        }

    def event(self, turn: Turn, name: str, data: dict[str, Any]) -> bytes:
        """Chunks for start, delta and done; an object with `error` for error; the tools run unseen."""
        if name == "start":
            return self._chunk(turn, {"role": "assistant", "content": "", "refusal": None})
        if name == "delta":
            return self._chunk(turn, {"content": data["text"]})
        if name == "error":
            return _data(data)
        if name != "done":
            return b""
        last = self._chunk(turn, {}, finish_reason(data["stop_reason"]), rom=_besides(data))
        if self.include_usage:
            last += _data({**self._head(turn), "choices": [], "usage": usage_object(Usage(**data["usage"]))})
        return last + DONE

    def _chunk(self, turn: Turn, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        usage = {"usage": None} if self.include_usage else {}
        return _data({**self._head(turn), "choices": [choice], **usage, **more})

    def _head(self, turn: Turn) -> dict[str, Any]:
        return {"id": turn.id, "object": "chat.completion.chunk", "created": self.created, "model": turn.model}


def finish_reason(stop_reason: str) -> str:
    """OpenAI's word for a stop reason of ours or of Bedrock."""
    return FINISH_REASONS.get(stop_reason, "stop")


def usage_object(usage: Usage) -> dict[str, Any]:
    """OpenAI's `usage`, whose prompt tokens include cached ones."""
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }


def _besides(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in COMPLETION["properties"]["rom"]["properties"]}


def _data(value: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


class CompletionsResource:
    """POST /v1/chat/completions."""

    auth = "key"
    route = "/v1/chat/completions"
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Answer a conversation as OpenAI's API does.",
            COMPLETION,
            COMPLETION_REQUEST,
            TURN_ERRORS,
            stream="with stream: true; chat.completion.chunk objects and [DONE], or an object with `error`",
        )
    }

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the turn; see docs/api.md for what is honoured."""
        runtime = self._runtime
        body = read_json(req, runtime.current.settings.MAX_BODY_BYTES)
        COMPLETION_REQUEST.validate(body)
        if body.get("model") == DEFAULT_MODEL and DEFAULT_MODEL not in runtime.current.settings.models:
            del body["model"]
        options = body.get("stream_options") or {}
        dialect = OpenAIDialect(int(runtime.clock.time()), bool(options.get("include_usage")))
        answer(runtime, req, resp, parse_completion(body, req.context.key_name), self.route, dialect)


class ModelsResource:
    """GET /v1/models: the aliases that a request may name; those past their end of life are left out."""

    auth = "key"
    route = "/v1/models"
    operations: Mapping[str, Operation] = {"GET": Operation("The models that a request may name.", MODELS_ANSWER)}

    def __init__(self, runtime: Runtime) -> None:
        self._models = _Models(runtime)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """All of them, in the order of MODELS."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = json.dumps({"object": "list", "data": list(self._models.by_alias().values())}).encode()


class ModelResource:
    """GET /v1/models/{model}."""

    auth = "key"
    route = "/v1/models/{model}"
    operations: Mapping[str, Operation] = {"GET": Operation("One model.", _MODEL, errors=(NotFound,))}

    def __init__(self, runtime: Runtime) -> None:
        self._models = _Models(runtime)

    def on_get(self, _req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """That one, or 404."""
        models = self._models.by_alias()
        if model not in models:
            raise NotFound(f"unknown model {model!r}; known: {', '.join(models)}", param="model")
        resp.content_type = falcon.MEDIA_JSON
        resp.data = json.dumps(models[model]).encode()


class _Models:
    """The model objects of OpenAI's API; `created` is when this process began."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._created = int(runtime.clock.time())

    def by_alias(self) -> dict[str, dict[str, Any]]:
        """Those of the table MODELS that the service still serves."""
        return {
            alias: {"id": alias, "object": "model", "created": self._created, "owned_by": alias.partition(".")[0]}
            for alias, model in self._runtime.current.settings.models.items()
            if not model.end_of_life
        }
