"""The team's page in a real browser: what a person does, and what must be true of the page meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from browser_support import PATIENCE
from playwright.sync_api import Browser, BrowserContext, Page, Request

AXE = Path(__file__).parent / "vendor/axe.min.js"
# What WCAG 2.2 AA asks, as far as a machine can see it, and what is good practice beside it.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Sums up what moved without a person's doing, and what a policy forbade.
WATCH = """
window.shifts = []; window.violations = [];
new PerformanceObserver(list => { for (const one of list.getEntries()) if (!one.hadRecentInput)
  window.shifts.push([one.value, one.sources.map(s => s.node && (s.node.className || s.node.nodeName)).join()]); })
  .observe({type: "layout-shift", buffered: true});
document.addEventListener("securitypolicyviolation",
  e => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


def events(*said: tuple[str, dict[str, Any]]) -> str:
    """A streamed answer of /api/chat."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in said)


START: dict[str, Any] = {
    "id": "chat-1",
    "conversation_id": "conv-1",
    "model": "anthropic.claude-sonnet-4-5",
    "trace_id": "t",
    "request_id": "req-1",
}
DONE: dict[str, Any] = START | {"reply": "", "stop_reason": "end_turn", "degraded": False, "iterations": 1, "usage": {}}


class Seat:
    """A person at a browser: its page, and all that it asked for, said in its console, or ran into."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.url = url
        self.context: BrowserContext = browser.new_context(locale="pt-BR", **context)
        self.context.set_default_timeout(PATIENCE)
        self.context.add_init_script(WATCH)
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note)
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def _note(self, request: Request) -> None:
        self.asked.append(f"{request.method} {request.url.removeprefix(self.url)}")

    @property
    def foreign(self) -> list[str]:
        """Requests to anybody but the server."""
        return [one for one in self.asked if not one.split(" ", 1)[1].startswith(("/", "data:", "blob:"))]

    def open(self, path: str = "/") -> Page:
        """Go there."""
        self.page.goto(f"{self.url}{path}")
        return self.page

    def sign_in(self, key: str, name: str = "") -> Page:
        """Type the key, and the name if there is one, and press Enter."""
        page = self.open()
        if name:
            page.fill("#name", name)
        page.fill("#key", key)
        page.press("#key", "Enter")
        page.wait_for_selector("#question:focus")
        return page

    def ask(self, text: str, state: str = "done") -> Page:
        """Type it, press Enter, and wait until its answer is in that state."""
        before = self.page.locator(".turn").count()
        self.page.fill("#question", text)
        self.page.press("#question", "Enter")
        self.page.wait_for_selector(f".turn:nth-child({before + 1})[data-state={state}]")
        return self.page

    def hears(self, *said: tuple[str, dict[str, Any]]) -> None:
        """The next questions are answered so, whatever the server would say."""
        self.page.unroute("**/api/chat")
        body = events(*said)
        self.page.route("**/api/chat", lambda route: route.fulfill(content_type="text/event-stream", body=body))

    def moved(self) -> list[Any]:
        """Layout shifts so far that no input of a person's excuses."""
        found: list[Any] = self.page.evaluate("window.shifts")
        return found

    def violations(self) -> list[str]:
        """What the Content-Security-Policy forbade so far."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def barriers(self) -> list[str]:
        """What axe-core finds on the page as it is: rule, place and reason."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then(r => r.violations)", RULES
        )
        return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]

    def close(self) -> None:
        """Leave."""
        self.context.close()
