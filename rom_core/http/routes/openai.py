"""POST /v1/chat/completions, for programs that speak to OpenAI's API, and GET /v1/models, for Anthropic's as well.

The server's tools run here, inside the one answer; of those that a client brings, the calls are handed to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import falcon

from rom_core.errors import NotFound
from rom_core.http.answer import answer
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import TURN_ERRORS, Operation
from rom_core.http.routes.cited import openai_annotation
from rom_core.http.routes.openai_request import parse_completion
from rom_core.http.routes.openai_shapes import BESIDES, COMPLETION, COMPLETION_REQUEST, MODEL, MODELS_ANSWER
from rom_core.http.sse import sse_event
from rom_core.runtime import Runtime
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest, TurnResult, Usage

DEFAULT_MODEL = "default"
DONE = b"data: [DONE]\n\n"
# A comment: the API that is imitated has no word for it, and its clients pass comments over.
THINKING = b": thinking\n\n"
# Bedrock's stop reasons; whatever is not here, our own included, is "stop".
FINISH_REASONS: Mapping[str, str] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}


@dataclass(frozen=True, slots=True)
class OpenAIDialect:
    """An answer as a chat completion, or as its chunks. `created` is in seconds since 1970.

    With `include_usage` every chunk has a `usage`, null but in the last one, which has no choices.
    """

    created: int
    include_usage: bool = False

    def whole(self, _turn: Turn, result: TurnResult) -> dict[str, Any]:
        """The chat.completion object."""
        message: dict[str, Any] = {"role": "assistant", "content": result.reply, "refusal": None}
        if result.citations:
            message["annotations"] = [openai_annotation(one) for one in result.citations]
        reason = finish_reason(result.stop_reason)
        if result.tool_uses:
            reason = "tool_calls"
            calls = [_called(use, json.dumps(use["input"], ensure_ascii=False)) for use in result.tool_uses]
            message |= {"content": result.reply or None, "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
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
        """Chunks for start, delta, citation, done; an object with `error`; a comment for thinking; tools run unseen."""
        if name == "start":
            # Null, as in a message that only calls tools, until there is a text.
            content = None if turn.request.client_tools is not None else ""
            return self._chunk(turn, {"role": "assistant", "content": content, "refusal": None})
        if name == "delta":
            return self._chunk(turn, {"content": data["text"]})
        if name == "citation":
            return self._chunk(turn, {"annotations": [openai_annotation(data)]})
        if name == "error":
            return sse_event(data)
        if name == "thinking":
            return THINKING
        if name != "done":
            return b""
        uses = data.get("tool_uses", ())
        reason = "tool_calls" if uses else finish_reason(data["stop_reason"])
        last = b"".join(self._tool_calls(turn, uses)) + self._chunk(turn, {}, reason, rom=_besides(data))
        if self.include_usage:
            last += sse_event({**self._head(turn), "choices": [], "usage": usage_object(Usage(**data["usage"]))})
        return last + DONE

    def _tool_calls(self, turn: Turn, uses: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
        """Each call once it is whole: its name, then its arguments."""
        for index, use in enumerate(uses):
            yield self._chunk(turn, {"tool_calls": [{"index": index, **_called(use, "")}]})
            arguments = {"arguments": json.dumps(use["input"], ensure_ascii=False)}
            yield self._chunk(turn, {"tool_calls": [{"index": index, "function": arguments}]})

    def _chunk(self, turn: Turn, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        usage = {"usage": None} if self.include_usage else {}
        return sse_event({**self._head(turn), "choices": [choice], **usage, **more})

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


def _called(use: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    return {"id": use["id"], "type": "function", "function": {"name": use["name"], "arguments": arguments}}


def _besides(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in BESIDES if name in result}


class CompletionsResource:
    """POST /v1/chat/completions."""

    auth = "key"
    route = "/v1/chat/completions"
    takes_turns = True
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
        answer(self._runtime, req, resp, self.route, self._read)

    def _read(self, req: falcon.Request) -> tuple[ChatRequest, OpenAIDialect]:
        runtime, settings = self._runtime, self._runtime.current.settings
        body = COMPLETION_REQUEST.read(req, settings.MAX_BODY_BYTES, with_attachments=settings.MAX_ATTACHMENT_BYTES)
        if body.get("model") == DEFAULT_MODEL and DEFAULT_MODEL not in settings.models:
            del body["model"]
        options = body.get("stream_options") or {}
        dialect = OpenAIDialect(int(runtime.clock.time()), bool(options.get("include_usage")))
        return parse_completion(body, req.context.key_name), dialect


class ModelsResource:
    """GET /v1/models: the aliases that a request may name; those past their end of life are left out."""

    auth = "key"
    route = "/v1/models"
    operations: Mapping[str, Operation] = {"GET": Operation("The models that a request may name.", MODELS_ANSWER)}

    def __init__(self, runtime: Runtime) -> None:
        self._models = _Models(runtime)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """All of them, in the order of MODELS, on one page."""
        models = list(self._models.by_alias().values())
        ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]}
        answer_json(resp, {"object": "list", "data": models, "has_more": False, **ends})


class ModelResource:
    """GET /v1/models/{model}."""

    auth = "key"
    route = "/v1/models/{model:path}"
    operations: Mapping[str, Operation] = {"GET": Operation("One model.", MODEL, errors=(NotFound,))}

    def __init__(self, runtime: Runtime) -> None:
        self._models = _Models(runtime)

    def on_get(self, _req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """That one, or 404."""
        models = self._models.by_alias()
        if model not in models and f"{model}/" in models:
            # The slash at the end of a path is taken off, but it may belong to the name.
            model += "/"
        if model not in models:
            raise NotFound(f"unknown model {model[:100]!r}; known: {', '.join(models)}", param="model")
        answer_json(resp, models[model])


class _Models:
    """The model objects of OpenAI's API and of Anthropic's in one; they were created when this process began."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._created = int(runtime.clock.time())

    def by_alias(self) -> dict[str, dict[str, Any]]:
        """Those of the table MODELS that the service still serves, and `default`, which is MODEL_PRIMARY."""
        models = self._runtime.current.settings.models
        served = [alias for alias, model in models.items() if not model.end_of_life]
        owners = {alias: alias.partition(".")[0] for alias in served} | {DEFAULT_MODEL: "rom"}
        created_at = datetime.fromtimestamp(self._created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        anthropic = {"type": "model", "created_at": created_at, "lifecycle": "active"}
        return {
            name: {
                "id": name,
                "object": "model",
                "created": self._created,
                "owned_by": owner,
                "display_name": name,
                **anthropic,
            }
            for name, owner in owners.items()
        }
