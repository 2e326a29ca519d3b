"""POST /api/chat: one turn, answered whole or as Server-Sent Events."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import falcon

from rom_core.errors import (
    ConversationBusy,
    ConversationTooLong,
    FileNotFound,
    NotFound,
    PluginDisabled,
    StoreUnavailable,
)
from rom_core.http.answer import answer
from rom_core.http.attachments import ATTACHMENT, attached, attachment_problems
from rom_core.http.body import REFUSAL, BodySchema
from rom_core.http.openapi import TURN_ERRORS, Operation
from rom_core.http.routes.client_tools import (
    ONLY_WITH_TOOLS,
    client_tools,
    contradictions,
    tool_result,
    tool_spec,
    tool_use,
)
from rom_core.http.stream import encode_event, is_shown
from rom_core.runtime import Runtime
from rom_core.structured import RESPONSE_FORMAT, read_format
from rom_core.telemetry.ids import new_id
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest, ClientTools, TurnResult

NEEDS_TEXT = "must be text, and not blank"
# Far longer than any id of Bedrock: every alias that is listed may be asked for.
MAX_ALIAS_CHARS = 2048
# Of the ids of conversations that are kept; any other id is the client's own, or echoed to it.
STORED_PREFIX = "conv_"
OBJECT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "a JSON Schema of type object",
    "properties": {"type": {"enum": ["object"], REFUSAL: "must be object: a tool's input is one"}},
}
_TOOL_NAME = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"}
_TOOL = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": _TOOL_NAME,
        "description": {"type": "string"},
        "input_schema": OBJECT_SCHEMA,
    },
}
_ID = {"type": "string", "minLength": 1, "maxLength": 256}
_TOOL_USE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "name", "input"],
    "properties": {"id": _ID, "name": {"type": "string", "minLength": 1}, "input": {"type": "object"}},
}
_TOOL_RESULT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "content"],
    "properties": {
        "id": _ID,
        "content": {
            "type": ["string", "object", "array"],
            "description": "text, an object, or a list of `{text: …}` and `{json: …}`",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
                "properties": {"text": {"type": "string"}, "json": {}},
            },
        },
        "status": {"enum": ["success", "error"]},
        # Of `pending_results`, which come back as they went out.
        "name": {"type": "string", "minLength": 1},
        "input": {"type": "object"},
    },
}


def _contradictions(body: Mapping[str, Any], unsound: Collection[str]) -> Iterator[tuple[str, str]]:
    """What the schema cannot say, as pairs of field and reason."""
    earlier = body.get("messages", ())
    for index, message in enumerate(earlier):
        for role, field in (("assistant", "tool_uses"), ("user", "tool_results")):
            if field in message and message["role"] != role:
                yield f"messages.{index}.{field}", f"belongs to the role {role}"
    ends_with_results = bool(earlier) and bool(earlier[-1].get("tool_results"))
    if "message" not in body and not ends_with_results and not {"message", "messages"}.intersection(unsound):
        yield "message", "is required, unless messages ends with tool_results"
    if body.get("attachments") and "message" not in body and "message" not in unsound:
        yield "attachments", "belong to a message"
    yield from attachment_problems(body.get("attachments", ()))
    yield from _store_contradictions(body)
    yield from contradictions(body, unsound, [tool["name"] for tool in body.get("tools", ())], "name", "any")


def _store_contradictions(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What does not go together with a conversation that is kept."""
    given = body.get("conversation_id", "")
    if body.get("store") is True and given and not given.startswith(STORED_PREFIX):
        yield "conversation_id", "is made by the server for a conversation that is kept; leave it out to begin one"
    if body.get("store") is False and given.startswith(STORED_PREFIX):
        yield "store", "a conversation that is kept goes on being kept"
    if given.startswith(STORED_PREFIX) and any(not message.get("tool_results") for message in body.get("messages", ())):
        yield "messages", "what was said before comes from the store; only tool_results belong here"


CHAT_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "message": {
                "type": "string",
                "pattern": r"\S",
                "description": "the person's new message; may be absent if `messages` ends with tool_results",
                REFUSAL: NEEDS_TEXT,
            },
            "messages": {
                "type": "array",
                "maxItems": 1000,
                "description": "the earlier conversation, oldest first, without `message`",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["role"],
                    "properties": {
                        "role": {"enum": ["user", "assistant"]},
                        "content": {
                            "type": ["string", "null", "array"],
                            "maxItems": 0,
                            "description": "a message without text, `[]` too, is passed over",
                            REFUSAL: "must be text",
                        },
                        "tool_uses": {
                            "type": "array",
                            "items": _TOOL_USE,
                            "description": "of an assistant: as they were handed out",
                        },
                        "tool_results": {
                            "type": "array",
                            "items": _TOOL_RESULT,
                            "description": "of a user: what the client's tools returned, and pending_results",
                        },
                    },
                },
            },
            "attachments": {
                "type": "array",
                "maxItems": 200,
                "description": "files that belong to `message`",
                "items": ATTACHMENT,
            },
            "conversation_id": {"type": "string", "pattern": r"^[A-Za-z0-9._:-]{1,128}$"},
            "store": {
                "type": "boolean",
                "description": "begin a conversation that is kept; it goes on by its `conversation_id` alone",
            },
            "user": {
                "type": "string",
                "minLength": 1,
                "maxLength": 256,
                "description": "who asks, your own id",
            },
            "system": {"type": "string", "description": "appended to SYSTEM_PROMPT, never replaces it"},
            "model": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_ALIAS_CHARS,
                "description": "an alias of MODELS",
            },
            "restart": {
                "type": "boolean",
                "description": "agree to the event `restart`: a broken stream may be begun again",
            },
            "mode": {"enum": ["standard", "exhaustive"]},
            "stream": {"type": "boolean"},
            "background": {
                "type": "boolean",
                "description": "answer at once with a `run_id`: the turn goes on by itself (GET /api/runs/{run_id})",
            },
            "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
            "temperature": {"type": "number", "minimum": 0, "maximum": 1},
            "tools": {
                "type": "array",
                "maxItems": 128,
                "items": _TOOL,
                "description": "tools that the client runs; the server's own are left out then",
            },
            "tool_choice": {
                "anyOf": [
                    {"enum": ["auto", "any", "none"]},
                    {"type": "object", "required": ["name"], "properties": {"name": _TOOL_NAME}},
                ],
                REFUSAL: "must be auto, any, none, or {name: …}",
            },
            "parallel_tool_calls": {"type": "boolean", "description": "false: one call of the client's at a time"},
            "server_tools": {"type": "boolean", "description": "offer the server's own tools beside `tools`"},
            "response_format": RESPONSE_FORMAT,
            "citations": {"type": "boolean", "description": "quote from the documents what the answer rests on"},
            "show_thinking": {"type": "boolean", "description": "show what a model thinks, as far as it does"},
        },
    },
    _contradictions,
    files="attachments",
)


CHAT_ANSWER: Mapping[str, Any] = TurnResult.schema()


def parse_chat(body: Mapping[str, Any], key_name: str) -> ChatRequest:
    """The request of a body that CHAT_REQUEST accepts."""
    messages = [*_conversation(body.get("messages", ()))]
    if "message" in body:
        messages.append({"role": "user", "content": [*attached(body), {"text": body["message"]}]})
    given = body.get("conversation_id", "")
    stored: Literal["", "begin", "continue"] = ""
    if given.startswith(STORED_PREFIX):
        stored = "continue"
    elif body.get("store"):
        stored = "begin"
    background = body.get("background", False)
    followed = background or body.get("stream", False)
    return ChatRequest(
        messages=tuple(messages),
        conversation_id=given or f"{STORED_PREFIX if stored else 'conv-'}{new_id()}",
        stored=stored,
        restart=body.get("restart", False) and followed,
        needs=(*(("conversations",) if stored else ()), *(("runs",) if background else ())),
        background=background,
        system=body.get("system", ""),
        model=body.get("model"),
        mode=body.get("mode", "standard"),
        stream=body.get("stream", False),
        max_tokens=whole_number(body.get("max_tokens")),
        temperature=body.get("temperature"),
        client_tools=_client_tools(body),
        ignored=(
            *(name for name in ONLY_WITH_TOOLS if name in body and not body.get("tools")),
            *(("restart",) if body.get("restart") and not followed else ()),
        ),
        user=body.get("user"),
        show_thinking=body.get("show_thinking", False),
        citations=body.get("citations", False),
        response_format=read_format(body.get("response_format")),
        key_name=key_name,
    )


def _conversation(messages: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Converse messages; what the server's tools were asked stands beside what the client's were asked."""
    for index, message in enumerate(messages):
        text = message.get("content") or ""
        content: list[dict[str, Any]] = [{"text": text}] if text.strip() else []
        after = messages[index + 1].get("tool_results", ()) if index + 1 < len(messages) else ()
        uses = list(message.get("tool_uses", ()))
        known = {use["id"] for use in uses}
        if message["role"] == "assistant":
            uses += [one for one in after if {"name", "input"} <= one.keys() and one["id"] not in known]
        content += [tool_use(use["id"], use["name"], use["input"]) for use in uses]
        results = [_result(one) for one in message.get("tool_results", ())]
        if results or content:
            yield {"role": message["role"], "content": [*results, *content]}


def _result(given: Mapping[str, Any]) -> dict[str, Any]:
    content = given["content"]
    if isinstance(content, str):
        content = [{"text": content}]
    elif isinstance(content, Mapping):
        content = [{"json": content}]
    return tool_result(given["id"], content, given.get("status", "success"))


def _client_tools(body: Mapping[str, Any]) -> ClientTools | None:
    choice = body.get("tool_choice", "auto")
    forced = choice["name"] if isinstance(choice, Mapping) else ""
    return client_tools(
        (tool_spec(tool["name"], tool.get("description"), tool.get("input_schema")) for tool in body.get("tools", ())),
        "tool" if forced else choice,
        forced,
        parallel=body.get("parallel_tool_calls", True),
        with_server=body.get("server_tools", False),
    )


def whole_number(value: float | None) -> int | None:
    """To JSON Schema 1.0 is an integer; to Bedrock's client it is not."""
    return None if value is None else int(value)


class OwnDialect:
    """The answer and the events of /api/chat."""

    def whole(self, _turn: Turn, result: TurnResult) -> dict[str, Any]:
        """The turn's result as it is."""
        return result.as_dict()

    def event(self, turn: Turn, name: str, data: dict[str, Any]) -> bytes:
        """start, thinking, delta, citation, tool_call, tool_result, done, error; of what is thought, the text."""
        return encode_event(turn, name, data) if is_shown(name, data) else b""


class ChatResource:
    """The route."""

    auth = "key"
    route = "/api/chat"
    takes_turns = True
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Answer one message.",
            CHAT_ANSWER,
            CHAT_REQUEST,
            (
                *(*TURN_ERRORS, NotFound, FileNotFound, PluginDisabled),
                *(ConversationBusy, ConversationTooLong, StoreUnavailable),
            ),
            stream="start, warning, thinking, delta, citation, restart, tool_call, tool_result; done or error",
        )
    }

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._dialect = OwnDialect()

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the turn; see docs/api.md for the shapes."""
        answer(self._runtime, req, resp, self.route, self._read)

    def _read(self, req: falcon.Request) -> tuple[ChatRequest, OwnDialect]:
        settings = self._runtime.current.settings
        body = CHAT_REQUEST.read(req, settings.MAX_BODY_BYTES, with_attachments=settings.MAX_ATTACHMENT_BYTES)
        return parse_chat(body, req.context.key_name), self._dialect
