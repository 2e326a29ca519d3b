"""GET /v1/models: every id that is listed is found by itself, whatever characters it has."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import openai
import pytest
import requests
from support import MODELS, make_runtime

from rom_core.http.app import create_app
from rom_core.http.server.server import Server

KEY = "client-key-0123456789"
ALIASES = [
    "acme/claude-4.5",
    "a/b/c",
    "modelo é",
    "a?b",
    "a#b",
    "a%2Fb",
    "a:b",
    "a//b",
    "/a",
    "a/",
    "a+b",
    "~a",
    "long" * 300,
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A real server with such models."""
    models = [MODELS[0] | {"alias": alias} for alias in ALIASES]
    runtime, _ = make_runtime(MODELS=models, MODEL_PRIMARY=ALIASES[0], MODEL_FALLBACKS=[], PORT=0, API_KEYS=KEY)
    server = Server(create_app(runtime), runtime)
    server.start()
    try:
        yield f"{server.url}/v1"
    finally:
        server.stop(1)
        runtime.stop()


def test_every_listed_id_is_found_by_the_official_client(url: str) -> None:
    """As it encodes them."""
    with openai.OpenAI(base_url=url, api_key=KEY) as client:
        listed = [model.id for model in client.models.list()]
        assert listed == [*ALIASES, "default"]
        assert [client.models.retrieve(alias).id for alias in listed] == listed


@pytest.mark.parametrize("alias", ALIASES)
def test_every_listed_id_is_found_however_it_is_encoded(url: str, alias: str) -> None:
    """All of it, or with its slashes as they are, as curl and older clients send it."""
    headers = {"X-Api-Key": KEY}
    for safe in ("", "/", "/:+~"):
        answer = requests.get(f"{url}/models/{quote(alias, safe=safe)}", headers=headers, timeout=60)
        assert (answer.status_code, answer.json().get("id")) == (200, alias), safe


@pytest.mark.parametrize("alias", ALIASES)
def test_every_listed_id_may_be_asked(url: str, alias: str) -> None:
    """In both dialects; the answer names the model as it is listed."""
    ours = url.removesuffix("/v1") + "/api/chat", {"message": "oi"}
    openai_s = f"{url}/chat/completions", {"messages": [{"role": "user", "content": "oi"}]}
    for address, body in (ours, openai_s):
        answer = requests.post(address, json={**body, "model": alias}, headers={"X-Api-Key": KEY}, timeout=60)
        assert (answer.status_code, answer.json().get("model")) == (200, alias)


def test_what_is_not_listed_is_not_found(url: str) -> None:
    """With the ids that there are."""
    answer = requests.get(f"{url}/models/acme/claude-5", headers={"X-Api-Key": KEY}, timeout=60)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")
    assert "acme/claude-4.5" in answer.json()["detail"]
