"""Retries do not make an outage worse: what ten users put on the wire when every model fails, over real sockets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from resilience import served

from local_bedrock import LocalBedrock
from plugins.fallback import Fallback
from plugins.retry import Retry
from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.plugin.catalogue import Catalogue

USERS, QUESTIONS = 10, 100
FIRST, SECOND, THIRD = "sonnet-4-5-20250929", "haiku-4-5-20251001", "sonnet-4-20250514"
ABLE = {"max_tokens": 64000, "prompt_caching": True, "price_input": 3.0, "price_output": 15.0}


class _StandingClock(FakeClock):
    """No time passes, so that all falls into one minute of the budget; waits between attempts take none."""

    def sleep(self, seconds: float, wake: threading.Event) -> bool:
        """Return at once."""
        return wake.is_set()


@pytest.mark.parametrize("chain", [[], [SECOND], [SECOND, THIRD]], ids=["alone", "two models", "three models"])
def test_ten_users_in_an_outage_of_all_models_stay_within_the_budget(
    bedrock_local: LocalBedrock, chain: list[str]
) -> None:
    """Each question goes once to each model, and to that come at most RETRY_BUDGET_MIN_PER_MINUTE retries, or
    RETRY_BUDGET_PERCENT of the questions, over all models. The count is the local Bedrock's own.

    Without a budget each question would take MAX_MODEL_REQUESTS with a fallback, and four requests without one.
    """
    catalogue = Catalogue.of(hookspecs, retry=Retry(), fallback=Fallback())
    values: dict[str, Any] = {
        "RETRY_ENABLED": True,
        "FALLBACK_ENABLED": True,
        "MODELS": [{"alias": a, "id": f"global.anthropic.claude-{a}-v1:0", **ABLE} for a in (FIRST, SECOND, THIRD)],
        "MODEL_PRIMARY": FIRST,
        "MODEL_FALLBACKS": chain,
        "HTTP_THREADS": 12 + USERS,
    }
    with served(catalogue, bedrock_local.url, _StandingClock(), **values) as server:

        def user(questions: int) -> list[tuple[int, str]]:
            with requests.Session() as session:
                body = {"message": "[[fault=503]] conte"}
                answers = [session.post(f"{server.url}/api/chat", json=body, timeout=60) for _ in range(questions)]
            return [(answer.status_code, answer.headers.get("x-should-retry", "")) for answer in answers]

        with ThreadPoolExecutor(USERS) as users:
            answers = [answer for its in users.map(user, [QUESTIONS // USERS] * USERS) for answer in its]
    assert set(answers) == {(502, "false")}
    assert len(answers) == QUESTIONS
    models = 1 + len(chain)
    settings = server.settings
    retries = max(settings.RETRY_BUDGET_MIN_PER_MINUTE, QUESTIONS * settings.RETRY_BUDGET_PERCENT / 100)
    sent = len(bedrock_local.requests)
    assert QUESTIONS * models + settings.RETRY_BUDGET_MIN_PER_MINUTE <= sent <= QUESTIONS * models + retries
