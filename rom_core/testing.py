"""For the tests of plugins: the pytest fixture `rom_app`, the whole app against a model that does as it is told.

    def test_the_answer_is_polite(rom_app, bedrock_local):
        bedrock_local.script(reply("Sim."))
        app = rom_app(POLITENESS_ENABLED=True)
        assert app.chat("Posso?")["reply"] == "Sim, por favor."

It is there wherever rom-agent is installed. `bedrock_local` is the model service that the app asks (a real one, over a
socket): what it answers and what it was sent is in docs/local_bedrock.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from falcon.testing import TestClient

    from rom_core.runtime import Runtime

__all__ = ["MakeApp", "RomApp", "rom_app"]


@dataclass(frozen=True, slots=True)
class RomApp:
    """A running app: `client` asks it as falcon's TestClient does, `runtime` is the process behind it."""

    client: TestClient
    runtime: Runtime

    def chat(self, message: str, **fields: Any) -> dict[str, Any]:
        """POST /api/chat with `message` and `fields`: the JSON answer. AssertionError unless it is 200."""
        answer = self.client.simulate_post("/api/chat", json={"message": message} | fields)
        assert answer.status_code == 200, answer.text  # noqa: S101 - as a test says it
        body: dict[str, Any] = answer.json
        return body

    def stream(self, message: str, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
        """The same, streamed: the events as (name, data), the last one `done` or `error`."""
        answer = self.client.simulate_post("/api/chat", json={"message": message, "stream": True} | fields)
        assert answer.status_code == 200, answer.text  # noqa: S101 - as a test says it
        blocks = [block.partition("\ndata: ") for block in answer.text.split("\n\n") if block.startswith("event: ")]
        return [(name.removeprefix("event: "), json.loads(data)) for name, _, data in blocks]

    def metrics(self) -> str:
        """GET /metrics: the Prometheus text."""
        return self.client.simulate_get("/metrics").text


MakeApp = Callable[..., RomApp]
"""`rom_app(plugins=None, **settings)`: see there."""


@pytest.fixture
def rom_app(bedrock_local: Any, tmp_path: Path) -> Iterator[MakeApp]:
    """Makes apps: `rom_app(HOUSE_STYLE_ENABLED=True)`. Each runs until the end of the test.

    The settings given are as environment variables of their names would be; the others have their defaults of the
    environment `testing`, with BEDROCK_ENABLED on and BEDROCK_ENDPOINT_URL at `bedrock_local`. The plugins are those
    that are installed, as a server finds them; with `plugins={"name": instance}` only those given. Nothing is read
    from files, nothing outlives the test. Raises InvalidSettings and PluginError as a server's start does.
    """
    from falcon.testing import TestClient

    from rom_core import hookspecs
    from rom_core.http.app import create_app
    from rom_core.plugin.catalogue import Catalogue
    from rom_core.runtime import Runtime
    from rom_core.settings import load_settings

    running: list[Runtime] = []

    def make(plugins: Mapping[str, object] | None = None, **settings: Any) -> RomApp:
        given = {"BEDROCK_ENABLED": True, "BEDROCK_ENDPOINT_URL": bedrock_local.url, **settings}
        environ = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        catalogue = Catalogue.installed(hookspecs) if plugins is None else Catalogue.of(hookspecs, **plugins)
        read = load_settings(
            catalogue.settings, catalogue.rules, root=tmp_path, environ={"ROM_ENV": "testing"} | environ
        )
        runtime = Runtime(catalogue, read)
        running.append(runtime)
        runtime.start()
        return RomApp(TestClient(create_app(runtime), headers={"Host": "localhost"}), runtime)

    try:
        yield make
    finally:
        for runtime in running:
            runtime.stop()
