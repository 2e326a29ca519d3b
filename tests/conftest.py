"""Fixtures for all tests; `bedrock_local` comes from the project's own pytest plugin."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog
from workers import dealt, number_of_workers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from bench.postgres import PostgresServer

# A machine may be busy: how long an example takes says nothing of what it shows.
hypothesis.settings.register_profile("rom", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("rom")

# What a shell starts in the background ignores Ctrl-C, and so would every command that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Without this structlog draws the local variables of every frame of a traceback, which takes seconds.
# Not on standard output: what a command prints there is compared.
structlog.configure(
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
    processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)],
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means."""
    return number_of_workers()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The order of a run by several workers."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = dealt(items, workers)


@pytest.fixture(autouse=True)
def _own_log_context() -> None:
    """The ids of a request that another test has made in this thread must not stand in this one's lines."""
    structlog.contextvars.clear_contextvars()


@pytest.fixture(autouse=True, scope="module")
def _logging_of_the_module() -> Iterator[None]:
    """What a module configures ends with it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def _own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test configures ends with it.

    And a module's logger must not keep the configuration that it met in another test, as it does in a server.
    """
    configure, before = structlog.configure, structlog.get_config()

    def uncached(**options: Any) -> None:
        configure(**{**options, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", uncached)
    yield
    configure(**before)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own cloud and proxy settings must not decide whether a test passes."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("AWS_", "ROM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests of this process; nobody stops it."""
    from bench.postgres import PostgresServer

    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    name = postgres.database()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser, as long as the module lasts: Playwright keeps the thread's event loop to itself meanwhile."""
    from browser_support import started

    with started() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of it, in a session of its own."""
    from browser_support import opened

    with opened(browser) as shown:
        yield shown
