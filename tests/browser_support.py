"""A real browser for tests: Chromium, driven by Playwright. Fixtures: `browser` and `page` in conftest.py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

SCRIPT = Path(__file__).parents[1] / "scripts/browser.sh"
# Beyond what a busy machine takes; Playwright counts in milliseconds.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


def executable() -> str:
    """The path of a Chromium. Raises AssertionError with the sentence that says what to install."""
    found = subprocess.run([SCRIPT], capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stderr.strip()
    return found.stdout.strip()


@contextmanager
def started() -> Iterator[Browser]:
    """A browser without a window, which is closed at the end."""
    with sync_playwright() as playwright:
        # Chromium's sandbox does not run as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=executable(), args=arguments, timeout=PATIENCE)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser) -> Iterator[Page]:
    """A page in a session of its own; what goes wrong in its scripts fails the test."""
    context = browser.new_context(locale="pt-BR")
    context.set_default_timeout(PATIENCE)
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
