"""Bodies are read strictly, fields are refused by name, and every error is the one problem body."""

from __future__ import annotations

import gzip
import json
from typing import Any

import falcon.testing
import pytest
from support import make_runtime, says

from rom_core.errors import InvalidRequest, MalformedRequest
from rom_core.http.app import create_app
from rom_core.http.body import MAX_DEPTH, REFUSAL, BodySchema, nullable, parse_json
from rom_core.http.routes.openai import finish_reason, usage_object
from rom_core.http.routes.openai_request import parse_completion
from rom_core.http.routes.openai_shapes import COMPLETION_REQUEST
from rom_core.turn_values import Usage

_SECRET = "segredo"

AS_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client() -> falcon.testing.TestClient:
    """The app, whose model says hello, with the smallest limit on bodies."""
    runtime, _ = make_runtime(says("hello"), MAX_BODY_BYTES=1024)
    return falcon.testing.TestClient(create_app(runtime))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "Infinity is not JSON"),
        (b'{"a": 1e999}', "too large for a number"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' appears twice"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": 1', "not JSON"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested too deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
        (b"1" * 5000, "a number has more than 1000 digits"),
        (b"1" * 5000 + b".5e999", "1 is too large for a number"),
    ],
)
def test_what_is_not_strictly_json_is_malformed(raw: bytes, reason: str) -> None:
    """Nothing that the wire or a validator could stumble over gets in, and the answer says what it was."""
    with pytest.raises(MalformedRequest, match=reason):
        parse_json(raw)


def test_what_is_strictly_json_is_read_as_it_is() -> None:
    """A full surrogate pair, the deepest allowed nesting, and many shallow objects."""
    assert parse_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    deepest = parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert json.dumps(deepest).count("[") == MAX_DEPTH
    assert len(parse_json(json.dumps([{} for _ in range(200)]).encode())) == 200


@pytest.mark.parametrize(
    ("value", "param", "reason"),
    [
        ({"a": 1, "b": {"x": 1}}, "b.x", "unknown field"),
        ({}, "a", "is required"),
        ({"a": "1"}, "a", 'must be of type "integer"'),
        ({"a": 1, "word": "abc\n"}, "word", "must match"),
        ({"a": 1, "list": [1, 2]}, "list.1", "only ones"),
        ({"a": None, "list": [2]}, "a", 'must be of type "integer"'),
        ({"a": None, "tools": [1]}, "tools", "none to be had"),
        ({"a": "1", "tools": [1]}, "a", 'must be of type "integer"'),
        ([], None, 'must be of type "object"'),
    ],
)
def test_a_field_that_is_wrong_is_named_with_the_reason(value: Any, param: str | None, reason: str) -> None:
    """`param` is its path, and the text says why: the schema's own refusal where it has one."""
    schema = BodySchema(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["a"],
            "properties": {
                "a": {"type": "integer"},
                "b": {"type": "object", "additionalProperties": False, "properties": {}},
                "word": {"type": "string", "pattern": "^[a-z]+$"},
                "list": {"type": "array", "items": {"enum": [1], REFUSAL: "only ones"}},
                "tools": {"type": "array", "maxItems": 0, REFUSAL: "none to be had"},
            },
        }
    )
    with pytest.raises(InvalidRequest, match=reason) as caught:
        schema.validate(value)
    assert caught.value.param == param
    schema.validate({"a": 1, "word": "abc", "list": [1]})


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": ["string", "null"]}, [_SECRET] * 100, 'must be of type "string", "null"'),
        ({"enum": ["user", "assistant"]}, _SECRET, 'must be one of "user", "assistant"'),
        ({"pattern": r"^\d+$"}, _SECRET, r'must match "^\\d+$"'),
        ({"minimum": 1}, -(10**900), "must be at least 1"),
        ({"maximum": 1}, 10**900, "must be at most 1"),
        ({"minLength": 1}, "", "must not be shorter than 1 characters"),
        ({"maxLength": 9}, _SECRET * 100, "must not be longer than 9 characters"),
        ({"minItems": 2}, [_SECRET], "must not have fewer than 2 items"),
        ({"maxItems": 1}, [_SECRET] * 1000, "must not have more than 1 items"),
        ({"items": {"type": "integer"}, "maxItems": 1}, [_SECRET] * 1000, "must not have more than 1 items"),
        ({"multipleOf": 2}, 3, "breaks the rule multipleOf: 2"),
    ],
)
def test_a_refusal_tells_the_rule_and_not_the_value(schema: dict[str, Any], value: Any, reason: str) -> None:
    """A long value hid the reason, and what a client sent is confidential; the answer has neither."""
    body = BodySchema({"properties": {"field": schema}})
    with pytest.raises(InvalidRequest) as caught:
        body.validate({"field": value})
    assert caught.value.detail == f"field: {reason}"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b'{"message": "oi", "%s": 1}', 422),
        (b'{"message": "oi", "%s": 1, "%s": 1}', 400),
    ],
)
def test_a_name_that_the_client_chose_is_told_only_in_part(
    client: falcon.testing.TestClient, raw: bytes, status: int
) -> None:
    """A body of one long name is not answered with a longer one."""
    answer = client.simulate_post("/api/chat", body=raw.replace(b"%s", b"n" * 300), headers=AS_JSON)
    assert answer.status_code == status
    assert "n" * 100 in answer.json["detail"]
    assert "n" * 101 not in answer.text


def test_so_are_the_names_of_settings_and_of_a_content_type(client: falcon.testing.TestClient) -> None:
    """Where any name may stand, and in a header."""
    with pytest.raises(InvalidRequest) as caught:
        BodySchema({"additionalProperties": {"type": "integer"}}).validate({"n" * 300: "x"})
    assert caught.value.detail == f'{"n" * 100}: must be of type "integer"'
    answer = client.simulate_post("/api/chat", body=b"{}", headers={"Content-Type": "text/" + "n" * 300})
    assert answer.json["detail"] == "send application/json, not text/" + "n" * 95


def test_nullable_adds_null_to_types_and_enums() -> None:
    """What a client sends as null counts as not sent."""
    assert nullable({"type": "string"}) == {"type": ["string", "null"]}
    assert nullable({"type": ["string", "array"], "minItems": 1})["type"] == ["string", "array", "null"]
    assert nullable({"enum": ["a"]}) == {"enum": ["a", None]}


@pytest.mark.parametrize(
    ("request_", "status", "code", "param"),
    [
        ({"body": b'{"message": NaN}'}, 400, "malformed_request", None),
        ({"body": b""}, 400, "malformed_request", None),
        ({"body": b'{"message": "' + b"x" * 2000 + b'"}'}, 413, "payload_too_large", None),
        ({"json": {"message": " "}}, 422, "invalid_request", "message"),
        ({"json": {"message": "oi", "colour": 1}}, 422, "invalid_request", "colour"),
        ({"json": {"message": "oi", "model": "gpt"}}, 422, "unknown_model", "model"),
        ({"json": {"message": "oi", "temperature": 1.5}}, 422, "invalid_request", "temperature"),
        ({"json": {"message": "oi", "messages": [{"role": "user", "content": 1}]}}, 422, "invalid_request", None),
        ({"body": b"message=oi", "content_type": "application/x-www-form-urlencoded"}, 415, None, None),
        ({"path": "/nothing"}, 404, "not_found", None),
        ({"method": "GET"}, 405, "method_not_allowed", None),
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "text/html", "text/event-stream", "application/xml"])
def test_every_error_is_the_one_problem_body_whatever_is_accepted(
    client: falcon.testing.TestClient, request_: dict[str, Any], status: int, code: str, param: str, accept: str
) -> None:
    """problem+json with both ids and the `error` object, never empty and never another format."""
    headers = {"Accept": accept, "X-Request-Id": "abc"}
    options = {"method": "POST", "path": "/api/chat", "headers": headers} | request_
    if "body" in options:
        options.setdefault("content_type", "application/json")
        options["headers"] = headers | {"Content-Type": options.pop("content_type")}
    response = client.simulate_request(**options)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json
    assert problem["code"] == problem["error"]["code"] == (code or problem["code"])
    assert (problem["status"], problem["request_id"]) == (status, "abc")
    assert problem["trace_id"] == response.headers["x-trace-id"]
    assert response.headers["x-should-retry"] == "false"
    if param is not None:
        assert problem["error"]["param"] == param


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("identity", 400), (None, 400)])
def test_a_compressed_body_is_refused_for_that(
    client: falcon.testing.TestClient, coding: str | None, status: int
) -> None:
    """What is told is that it is compressed, not that it is no JSON."""
    headers = {"Content-Type": "application/json"} | ({"Content-Encoding": coding} if coding else {})
    body = gzip.compress(b'{"message": "oi"}')
    answer = client.simulate_post("/api/chat", body=body, headers=headers)
    assert (answer.status_code, "Content-Encoding gzip" in answer.json["detail"]) == (status, status == 415)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_body_without_content_type_is_refused(client: falcon.testing.TestClient, path: str) -> None:
    """415, which says what to send; so a page in a browser cannot send one unasked. Without a body it is empty."""
    answer = client.simulate_post(path, body=b'{"message": "oi"}')
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")
    assert "application/json" in answer.json["detail"]
    assert client.simulate_post(path).status_code == 400


def test_a_route_that_is_not_there_is_named(client: falcon.testing.TestClient) -> None:
    """Whoever has a wrong base address or method reads what was asked for, and what is allowed."""
    wrong_path = client.simulate_post("/v2/" + "x" * 200).json["detail"]
    assert wrong_path == "nothing is served under /v2/" + "x" * 96
    wrong_method = client.simulate_delete("/api/chat").json["detail"]
    assert wrong_method == "DELETE is not served here; allowed: POST, OPTIONS"


def test_an_unknown_model_names_the_known_ones(client: falcon.testing.TestClient) -> None:
    """Whoever mistypes an alias reads the right ones."""
    problem = client.simulate_post("/api/chat", json={"message": "oi", "model": "gpt"}).json
    assert "anthropic.first, anthropic.second" in problem["detail"]


def test_a_whole_number_written_with_a_point_is_whole(client: falcon.testing.TestClient) -> None:
    """1.0 is an integer to JSON Schema; Bedrock's client would refuse it."""
    runtime, transport = make_runtime(says("hello"))
    app = falcon.testing.TestClient(create_app(runtime))
    body = b'{"message": "oi", "max_tokens": 7.0}'
    assert app.simulate_post("/api/chat", body=body, headers=AS_JSON).status_code == 200
    assert type(transport.requests[0]["inferenceConfig"]["maxTokens"]) is int


@pytest.mark.parametrize(
    ("nothing", "something"),
    [
        ({"n": 1}, {"n": 2}),
        ({"functions": []}, {"functions": [{"name": "x"}]}),
        ({"function_call": "auto"}, {"function_call": {"name": "x"}}),
        ({"tools": []}, {"tools": [{"type": "function"}]}),
        ({"logprobs": False}, {"logprobs": True}),
        ({"top_logprobs": 0}, {"top_logprobs": 1}),
        ({"logit_bias": {}}, {"logit_bias": {"1": 1}}),
        ({"response_format": {"type": "text"}}, {"response_format": {"type": "xml"}}),
        ({"store": False}, {"store": True}),
        ({"user": ""}, {"user": 7}),
        ({"safety_identifier": ""}, {"safety_identifier": "x" * 257}),
    ],
)
def test_a_value_that_asks_for_nothing_may_stand(nothing: dict[str, Any], something: dict[str, Any]) -> None:
    """Frameworks send every field with its default; null is one as well, and what asks for something is refused."""
    messages = [{"role": "user", "content": "oi"}]
    (name,) = nothing
    for harmless in (nothing, {name: None}):
        COMPLETION_REQUEST.validate({"messages": messages} | harmless)
    with pytest.raises(InvalidRequest) as caught:
        COMPLETION_REQUEST.validate({"messages": messages} | something)
    assert (caught.value.param or "").partition(".")[0] == name


@pytest.mark.parametrize(
    ("given", "user"),
    [
        ({"user": "ana"}, "ana"),
        ({"user": "", "safety_identifier": "ana"}, "ana"),
        ({"user": "ana", "safety_identifier": "x"}, "ana"),
        ({"user": "", "safety_identifier": ""}, None),
        ({}, None),
    ],
)
def test_nobody_is_the_user_with_an_empty_name(given: dict[str, str], user: str | None) -> None:
    """All requests without one would share one person's limit."""
    body = {"messages": [{"role": "user", "content": "oi"}]} | given
    assert parse_completion(body, "").user == user


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filtered", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("guardrail_hard_limit", "stop"),
        ("guardrail_repetition", "stop"),
        ("guardrail_cycle", "stop"),
        ("guardrail_budget", "stop"),
        ("loop_cap", "stop"),
        ("something_new", "stop"),
    ],
)
def test_finish_reasons(ours: str, theirs: str) -> None:
    """A stop of ours is `stop`; what cut the answer is `length`; a filter is `content_filter`."""
    assert finish_reason(ours) == theirs


def test_openai_counts_cached_tokens_among_the_prompt_tokens() -> None:
    """Bedrock's kinds are disjoint, OpenAI's are not."""
    usage = usage_object(Usage(input_tokens=1, output_tokens=2, cache_read_tokens=30, cache_write_tokens=400))
    assert usage == {
        "prompt_tokens": 431,
        "completion_tokens": 2,
        "total_tokens": 433,
        "prompt_tokens_details": {"cached_tokens": 30},
    }
