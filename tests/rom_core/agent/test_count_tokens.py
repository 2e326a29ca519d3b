"""Counting the tokens of a request that is not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support import make_runtime, make_turn, says

from rom_core.agent.count_tokens import count_tokens, estimate
from rom_core.markers import hookimpl
from rom_core.turn import Attempt, ModelCall


class Amending:
    """A plugin that puts text behind the system prompt, and keeps a word from the model."""

    @hookimpl
    def rom_model_request(self, attempt: Attempt, request: dict[str, Any]) -> None:
        """Both, for the model that it goes to."""
        request["system"].append({"text": f"For {attempt.model.alias}."})
        for block in request["messages"][0]["content"]:
            block["text"] = block["text"].replace("secret", "***")


class Counting:
    """A transport that only counts, and remembers what."""

    def __init__(self) -> None:
        self.counted: list[Mapping[str, Any]] = []

    def count_tokens(self, call: ModelCall, model_id: str, conversation: Mapping[str, Any]) -> int:
        """Always seven."""
        self.counted.append(conversation)
        return 7


def test_what_is_counted_is_what_plugins_would_send() -> None:
    """What a plugin keeps from a model does not leave to be counted; what it adds is counted."""
    runtime, _ = make_runtime(says("ok"), plugins={"amending": Amending()})
    turn, transport = make_turn(runtime, "a secret"), Counting()
    assert count_tokens(turn, transport).tokens == 7
    (conversation,) = transport.counted
    assert conversation["messages"][0]["content"] == [{"text": "a ***"}]
    assert [block["text"] for block in conversation["system"]][-1] == "For anthropic.first."
    assert turn.request.messages[0]["content"] == [{"text": "a secret"}]


def test_a_file_is_estimated_by_what_it_is_to_a_model() -> None:
    """Text as text, pictures and pages by their size: not as the length of their bytes in writing."""

    def tokens(kind: str, format_: str, data: bytes) -> int:
        block = {kind: {"format": format_, "name": "a", "source": {"bytes": data}}}
        return estimate({"messages": [{"role": "user", "content": [block]}]})

    assert 1_000 <= tokens("document", "txt", b"x" * 3_000) <= 1_100
    assert 1_600 <= tokens("image", "png", b"x" * 30_000) <= 1_700
    assert 50_000 <= tokens("document", "pdf", b"x" * 1_000_000) <= 51_000
