"""GET /api/capabilities: what it says is what the server does at that moment."""

from __future__ import annotations

from typing import Any

import pytest
from falcon import testing
from jsonschema import Draft202012Validator
from support import Recorder, make_runtime

from plugins.files import Files
from rom_core.documents.attachment import MAX_DOCUMENT_BYTES
from rom_core.http.app import create_app
from rom_core.http.routes.capabilities import CapabilitiesResource

KEY = "client-key-0123456789"


def told(**settings: Any) -> dict[str, Any]:
    """The answer of a server with these settings."""
    runtime, _ = make_runtime(plugins={"files": Files(), "recorder": Recorder()}, **settings)
    try:
        answer: dict[str, Any] = testing.TestClient(create_app(runtime)).simulate_get("/api/capabilities").json
    finally:
        runtime.stop()
    Draft202012Validator(CapabilitiesResource.operations["GET"].answer).validate(answer)
    return answer


def test_it_names_the_plugins_that_are_on() -> None:
    """So that a client asks nothing of one that is off."""
    assert "files" in told(FILES_ENABLED=True)["plugins"]
    assert "files" not in told(FILES_ENABLED=False)["plugins"]


def test_it_names_the_models_that_may_be_asked_for_and_what_they_read() -> None:
    """Those that /v1/models lists, and which of them answers by default."""
    runtime, _ = make_runtime()
    client = testing.TestClient(create_app(runtime))
    listed = [model["id"] for model in client.simulate_get("/v1/models").json["data"]]
    answer = client.simulate_get("/api/capabilities").json
    assert {model["alias"] for model in answer["models"]} == set(listed) - {"default"}
    assert answer["default_model"] == runtime.current.settings.MODEL_PRIMARY
    runtime.stop()


def test_it_tells_the_limits_of_attachments() -> None:
    """Before the upload: bytes, numbers, kinds."""
    limits = told(MAX_ATTACHMENT_BYTES=5_000_000)["attachments"]
    assert (limits["body_bytes"], limits["document_bytes"]) == (5_000_000, MAX_DOCUMENT_BYTES)
    assert {"extensions": ["jpg", "jpeg"], "media_type": "image/jpeg", "image": True} in limits["kinds"]


@pytest.mark.parametrize(("endpoint", "stand_in"), [("local", True), ("", False), ("https://example.com", False)])
def test_it_says_whether_a_stand_in_answers(endpoint: str, stand_in: bool) -> None:
    """The one that is bundled."""
    assert told(BEDROCK_ENDPOINT_URL=endpoint)["stand_in"] is stand_in


def test_it_says_whether_the_kill_switch_is_off() -> None:
    """BEDROCK_ENABLED, as it is now."""
    assert told(BEDROCK_ENABLED=False)["bedrock_enabled"] is False


def test_it_needs_a_key() -> None:
    """As chatting does."""
    runtime, _ = make_runtime(API_KEYS=KEY)
    client = testing.TestClient(create_app(runtime))
    assert client.simulate_get("/api/capabilities").status_code == 401
    assert client.simulate_get("/api/capabilities", headers={"X-Api-Key": KEY}).status_code == 200
    runtime.stop()
