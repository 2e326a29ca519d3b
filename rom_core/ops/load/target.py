"""The server under load: whether it is one of ours, lets us in, and what stands behind it."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from rom_core.concurrency.clock import Clock
from rom_core.gate import ScrapeFailed
from rom_core.gate.scrape import INSTANCE
from rom_core.ops.bearer import BadToken, Bearer
from rom_core.ops.gate_sources import scraper
from rom_core.ops.load.recording import LoadFailed
from rom_core.ops.requesting import FOREIGN, DirectSession, json_of
from rom_core.settings import is_loopback

_SECONDS = (5.0, 30.0)
_PROBE = "[[say=pronto]] Responda apenas: pronto"


def check_target(url: str, key: str, metrics_token: str, clock: Clock, ceiling: float | None) -> bool:
    """See that the server may be put under load; whether a stand-in for a model answers there.

    `ceiling` is what the run may cost in USD, None if it must cost nothing: then nothing is sent beyond loopback, and
    one short question shows whether a real model answers. Raises LoadFailed.
    """
    host = urlsplit(url).hostname or ""
    if ceiling is None and not is_loopback(host):
        raise LoadFailed(f"{url} is not this machine: no load is sent there without --yes-this-costs USD")
    try:
        scrape = scraper(url, clock, token=metrics_token)()
    except ScrapeFailed as error:
        raise LoadFailed(f"no figures to judge by: {error}") from None
    if not any(name == INSTANCE for name, _ in scrape.values):
        raise LoadFailed(f"{url} is no ROM Agent: its /metrics has no {INSTANCE}")
    answer = _probe(url, key)
    stand_in = answer.get("stand_in") is True
    if ceiling is None and not stand_in:
        raise LoadFailed(
            f"a real model answers at {url}: a load test there costs money; allow it with --yes-this-costs USD"
        )
    return stand_in


def _probe(url: str, key: str) -> dict[str, object]:
    try:
        session = DirectSession()
        session.auth = Bearer(key, "ROM_API_KEY")
        response = session.post(f"{url}/api/chat", json={"message": _PROBE, "max_tokens": 16}, timeout=_SECONDS)
        body = json_of(response.content)
        detail = body.get("detail", "")
    except BadToken as error:
        raise LoadFailed(str(error)) from None
    except requests.RequestException as error:
        raise LoadFailed(f"{url} does not answer: {type(error).__name__}") from None
    except FOREIGN:
        raise LoadFailed(f"what answers at {url} is no ROM Agent") from None
    if response.status_code in (401, 403):
        raise LoadFailed(f"{url} refuses the key in ROM_API_KEY: {detail}")
    if response.status_code != 200:
        raise LoadFailed(f"{url} does not answer one short question, so nothing more is sent: {detail}")
    return dict(body)
