"""`rom_app`, the fixture for authors of plugins: an app that is like the one served, and ends with the test."""

from __future__ import annotations

import pytest

from local_bedrock import LocalBedrock, fault, reply
from rom_core.errors import ConfigurationError
from rom_core.testing import MakeApp


def test_it_asks_the_model_service_whole_and_streamed(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """With the installed plugins as the settings say, and nothing else."""
    bedrock_local.script(reply("Sim."), reply("Não."))
    app = rom_app(RETRY_ENABLED=True, SYSTEM_PROMPT="Be brief.")
    assert app.chat("Posso?", max_tokens=9)["reply"] == "Sim."
    events = app.stream("Posso?")
    assert [name for name, _ in events][:: len(events) - 1] == ["start", "done"]
    assert events[-1][1]["reply"] == "Não."
    assert bedrock_local.requests[0].body["inferenceConfig"]["maxTokens"] == 9
    assert bedrock_local.requests[0].body["system"][0]["text"].startswith("Be brief.")
    assert 'rom_requests_total{cohort="stable",route="/api/chat",status="ok"} 2.0' in app.metrics()


def test_what_fails_is_told(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """An answer that is none is an AssertionError with the problem in it; in a stream it is the last event."""
    bedrock_local.script(fault(500), fault(500))
    app = rom_app(plugins={})
    with pytest.raises(AssertionError, match="upstream_unavailable"):
        app.chat("Posso?")
    answer = app.client.simulate_post("/api/chat", json={"message": "Posso?", "stream": True})
    assert answer.json["code"] == "upstream_unavailable"


def test_settings_that_no_server_starts_with_are_refused(rom_app: MakeApp) -> None:
    """They are read as a server reads them."""
    with pytest.raises(ConfigurationError, match="MAX_TOKENS"):
        rom_app(MAX_TOKENS="many")
