"""POST /v1/chat/completions and GET /v1/models, for programs that speak to OpenAI's API.

The tools are ours and run here, inside the one answer. What cannot be honoured is refused by its name, never ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from rom_core.errors import InvalidRequest, NotFound
from rom_core.http.answer import answer
from rom_core.http.openapi import TURN_ERRORS, Operation
from rom_core.http.routes.chat import NEEDS_TEXT, whole_number
from rom_core.http.routes.openai_shapes import BESIDES, COMPLETION, COMPLETION_REQUEST, MODEL, MODELS_ANSWER
from rom_core.http.sse import sse_event
from rom_core.runtime import Runtime
from rom_core.telemetry.ids import new_id
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


def parse_completion(body: Mapping[str, Any], key_name: str) -> ChatRequest:
    """The request of a body that COMPLETION_REQUEST accepts.

    System and developer messages become the turn's `system`, wherever they stand. Messages and parts without text are
    passed over, as by the API that is imitated. Raises InvalidRequest: no message of a person with text at the end,
    both limits on tokens, stream_options without stream.
    """
    given = {name: value for name, value in body.items() if value is not None}
    if "max_tokens" in given and "max_completion_tokens" in given:
        raise InvalidRequest("max_tokens: send either this or max_completion_tokens", param="max_tokens")
    if "stream_options" in given and not given.get("stream"):
        raise InvalidRequest("stream_options: only with stream: true", param="stream_options")
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for message in given["messages"]:
        texts = _texts(message)
        if message["role"] in ("system", "developer"):
            system += texts
        elif texts:
            messages.append({"role": message["role"], "content": [{"text": text} for text in texts]})
        elif message["role"] == "user" and message is given["messages"][-1]:
            field = f"messages.{len(given['messages']) - 1}.content"
            raise InvalidRequest(f"{field}: {NEEDS_TEXT}", param=field)
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
        user=given.get("user") or given.get("safety_identifier") or None,
        key_name=key_name,
    )


def _texts(message: Mapping[str, Any]) -> list[str]:
    """The texts of a message that are not blank; of an assistant that refused, the refusal."""
    content = message.get("content")
    texts = [content] if isinstance(content, str) else [part["text"] for part in content or ()]
    if message["role"] == "assistant":
        texts.append(message.get("refusal") or "")
    return [text for text in texts if text.strip()]


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
        """Chunks for start, delta and done; an object with `error`; a comment for thinking; the tools run unseen."""
        if name == "start":
            return self._chunk(turn, {"role": "assistant", "content": "", "refusal": None})
        if name == "delta":
            return self._chunk(turn, {"content": data["text"]})
        if name == "error":
            return sse_event(data)
        if name == "thinking":
            return THINKING
        if name != "done":
            return b""
        last = self._chunk(turn, {}, finish_reason(data["stop_reason"]), rom=_besides(data))
        if self.include_usage:
            last += sse_event({**self._head(turn), "choices": [], "usage": usage_object(Usage(**data["usage"]))})
        return last + DONE

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
        body = COMPLETION_REQUEST.read(req, settings.MAX_BODY_BYTES)
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
        """All of them, in the order of MODELS."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = json.dumps({"object": "list", "data": list(self._models.by_alias().values())}).encode()


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
        if model not in models:
            raise NotFound(f"unknown model {model[:100]!r}; known: {', '.join(models)}", param="model")
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
