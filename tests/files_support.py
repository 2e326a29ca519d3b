"""A process with the files plugin, and a client of it."""

from __future__ import annotations

from typing import Any

from documents_support import READS, pdf
from falcon import testing
from support import ScriptedTransport
from urllib3 import encode_multipart_formdata

from plugins.files import Files
from rom_core.concurrency.clock import FakeClock
from rom_core.http.app import create_app
from rom_core.runtime import Runtime

ANA, BIA = "ana-" + "0" * 32, "bia-" + "0" * 32
SETTINGS: dict[str, Any] = {
    "MODELS": [READS],
    "MODEL_PRIMARY": "reads",
    "MODEL_FALLBACKS": [],
    "API_KEYS": f"ana={ANA},bia={BIA}",
    "ALLOWED_HOSTS": ["*"],
}
PDF = pdf(pages=2)
SECRET = b"cliente Fulano de Tal, segredo de justica"


class Process:
    """A process with the plugin, and a client of it."""

    def __init__(self, runtime: Runtime, plugin: Files, transport: ScriptedTransport) -> None:
        self.plugin = plugin
        self.room = runtime.body_room
        self.clock: FakeClock = runtime.clock  # type: ignore[assignment]
        self.transport = transport
        plugin.rom_start(runtime)
        self._client = testing.TestClient(create_app(runtime))

    def ask(self, method: str, path: str, *, key: str = ANA, **options: Any) -> Any:
        """One request."""
        headers = {"Authorization": f"Bearer {key}", **options.pop("headers", {})}
        return self._client.simulate_request(method, path, headers=headers, **options)

    def upload(self, *parts: Any, key: str = ANA) -> Any:
        """A form to /api/files."""
        body, kind = encode_multipart_formdata(parts)
        return self.ask("POST", "/api/files", key=key, body=body, headers={"Content-Type": kind})

    def chat(self, *attachments: dict[str, str], key: str = ANA) -> Any:
        """A message with them."""
        return self.ask("POST", "/api/chat", key=key, json={"message": "Resuma.", "attachments": list(attachments)})
