"""The plugin call_cache, in the whole app and as a server would find it: through its entry point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from local_bedrock import LocalBedrock, fault, reply, tool_use
from rom_core.markers import hookimpl
from rom_core.testing import MakeApp
from rom_core.tools import Tool
from rom_core.turn import Attempt
from rom_core.turn_values import CachePlan, ModelReply, Usage

from rom_call_cache import CallCache
from rom_call_cache.cache import Cache, digest, may_be_kept


def says(text: str, stop_reason: str = "end_turn") -> ModelReply:
    """A reply of text."""
    return ModelReply(({"text": text},), stop_reason, "a model", Usage(1, 1))


def test_the_same_question_is_asked_once(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """Streamed or not; the second answer costs no tokens, and is told in the status."""
    bedrock_local.script(reply("Sim."))
    app = rom_app(CALL_CACHE_ENABLED=True)
    first, second = app.chat("Posso?"), app.chat("Posso?")
    assert (first["reply"], second["reply"]) == ("Sim.", "Sim.")
    assert first["usage"]["output_tokens"] > 0
    assert second["usage"]["output_tokens"] == 0
    assert app.stream("Posso?")[-1][1]["reply"] == "Sim."
    assert len(bedrock_local.requests) == 1
    assert 'rom_model_answered_total{model="anthropic.claude-sonnet-4-5"} 2.0' in app.metrics()


class Points:
    """Another plugin: from the second request on it has the service cache the prompt."""

    def __init__(self) -> None:
        self.asked = 0

    @hookimpl
    def rom_cache_points(self, attempt: Attempt, request: dict[str, Any]) -> CachePlan | None:
        """A point behind the system prompt."""
        self.asked += 1
        return CachePlan("again", static="5m", moving=True) if self.asked > 1 else None


def test_cache_points_do_not_make_it_another_question(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """They come and go from call to call, and no model sees them."""
    bedrock_local.script(reply("Sim."), reply("Não."))
    plugins = {"call_cache": CallCache(), "points": Points()}
    app = rom_app(plugins=plugins, CALL_CACHE_ENABLED=True, POINTS_ENABLED=True)
    assert [app.chat(question)["reply"] for question in ("Posso?", "Devo?", "Posso?")] == ["Sim.", "Não.", "Sim."]
    assert ["cachePoint" in str(recorded.body) for recorded in bedrock_local.requests] == [False, True]


@pytest.mark.parametrize("fields", [{"temperature": 0.5}, {"system": "Fale inglês."}, {"max_tokens": 50}])
def test_another_question_is_asked(rom_app: MakeApp, bedrock_local: LocalBedrock, fields: dict[str, Any]) -> None:
    """All that the model would see is part of the key."""
    bedrock_local.script(reply("Sim."), reply("Não."))
    app = rom_app(CALL_CACHE_ENABLED=True)
    assert app.chat("Posso?")["reply"] == "Sim."
    assert app.chat("Posso?", **fields)["reply"] == "Não."


def test_another_api_key_gets_nothing_of_it(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """What was answered to one is not shown to another, nor how fast."""
    bedrock_local.script(reply("Sim."), reply("Não."))
    client = rom_app(CALL_CACHE_ENABLED=True, API_KEYS="a=first-key-of-a-test,b=other-key-of-a-test").client
    replies = [
        client.simulate_post("/api/chat", json={"message": "Posso?"}, headers={"Authorization": f"Bearer {key}"}).json
        for key in ("first-key-of-a-test", "other-key-of-a-test")
    ]
    assert [answer["reply"] for answer in replies] == ["Sim.", "Não."]


def test_failures_and_answers_cut_short_are_not_kept(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The next one is asked again."""
    bedrock_local.script(fault(500), reply("Si", stop="max_tokens"), reply("Sim."))
    app = rom_app(CALL_CACHE_ENABLED=True)
    assert app.client.simulate_post("/api/chat", json={"message": "Posso?"}).status_code == 502
    assert [app.chat("Posso?")["reply"] for _ in range(3)] == ["Si", "Sim.", "Sim."]
    assert len(bedrock_local.requests) == 3


class Sender:
    """Another plugin: a tool with an effect."""

    def __init__(self) -> None:
        self.sent = 0

    @hookimpl
    def rom_tools(self) -> list[Tool]:
        """The tool."""

        def send(_arguments: dict[str, Any], _context: object) -> str:
            self.sent += 1
            return f"Enviado pela {self.sent}.ª vez."

        return [Tool("enviar", "Envia a petição.", {"type": "object"}, run=send)]


def test_a_request_for_a_tool_is_never_repeated_from_memory(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The model is asked each time whether the tool shall run; only the text that it ends with may be remembered."""
    sender = Sender()
    app = rom_app(plugins={"call_cache": CallCache(), "sender": sender}, CALL_CACHE_ENABLED=True, SENDER_ENABLED=True)
    bedrock_local.script(tool_use("enviar", {}), reply("Enviado."), reply("Já foi enviada."))
    assert app.chat("Envie a petição.")["reply"] == "Enviado."
    assert app.chat("Envie a petição.")["reply"] == "Já foi enviada."
    assert sender.sent == 1


def test_switched_off_nothing_is_kept(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The switch alone decides."""
    bedrock_local.script(reply("Sim."), reply("Não."))
    app = rom_app()
    assert [app.chat("Posso?")["reply"] for _ in range(2)] == ["Sim.", "Não."]


def test_an_answer_is_kept_for_its_time_alone() -> None:
    """To the second at which it ends, excluded."""
    cache = Cache()
    cache.put("key", says("Sim."), until=10.0, max_bytes=100)
    found = cache.get("key", 9.9)
    assert found is not None
    assert (found.text, found.usage) == ("Sim.", None)
    assert cache.get("key", 10.0) is None
    assert cache.figures() == {"kept": 0, "bytes": 0, "hits": 1, "misses": 1}


def test_it_stays_within_its_bytes_and_forgets_what_was_used_longest_ago() -> None:
    """A reply that is larger than all is not kept at all."""
    cache = Cache()
    for key in ("a", "b", "c"):
        cache.put(key, says("1234"), until=10.0, max_bytes=15)
        assert cache.get("a", 0.0)
    assert [cache.get(key, 0.0) is not None for key in ("a", "b", "c")] == [True, True, True]
    cache.put("d", says("1234"), until=10.0, max_bytes=15)
    assert [cache.get(key, 0.0) is not None for key in ("a", "b", "c", "d")] == [False, True, True, True]
    cache.put("e", says("1" * 16), until=10.0, max_bytes=15)
    assert cache.figures()["bytes"] == 15
    assert cache.get("e", 0.0) is None


def test_a_copy_is_handed_out() -> None:
    """Who changes an answer changes it for nobody else."""
    cache = Cache()
    cache.put("key", says("Sim."), until=10.0, max_bytes=100)
    for _ in range(2):
        found = cache.get("key", 0.0)
        assert found is not None
        assert found.text == "Sim."
        found.content[0]["text"] = "Não."


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (says("Sim."), True),
        (says("Sim.", "stop_sequence"), True),
        (says("Si", "max_tokens"), False),
        (says("", "guardrail_intervened"), False),
        (ModelReply((), "end_turn", "m"), False),
        (ModelReply(({"text": "a"}, {"toolUse": {}}), "end_turn", "m"), False),
        (ModelReply(({"reasoningContent": {}}, {"text": "a"}), "end_turn", "m"), False),
    ],
)
def test_only_a_whole_answer_of_text_is_kept(reply: ModelReply, kept: bool) -> None:
    """Not one with a request for a tool, of no text, or with thoughts that were signed for another moment."""
    assert may_be_kept(reply) is kept


def test_the_order_of_fields_does_not_matter_and_bytes_do() -> None:
    """The key is of what is said."""
    key: Callable[..., str] = digest
    points = {"system": [{"text": "a"}, {"cachePoint": {}}], "toolConfig": {"tools": [{"cachePoint": {}}]}}
    assert key(points, "me") == key({"system": [{"text": "a"}], "toolConfig": {"tools": []}}, "me")
    assert key({"a": 1, "b": [b"x"]}, "me") == key({"b": [b"x"], "a": 1}, "me")
    assert len({key({"a": b"x"}, "me"), key({"a": b"y"}, "me"), key({"a": b"x"}, "you")}) == 3
