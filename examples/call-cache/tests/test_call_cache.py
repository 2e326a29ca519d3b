"""The plugin call_cache, in the whole app and as a server would find it: through its entry point."""

from __future__ import annotations

from local_bedrock import LocalBedrock, reply
from rom_core.testing import MakeApp

from rom_call_cache import amended

OURS = {"text": "You answer."}
TEXT = "Be brief."


def test_blank_text_adds_nothing() -> None:
    """Only text that says something becomes a block."""
    assert amended([OURS], " ") == [OURS]


def test_the_text_stands_behind_the_system_prompt(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The model reads the system prompt first, then the plugin's text; the person gets the model's answer."""
    bedrock_local.script(reply("Sim."))
    app = rom_app(CALL_CACHE_ENABLED=True, CALL_CACHE_TEXT=TEXT)
    assert app.chat("Posso?")["reply"] == "Sim."
    texts = [block["text"] for block in bedrock_local.requests[0].body["system"] if "text" in block]
    assert texts[-1] == TEXT


def test_switched_off_it_changes_nothing(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The switch alone decides."""
    rom_app(CALL_CACHE_ENABLED=False, CALL_CACHE_TEXT=TEXT).chat("Posso?")
    assert {"text": TEXT} not in bedrock_local.requests[0].body["system"]
