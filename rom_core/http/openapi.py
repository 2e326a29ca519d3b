"""GET /openapi.json: the routes as OpenAPI 3.1, made of the definitions that validate requests and answer errors.

A resource describes its methods in `operations` (`{"POST": Operation(...)}`); one that does not shows
with its path, its methods and who may use it. What a route's authorisation and body bring with them (401, 413, …) is
added here, for all alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import falcon

from rom_core import __version__
from rom_core.errors import (
    AdminClosed,
    BedrockDisabled,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    Forbidden,
    ForeignHost,
    InternalError,
    InvalidOutput,
    InvalidRequest,
    MalformedRequest,
    ModelContextTooLong,
    ModelError,
    ModelNotServed,
    ModelRefused,
    ModelServerError,
    ModelThrottled,
    ModelTimeout,
    PayloadTooLarge,
    PluginDisabled,
    Rejected,
    RomError,
    TooManyAttempts,
    TurnCancelled,
    Unauthorized,
    UnknownModel,
    UnsupportedMediaType,
    family,
)
from rom_core.http.access import auth_of, scope_setting_of
from rom_core.http.body import BodySchema
from rom_core.http.error_styles import TYPES, ErrorStyle, style_of
from rom_core.http.multipart import FORM
from rom_core.http.problems import CONTENT_TYPE

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_OF_AUTH: Mapping[str, tuple[type[RomError], ...]] = {
    "open": (ForeignHost,),
    "key": (ForeignHost, Unauthorized, TooManyAttempts),
    "token": (ForeignHost, Unauthorized, TooManyAttempts),
    "admin": (ForeignHost, Unauthorized, AdminClosed, TooManyAttempts),
}
_OF_BODY = (MalformedRequest, PayloadTooLarge, UnsupportedMediaType, InvalidRequest)
_SECURITY: Mapping[str, list[dict[str, list[str]]]] = {
    "key": [{"bearer": []}, {"apiKey": []}],
    "admin": [{"admin": []}],
    "token": [{}, {"token": []}],
    "open": [],
}


# A turn that ends like this has nobody to tell (TurnCancelled), or never reaches a client (ConfigurationError).
_UNSEEN = (TurnCancelled, ConfigurationError)
TURN_ERRORS: tuple[type[RomError], ...] = (
    UnknownModel,
    *family(Rejected),
    BedrockDisabled,
    DeadlineExceeded,
    ModelError,
    ModelServerError,
    ModelThrottled,
    ModelTimeout,
    ModelRefused,
    ModelNotServed,
    ModelContextTooLong,
    CircuitOpen,
    InvalidOutput,
)


@dataclass(frozen=True)
class Operation:
    """One method of a route.

    `answer` is the JSON Schema of its answers with `statuses`; `body` what it takes, and `form` the schema of a form
    with files (multipart) that it takes; `errors` what it may answer beside what every route with its authorisation and
    a body may. `stream` says that it also answers as Server-Sent Events, and what those are. `extensible` says that
    statuses which are not listed may come, as problems.
    """

    summary: str
    answer: Mapping[str, Any] = field(default_factory=dict)
    body: BodySchema | None = None
    errors: tuple[type[RomError], ...] = ()
    stream: str = ""
    statuses: tuple[int, ...] = (200,)
    form: Mapping[str, Any] = field(default_factory=dict)
    extensible: bool = False


class OpenApiResource:
    """The route; the document is made at the first request and does not change afterwards."""

    auth = "open"
    route = "/openapi.json"
    operations: Mapping[str, Operation] = {"GET": Operation("This document.", {"type": "object"})}

    def __init__(self, resources: Mapping[str, object], plugin_of: Mapping[int, str]) -> None:
        """`resources` by path, all that the app serves; `plugin_of` names the plugin by the id of its resource."""
        self._resources = resources
        self._plugin_of = plugin_of

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The document."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._document

    @cached_property
    def _document(self) -> bytes:
        return json.dumps(document(self._resources, self._plugin_of), ensure_ascii=False).encode()


def document(resources: Mapping[str, object], plugin_of: Mapping[int, str]) -> dict[str, Any]:
    """The OpenAPI description of these resources."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ROM Agent",
            "version": __version__,
            "description": "A chat agent over Amazon Bedrock. Every error is application/problem+json.",
        },
        "paths": {
            path: _path(path, resource, plugin_of.get(id(resource))) for path, resource in sorted(resources.items())
        },
        "components": {
            "schemas": {"Problem": problem_schema(), "Error": envelope_schema()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "a key of API_KEYS"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "a key of API_KEYS"},
                "admin": {"type": "http", "scheme": "bearer", "description": "a token of ADMIN_TOKEN"},
                "token": {"type": "http", "scheme": "bearer", "description": "METRICS_TOKEN, where it is set"},
            },
        },
    }


def problem_schema() -> dict[str, Any]:
    """The schema of every error answer (RFC 9457, with the `error` object of the official clients)."""
    codes = sorted({error.code for error in family(RomError) if not issubclass(error, TurnCancelled)})
    text = {"type": "string"}
    user_message = {"type": "string", "minLength": 1, "description": "for the person, as TEXT_ERRORS has it"}
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail", "user_message", "code", "trace_id", "request_id", "error"],
        "properties": {
            "type": {"type": "string", "description": "urn:rom:error:<code>"},
            "title": text,
            "status": {"type": "integer", "description": "the HTTP status"},
            "detail": {"type": "string", "description": "what happened and, where there is something, what to do"},
            "user_message": user_message,
            "code": {"enum": codes},
            "trace_id": text,
            "request_id": text,
            "errors": {
                "type": "array",
                "description": "with invalid_settings: each problem",
                "items": {"type": "object", "properties": {"name": text, "message": text}},
            },
            "error": {
                "type": "object",
                "required": ["type", "message", "code", "param", "user_message"],
                "properties": {
                    "type": {"enum": sorted({*TYPES.values(), "api_error"})},
                    "message": text,
                    "code": {"enum": codes},
                    "param": {"type": ["string", "null"], "description": "the field that is wrong"},
                    "user_message": user_message,
                },
            },
        },
    }


def envelope_schema() -> dict[str, Any]:
    """The schema of the errors of /v1/messages: Anthropic's, and under `rom` what it has no place for."""
    text, problem = {"type": "string"}, problem_schema()["properties"]
    return {
        "type": "object",
        "required": ["type", "error", "request_id", "rom"],
        "properties": {
            "type": {"enum": ["error"]},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": problem["error"]["properties"]["type"], "message": text},
            },
            "request_id": text,
            "rom": {
                "type": "object",
                "required": ["code", "user_message", "trace_id", "param"],
                "properties": {
                    "param": problem["error"]["properties"]["param"],
                    **{name: problem[name] for name in ("code", "user_message", "trace_id", "errors")},
                },
            },
        },
    }


def _path(path: str, resource: object, plugin: str | None) -> dict[str, Any]:
    described: Mapping[str, Operation] = getattr(resource, "operations", {})
    names = re.findall(r"{(\w+)}", path)
    item: dict[str, Any] = {}
    if names:
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    for method in METHODS:
        responder = getattr(resource, f"on_{method.lower()}", None)
        if responder is not None:
            operation = described.get(method) or _undescribed(responder)
            if scope_setting_of(resource, method):
                operation = replace(operation, errors=(*operation.errors, Forbidden))
            item[method.lower()] = _operation(method, path, operation, auth_of(resource, method), plugin)
    return item


def _undescribed(responder: Any) -> Operation:
    return Operation((responder.__doc__ or "Not described.").strip().splitlines()[0], extensible=True)


def _operation(method: str, path: str, operation: Operation, auth: str, plugin: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if operation.answer:
        content[falcon.MEDIA_JSON] = {"schema": operation.answer}
    if operation.stream:
        content["text/event-stream"] = {"schema": {"description": operation.stream}}
    done: dict[str, Any] = {"description": operation.summary}
    if content:
        done["content"] = content
    errors: list[type[RomError]] = [InternalError, *_OF_AUTH.get(auth, ()), *operation.errors]
    errors += _OF_BODY if operation.body is not None or operation.form else ()
    errors += (PluginDisabled,) if plugin else ()
    responses = {str(status): done for status in operation.statuses}
    for status, problem in _problems(errors, style_of(path)):
        responses.setdefault(status, problem)
    if operation.extensible:
        responses["default"] = _problem("An error.", style_of(path))
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', path)}",
        "summary": operation.summary,
        "security": _SECURITY.get(auth, []),
        "responses": responses,
    }
    if plugin:
        described["tags"] = [plugin]
    if operation.body is not None:
        content = {falcon.MEDIA_JSON: {"schema": operation.body.schema}}
        if operation.body.files:
            content[FORM] = {"schema": _form_schema(operation.body)}
        described["requestBody"] = {"required": True, "content": content}
    if operation.form:
        described["requestBody"] = {"required": True, "content": {FORM: {"schema": operation.form}}}
    return described


def _form_schema(body: BodySchema) -> dict[str, Any]:
    """The members as fields, what is not text as JSON, and the files."""
    files = {
        "type": "array",
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
        "description": "files; every part with a file name is one, whatever its field is called",
    }
    schema = dict(body.schema)
    return {**schema, "properties": {**schema["properties"], body.files: files}}


def _problems(errors: Iterable[type[RomError]], style: ErrorStyle) -> Iterator[tuple[str, dict[str, Any]]]:
    """One response for each status, which names the codes that come with it."""
    by_status: dict[int, list[str]] = {}
    for error in errors:
        if not issubclass(error, _UNSEEN):
            for status in style.statuses(error):
                codes = by_status.setdefault(status, [])
                if error.code not in codes:
                    codes.append(error.code)
    for status, codes in sorted(by_status.items()):
        yield str(status), _problem(", ".join(codes), style)


def _problem(description: str, style: ErrorStyle) -> dict[str, Any]:
    kind, name = (falcon.MEDIA_JSON, "Error") if style.envelope else (CONTENT_TYPE, "Problem")
    return {"description": description, "content": {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}}
