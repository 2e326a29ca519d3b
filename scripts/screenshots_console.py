"""What the operator's console shows, for screenshots.py: each view brings it to a state that an operator may meet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from console_support import ANA, BIA, SETTINGS, Desk
from e2e.serving import KEY
from playwright.sync_api import expect
from requests import request

from local_bedrock import LocalBedrock, fault, reply, tool_use

_POINTS, _SECONDS = 360, 10


def _point(age: float, n: int) -> dict[str, float]:
    late = max(0.0, 0.2 - age) * 5
    return {
        "turns": 1 + (n % 3 == 0) + (age < 0.3),
        "failed": 1 if age < 0.05 and n % 2 else 0,
        "refused": 0,
        "requests": 3,
        "throttled": 1 if age < 0.12 and n % 7 == 0 else 0,
        "cost_usd": 0.008 - 0.004 * age,
        "waiting": round(7 * late),
        "running": round(2 + 2 * math.sin(n / 20) + 2 * late),
        "memory_ratio": 0.47 - 0.05 * age + 0.01 * math.sin(n / 9),
        "p50_seconds": 4 + math.sin(n / 30),
        "p95_seconds": 14 + 3 * math.sin(n / 25) + 24 * late,
    }


def hour() -> dict[str, Any]:
    """The columns of an hour that ends now, as it may have been: it gets worse towards its end."""
    now = int(time.time()) // _SECONDS * _SECONDS
    points = [_point(1 - n / (_POINTS - 1), n) for n in range(_POINTS)]
    columns = {name: [point[name] for point in points] for name in points[0]}
    return {"seconds": _SECONDS, "at": [now - _SECONDS * (_POINTS - 1 - n) for n in range(_POINTS)], **columns}


def tell(desk: Desk, path: str, token: str = ANA, **json: Any) -> Any:
    """POST to an admin route."""
    return request("POST", desk.url + path, json=json, headers={"Authorization": f"Bearer {token}"}, timeout=60).json()


def chat(desk: Desk, text: str = "Qual o prazo para apelar?") -> Any:
    """One turn, its answer."""
    return request(
        "POST", f"{desk.url}/api/chat", json={"message": text}, headers={"X-Api-Key": KEY}, timeout=60
    ).json()


def _signed_in(desk: Desk) -> None:
    desk.sign_in()
    # What the page draws is what it was told; here it is told of an hour that has been.
    desk.page.evaluate(
        """async hour => {
          const [{live}, {emit}] = await Promise.all([import("/assets/console/live.js"), import("/assets/app/bus.js")]);
          live.hour = hour;
          emit("live:hour", hour);
        }""",
        hour(),
    )


def sign_in(desk: Desk, _bedrock: LocalBedrock) -> None:
    """The form."""
    desk.open("/console")


def now(desk: Desk, _bedrock: LocalBedrock) -> None:
    """All is well."""
    for _ in range(3):
        chat(desk)
    _signed_in(desk)
    expect(desk.page.locator("#verdict-state")).to_have_text("Bem")


def act(desk: Desk, _bedrock: LocalBedrock) -> None:
    """The second look before the kill switch."""
    _signed_in(desk)
    desk.press("Desligar o Bedrock", "#verdict")
    desk.page.fill("#act-reason", "incidente no Bedrock")


def settings(desk: Desk, _bedrock: LocalBedrock) -> None:
    """Settings with an override, and a change that waits."""
    tell(desk, "/admin/reload-flags", pending=None)
    tell(desk, "/admin/reload-flags", MAX_TOKENS="2048", reason="cota do Bedrock")
    tell(desk, "/admin/reload-flags", SYSTEM_PROMPT="Você responde com fontes.", reason="pedido 7")
    _signed_in(desk)
    expect(desk.view("configuracoes").locator(".pending")).to_be_visible()


def history(desk: Desk, _bedrock: LocalBedrock) -> None:
    """Who changed what."""
    tell(desk, "/admin/reload-flags", pending=None, reason="desistimos")
    tell(desk, "/admin/reload-flags", token=BIA, RETRY_MAX_RETRIES="2", reason="menos espera à noite")
    _signed_in(desk)
    expect(desk.view("historico").locator("[data-version]").first).to_be_visible()


def canary(desk: Desk, _bedrock: LocalBedrock) -> None:
    """A rollout under way."""
    tell(desk, "/admin/canary", action="start", flags={"MAX_TOKENS": 1024}, reason="respostas mais curtas")
    _signed_in(desk)
    expect(desk.view("canario").locator(".rollout")).to_be_visible()


def story(desk: Desk, bedrock: LocalBedrock) -> None:
    """One turn that was throttled, used a tool and came to an end."""
    tell(desk, "/admin/canary", action="abort", reason="fim do ensaio")
    bedrock.script(fault(429), tool_use("numero_processo", {"numero": "0001234-08.2023.8.26.0100"}), reply("Válido."))
    answer = chat(desk)
    _signed_in(desk)
    desk.view("turnos")
    desk.page.fill("#turn-id", answer["request_id"])
    desk.page.press("#turn-id", "Enter")
    expect(desk.page.locator(".waterfall")).to_be_visible()
    desk.page.locator(".turn-table").evaluate("table => table.scrollIntoView()")


def down(desk: Desk, bedrock: LocalBedrock) -> None:
    """The model's service is down."""
    for _ in range(5):
        bedrock.script(*[fault(500)] * 8)
        chat(desk)
    _signed_in(desk)
    expect(desk.page.locator("#verdict-state")).to_have_text("Fora do ar")


Show = Callable[[Desk, LocalBedrock], None]
# In this order: each leaves the server as the next one wants it.
SHOWS: dict[str, Show] = {
    "console-sign-in": sign_in,
    "console-now": now,
    "console-act": act,
    "console-settings": settings,
    "console-history": history,
    "console-canary": canary,
    "console-story": story,
    "console-down": down,
}
SHOWN_WITH: dict[str, Any] = SETTINGS | {
    "CANARY_PHASES": '["10%:2h", "50%:4h", "100%:24h"]',
    "CANARY_INTERVAL_SECONDS": "30",
    "CIRCUIT_BREAKER_ENABLED": True,
}
