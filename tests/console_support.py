"""The operator's console in a real browser: what an operator does there, and what the server says of it afterwards."""

from __future__ import annotations

from typing import Any

import requests
from e2e.serving import WITH_KEY, RomServer
from page_support import Seat
from playwright.sync_api import Locator, Page, expect

ANA, BIA = "token-of-ana-for-the-console", "token-of-bia-for-the-console"
SETTINGS: dict[str, Any] = WITH_KEY | {
    "PAGE_ENABLED": True,
    "RETRY_ENABLED": True,
    "RETRY_BACKOFF_SECONDS": "[0.02]",
    "FALLBACK_ENABLED": True,
    "CIRCUIT_BREAKER_ENABLED": True,
    "ADMIN_TOKEN": f"ana={ANA},bia={BIA}",
    "CANARY_PHASES": '["50%:0.5s", "100%:0.5s"]',
    "CANARY_INTERVAL_SECONDS": "0.2",
    "MEMORY_LIMIT_MB": "8192",
    "SHUTDOWN_LINGER_SECONDS": 0,
}
VIEWS = ("agora", "turnos", "configuracoes", "historico", "canario")


def ask(server: RomServer, path: str, token: str = ANA, **json: Any) -> Any:
    """GET, or POST what is given, with an admin token."""
    method = "POST" if json else "GET"
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.request(method, server.url + path, json=json or None, headers=headers, timeout=60)
    assert answer.ok, answer.text
    return answer.json()


def newest(server: RomServer) -> Any:
    """The latest entry of the history."""
    return ask(server, "/admin/flags/history?limit=1")["versions"][0]


class Desk(Seat):
    """An operator at the console."""

    def sign_in(self, key: str = ANA, name: str = "") -> Page:
        """Open the console, type the token and press Enter; wait for the first figures."""
        page = self.open("/console")
        page.fill("#token", key)
        page.press("#token", "Enter")
        expect(page.locator("#kill")).to_be_enabled()
        return page

    def view(self, name: str) -> Locator:
        """Go to a view by its link, whatever dialog a failed test may have left."""
        if self.page.locator("#act").is_visible():
            self.cancel()
        self.page.click(f'#nav a[href="#{name}"]')
        shown = self.page.locator(f"#view-{name}")
        expect(shown).to_be_visible()
        return shown

    def tile(self, name: str) -> Locator:
        """The value of a tile."""
        return self.page.locator(f'[data-tile="{name}"] .value')

    def press(self, name: str, within: str = "#view") -> Locator:
        """Press a button, wait for the dialog."""
        self.page.locator(within).get_by_role("button", name=name, exact=True).click()
        dialog = self.page.locator("#act")
        expect(dialog).to_be_visible()
        return dialog

    def confirm(self, reason: str) -> Locator:
        """Give the reason and do it; the notice that says what was done."""
        self.send(reason)
        expect(self.page.locator("#act")).to_be_hidden()
        return self.page.locator(".notice").first

    def refused(self, reason: str) -> Locator:
        """Give the reason and try to do it; the dialog's text of why it was refused."""
        self.send(reason)
        problem = self.page.locator("#act-problem")
        expect(problem).to_be_visible()
        return problem

    def send(self, reason: str) -> None:
        """Give the reason and press the button that does it."""
        self.page.fill("#act-reason", reason)
        self.page.click("#act [type=submit]")

    def cancel(self) -> None:
        """Leave the dialog without doing anything."""
        self.page.keyboard.press("Escape")
        expect(self.page.locator("#act")).to_be_hidden()
