"""Real clients, unchanged, against a real server process: every line of the table in docs/clients.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clients.driving import (
    CACHE,
    CLIENTS,
    MAX_REPETITIONS,
    MAX_REQUESTS,
    ROOT,
    SCENARIOS,
    Client,
    conformance,
    drive,
    row,
    served,
)
from e2e.serving import RomServer

from local_bedrock import LocalBedrock

TEXT = (ROOT / "docs/clients.md").read_text()


@pytest.fixture(scope="module")
def serving() -> Iterator[tuple[RomServer, LocalBedrock]]:
    """One server for all of them."""
    with served() as made:
        yield made


@pytest.mark.timeout(400)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_what_the_table_says(serving: tuple[RomServer, LocalBedrock], client: Client) -> None:
    """Each scenario passes, a throttled question is not multiplied, and the page has this very line."""
    assert (CACHE / "venv").exists(), "run scripts/clients.sh first"
    outcomes = drive(client, *serving)
    assert {name: outcome.error for name, outcome in outcomes.items() if outcome.error} == {}
    assert outcomes["refusal"].requests == 0
    assert MAX_REQUESTS <= outcomes["throttled"].requests <= MAX_REQUESTS + MAX_REPETITIONS
    assert row(client, outcomes) in TEXT, "make clients"


# A request without a model is answered by the primary one, where that test wants an error.
@pytest.mark.parametrize(("form", "besides"), [("openai-chat", {"chat-error-handling"}), ("anthropic", set())])
def test_a_conformance_test_of_others_passes(
    serving: tuple[RomServer, LocalBedrock], form: str, besides: set[str]
) -> None:
    """llm-comply holds answers, streams, tools and errors against the published schema of each API."""
    results = conformance(form, serving[0])
    assert len(results) >= 8
    assert {name for name, status in results.items() if status == "failed"} == besides


def test_the_page_speaks_of_every_client_and_scenario() -> None:
    """No line too many, none missing."""
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and line.count("|") == len(SCENARIOS) + 3]
    assert len(rows) == len(CLIENTS) + 1
    for name, meaning in SCENARIOS.items():
        assert f"| `{name}` | {meaning} |" in TEXT
