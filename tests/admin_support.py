"""What tests of the admin routes share: a plugin to configure, one that fails, a client with the operator's token."""

from __future__ import annotations

import json
from typing import Any

from falcon import testing
from flag_support import Site

from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import Setting

TOKEN = "token-of-the-operator"

KEY = "key-of-a-client-app"

FORM = "application/x-www-form-urlencoded"


class Demo:
    """A plugin with a setting of every kind that the routes show, and a status."""

    @hookimpl
    def rom_settings(self) -> list[Setting]:
        return [
            Setting("DEMO_ENABLED", bool, True, "on or off", switch=True),
            Setting("LEVEL", str, "low", "a level", choices=("low", "high")),
            Setting("RATIO", float, 0.5, "a ratio", minimum=0, maximum=1),
            Setting("DEMO_PASSWORD", str, "", "a password", secret=True),
            Setting("PLACE", str, "here", "read at start", runtime=False),
        ]

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        return {"demos": 3}


class Failing:
    """A plugin whose status and observer raise."""

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        raise ValueError("no status")

    @hookimpl
    def rom_event(self, event: Any) -> None:
        raise ValueError("no observer")


class Admin:
    """A client of one process, with the operator's token."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.runtime: Runtime
        self.runtime, self.flags = site.start()
        self.app = testing.TestClient(create_app(self.runtime))

    def get(self, path: str, token: str = TOKEN, **params: Any) -> Any:
        """GET."""
        return self.app.simulate_get(path, headers={"Authorization": f"Bearer {token}"}, params=params)

    def post(self, path: str, body: str | bytes | None = None, kind: str | None = FORM, **headers: str) -> Any:
        """POST a body as it is; header names with underscores."""
        sent = {"Authorization": f"Bearer {TOKEN}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.app.simulate_post(path, body=body, content_type=kind, headers=sent)

    def reload(self, body: str | bytes | None = None, kind: str | None = FORM, **headers: str) -> Any:
        """POST /admin/reload-flags."""
        return self.post("/admin/reload-flags", body, kind, **headers)

    def json(self, path: str, value: Any, **headers: str) -> Any:
        """POST JSON."""
        return self.post(path, json.dumps(value), "application/json", **headers)

    def chat(self, **body: Any) -> Any:
        """POST /api/chat, as the client app does."""
        return self.app.simulate_post("/api/chat", json=body, headers={"Authorization": f"Bearer {KEY}"})
