"""Conversations of a client with tools of its own, round by round, over each chat route.

The model asks for tools, cuts calls short, repeats ids, fails and falls back; the client runs what it is handed and
sends back results that are missing, doubled, out of order or nobody's. Two things hold all the while: no request goes
upstream that the local Bedrock refuses, and no call is handed out cut or twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest
from conversation_support import as_body
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from resilience import Bench
from support import NOWHERE, Toolkit, tool

from local_bedrock.validation import validate
from plugins.guardrails import Guardrails
from plugins.prompt_caching import PromptCaching
from rom_core.concurrency.clock import SystemClock
from rom_core.errors import ModelServerError, RomError
from rom_core.http.answer import Dialect
from rom_core.http.routes.chat import CHAT_REQUEST, OwnDialect, parse_chat
from rom_core.http.routes.messages import MessagesDialect
from rom_core.http.routes.messages_request import parse_message
from rom_core.http.routes.messages_shapes import MESSAGE_REQUEST
from rom_core.http.routes.openai import OpenAIDialect
from rom_core.http.routes.openai_request import parse_completion
from rom_core.http.routes.openai_shapes import COMPLETION_REQUEST
from rom_core.settings import CORE_SETTINGS, load_settings
from rom_core.turn import Attempt, Turn
from rom_core.turn_values import ChatRequest, ModelReply, TurnResult, Usage

ROWS = [
    row
    for row in load_settings(CORE_SETTINGS, root=NOWHERE, environ={"ROM_ENV": "testing"}).models.values()
    if not row.end_of_life
]
ALIASES = [row.alias for row in ROWS]
_EVEN_IF_0 = ("sampling", "forced_tool_choice")

# "look" is the server's, the others are the client's or nobody's.
NAMES = st.sampled_from(["read", "look", "write", "look", "read", "invented", "name with space", ""])
USES = st.builds(
    lambda number, name, given: {"toolUse": {"toolUseId": number, "name": name, "input": given}},
    st.sampled_from(["t1", "t2", "id with space", "x" * 70]),
    NAMES,
    st.sampled_from([{}, {"path": "a"}, {"path": "b", "deep": [{"n": None}]}, ["no object"], "{", '{"path": "c"}']),
)
TEXTS = st.sampled_from(["deixe ver", "", " "]).map(lambda text: {"text": text})
REPLIES = st.tuples(
    st.lists(USES | TEXTS, max_size=4),
    st.sampled_from(["tool_use", "tool_use", "tool_use", "end_turn", "max_tokens", "content_filtered"]),
    st.booleans(),
)
CALLS = st.tuples(st.lists(USES, min_size=1, max_size=4), st.just("tool_use"), st.just(False))


@dataclass(frozen=True)
class Round:
    """What one request of the client is like, what the model replies to it, and what becomes of the results."""

    replies: Sequence[Any]
    choice: str
    parallel: bool
    server_tools: bool
    order: int
    missing: bool
    doubled: bool
    orphaned: bool
    text: str
    person: bool
    blank: Any


ROUNDS = st.builds(
    Round,
    replies=st.lists(CALLS | REPLIES | st.none(), min_size=1, max_size=3),
    choice=st.sampled_from(["auto", "auto", "auto", "none", "forced", "named"]),
    parallel=st.booleans(),
    server_tools=st.sampled_from([True, True, False]),
    order=st.sampled_from([1, -1]),
    missing=st.booleans(),
    doubled=st.booleans(),
    orphaned=st.booleans(),
    text=st.sampled_from(["29 graus", "", " ", "z" * 3000]),
    person=st.booleans(),
    blank=st.sampled_from([None, "", "drop"]),
)


class Model:
    """What stands for Bedrock: it refuses what the local Bedrock refuses, and answers by a plan."""

    def __init__(self) -> None:
        self.plan: list[Any] = []
        self.refusals: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.seen: Counter[str] = Counter()

    def __call__(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        """The next reply of the plan, or a failure of the service."""
        refusal = validate(request["modelId"], "ConverseStream", as_body(request))
        if refusal is not None:
            self.refusals.append(refusal.message)
        step: Any = self.plan.pop(0) if self.plan else ([{"text": "fim"}], "end_turn", False)
        if step is None:
            self.seen["failures"] += 1
            raise ModelServerError("", kind="500")
        parts, stop, cut = step
        self.asked += [part["toolUse"] for part in parts if "toolUse" in part]
        self.seen.update(["cut"] if cut else [])
        return ModelReply(tuple(parts), stop, attempt.model.alias, Usage(1, 1), cut_tool_use=cut)


@dataclass
class Client:
    """A client of one route: its history, and the ids of all calls that it was ever handed."""

    route: str
    messages: list[Any] = field(default_factory=lambda: [{"role": "user", "content": "Leia."}])
    ids: list[str] = field(default_factory=list)

    def body(self, one: Round, alias: str) -> dict[str, Any]:
        """The request of this round."""
        schema = {"type": "object", "properties": {"path": {"type": "string"}}}
        body: dict[str, Any] = {"model": alias, "messages": list(self.messages)}
        if self.route == "completions":
            named: Any = {"type": "function", "function": {"name": "read"}}
            choices = {"forced": "required", "named": named}
            tools = [{"type": "function", "function": {"name": n, "parameters": schema}} for n in ("read", "write")]
            return body | {
                "tools": tools,
                "tool_choice": choices.get(one.choice, one.choice),
                "parallel_tool_calls": one.parallel,
            }
        body["tools"] = [{"name": name, "input_schema": schema} for name in ("read", "write")]
        if self.route == "messages":
            kinds = {"forced": "any", "named": "tool"}
            choice = {"type": kinds.get(one.choice, one.choice), "disable_parallel_tool_use": not one.parallel}
            named = {"name": "read"} if one.choice == "named" else {}
            return body | {"max_tokens": 1000, "tool_choice": choice | named}
        if self.messages[-1].get("content") and self.messages[-1]["role"] == "user":
            body["message"] = body["messages"].pop()["content"]
        choices = {"forced": "any", "named": {"name": "read"}}
        return body | {
            "tool_choice": choices.get(one.choice, one.choice),
            "parallel_tool_calls": one.parallel,
            "server_tools": one.server_tools,
        }

    def request(self, body: dict[str, Any]) -> ChatRequest:
        """It, read as by the server; whatever is built here is valid."""
        if self.route == "completions":
            COMPLETION_REQUEST.validate(body)
            return parse_completion(body, "")
        if self.route == "messages":
            MESSAGE_REQUEST.validate(body)
            return parse_message(body, "")
        CHAT_REQUEST.validate(body)
        return parse_chat(body, "")

    def dialect(self) -> Dialect:
        """That of the route."""
        if self.route == "completions":
            return OpenAIDialect(0)
        return MessagesDialect() if self.route == "messages" else OwnDialect()

    def calls(self, answer: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The calls of an answer in one piece: id, name, input."""
        if self.route == "completions":
            found = answer["choices"][0]["message"].get("tool_calls", ())
            assert (answer["choices"][0]["finish_reason"] == "tool_calls") == bool(found)
            return [_call(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in found]
        if self.route == "messages":
            found = [block for block in answer["content"] if block["type"] == "tool_use"]
            assert (answer["stop_reason"] == "tool_use") == bool(found)
        else:
            found = answer.get("tool_uses", ())
        return [{name: one[name] for name in ("id", "name", "input")} for one in found]

    def streamed(self, events: Sequence[bytes]) -> list[dict[str, Any]]:
        """The calls of a stream, put together as clients do it."""
        found: dict[int, dict[str, Any]] = {}
        for data in _data(events):
            if self.route == "chat" and "stop_reason" in data:
                return self.calls(data)
            for choice in data.get("choices", ()):
                for part in choice["delta"].get("tool_calls", ()):
                    at = found.setdefault(part["index"], {"id": part.get("id"), "text": ""})
                    at["name"] = at.get("name") or part["function"].get("name")
                    at["text"] += part["function"]["arguments"]
            block = data.get("content_block", {})
            if block.get("type") == "tool_use":
                found[data["index"]] = {"id": block["id"], "name": block["name"], "text": ""}
            delta = data.get("delta", {})
            if delta.get("type") == "input_json_delta":
                found[data["index"]]["text"] += delta["partial_json"]
        return [_call(one["id"], one["name"], one["text"]) for _, one in sorted(found.items())]

    def take(self, one: Round, calls: Sequence[dict[str, Any]], pending: Sequence[dict[str, Any]]) -> None:
        """Keep the answer, and what the client makes of its calls, for the next request."""
        ids = [call["id"] for call in calls][:: one.order]
        ids = ids[1:] if one.missing else ids
        ids += ids[:1] if one.doubled else []
        ids += ["nobodys"] if one.orphaned else []
        if self.route == "completions":
            functions = [{"name": call["name"], "arguments": json.dumps(call["input"])} for call in calls]
            asked = [{"id": c["id"], "type": "function", "function": f} for c, f in zip(calls, functions, strict=True)]
            said = {} if one.blank == "drop" else {"content": one.blank}
            self.messages.append({"role": "assistant", **said, "tool_calls": asked})
            self.messages += [{"role": "tool", "tool_call_id": number, "content": one.text} for number in ids]
        elif self.route == "messages":
            self.messages.append({"role": "assistant", "content": [{"type": "tool_use", **call} for call in calls]})
            results: list[Any] = [
                {"type": "tool_result", "tool_use_id": n, "content": one.text, "is_error": one.doubled} for n in ids
            ]
            self.messages.append({"role": "user", "content": results or [{"type": "text", "text": "nada"}]})
        else:
            self.messages.append({"role": "assistant", "content": one.blank and "sim", "tool_uses": list(calls)})
            given = [{"id": number, "content": one.text} for number in ids]
            self.messages.append({"role": "user", "tool_results": [*pending, *given]})
            if not pending and not given:
                self.messages[-1] = {"role": "user", "content": "nada"}
        if one.person or (self.route == "completions" and not ids):
            self.messages.append({"role": "user", "content": "e agora?"})


def _call(number: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": number, "name": name, "input": json.loads(arguments)}


def _data(events: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for line in b"".join(events).decode().split("\n"):
        if line.startswith("data: {"):
            yield json.loads(line[len("data: ") :])


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[Bench, Model]]:
    """A runtime for all examples, with the shipped models, guardrails and caching; each model may fall back."""
    model = Model()
    made = Bench(
        model,
        plugins="fallback",
        more={"kit": Toolkit(tool("look")), "guardrails": Guardrails(), "prompt_caching": PromptCaching()},
        clock=SystemClock(),
        MODELS=[{name: value for name, value in asdict(row).items() if value or name in _EVEN_IF_0} for row in ROWS],
        MODEL_PRIMARY=ALIASES[0],
        MODEL_FALLBACKS=ALIASES[1:],
        PROMPT_CACHING_ADVANCE_USD=1,
        MAX_LOOPS_SOFT=3,
        MAX_LOOPS_HARD=4,
        MAX_MODEL_REQUESTS=3,
    )
    yield made, model
    made.runtime.tool_pool.stop()


def answered(made: Bench, client: Client, request: ChatRequest) -> tuple[TurnResult, Turn, list[bytes]]:
    """Run the turn; its events as the route would write them."""
    dialect = client.dialect()
    events: list[bytes] = []
    turn = made.runtime.turn(request)
    turn.sink = lambda name, data: events.append(dialect.event(turn, name, data))
    events.append(dialect.event(turn, "start", {"id": turn.id}))
    result = made.runtime.run(turn)
    events.append(dialect.event(turn, "done", result.as_dict()))
    return result, turn, events


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    route=st.sampled_from(["completions", "chat", "messages"]),
    alias=st.sampled_from(ALIASES),
    rounds=st.lists(ROUNDS, min_size=1, max_size=5),
)
def no_loop_of_a_client_breaks(bench: tuple[Bench, Model], route: str, alias: str, rounds: list[Round]) -> None:
    """No request is refused upstream; each call is handed out whole, once, and as the model asked for it."""
    made, model = bench
    client = Client(route)
    for one in rounds:
        model.plan, model.asked = list(one.replies), []
        model.refusals.clear()
        failure: RomError | None = None
        try:
            result, turn, events = answered(made, client, client.request(client.body(one, alias)))
        except RomError as error:
            failure = error
        assert model.refusals == []
        if failure is not None:
            # A model that cannot be forced, or none that answers.
            assert (failure.param, failure.code) in (("tool_choice", "invalid_request"), (None, "upstream_unavailable"))
            continue
        calls = client.calls(client.dialect().whole(turn, result))
        assert client.streamed(events) == calls
        _check(client, one, calls, model)
        model.seen.update([f"{route} call" for _ in calls] + ["pending" for _ in result.pending_results])
        if not calls:
            return
        client.take(one, calls, result.pending_results)


def _check(client: Client, one: Round, calls: Sequence[dict[str, Any]], model: Model) -> None:
    ids = [call["id"] for call in calls]
    assert len({*client.ids, *ids}) == len(client.ids) + len(ids)
    client.ids += ids
    assert all(isinstance(call["input"], dict) for call in calls)
    asked = Counter(use["name"].replace(" ", "_") or "tool" for use in model.asked)
    assert Counter(call["name"] for call in calls) <= asked
    if calls:
        assert one.choice != "none"
        assert one.parallel or len(calls) == 1
        last = next(step for step in reversed(one.replies[: len(one.replies) - len(model.plan)]) if step is not None)
        assert last[1] not in ("max_tokens", "content_filtered")


def test_no_loop_of_a_client_breaks(bench: tuple[Bench, Model]) -> None:
    """And the examples hold what they are about: a property of nothing would hold of anything."""
    no_loop_of_a_client_breaks(bench)
    for kind in ("completions call", "chat call", "messages call", "pending", "cut", "failures"):
        assert bench[1].seen[kind], (kind, bench[1].seen)
