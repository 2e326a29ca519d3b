"""Where figures come from: a server's own /metrics, scrape by scrape, or a Prometheus that has been scraping it."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import requests
import urllib3

from rom_core.bearer import BadToken, Bearer
from rom_core.clock import Clock
from rom_core.gate.figures import Figures, Window
from rom_core.gate.scrape import NAMES, BadScrape, Labels, Scrape, Series, parse

# Far more than a server exposes; a body without end must not fill the memory.
MAX_BYTES = 32 * 1024 * 1024
_CHUNK = 64 * 1024


class ScrapeFailed(Exception):
    """This look did not succeed; the text says why, for a person."""


def scraper(url: str, clock: Clock, *, token: str = "", timeout: float = 10.0) -> Callable[[], Scrape]:
    """A function that scrapes `url`/metrics, in at most about `timeout` seconds, and raises ScrapeFailed.

    `token` is the server's METRICS_TOKEN, if it has one.
    """
    session = requests.Session()
    address = url.rstrip("/") + "/metrics"
    try:
        session.auth = Bearer(token, "METRICS_TOKEN")
    except BadToken as error:
        raise ScrapeFailed(str(error)) from None

    def scrape() -> Scrape:
        at = clock.monotonic()
        text = _get(session, address, clock, timeout)
        try:
            return parse(text, at)
        except BadScrape as error:
            raise ScrapeFailed(f"{address}: {error}") from None

    return scrape


def prometheus_figures(
    url: str, window: float, clock: Clock, *, job: str = "rom", cohort: str | None = None, timeout: float = 60.0
) -> Figures:
    """What a Prometheus server at `url` has seen of `job` in the last `window` seconds. Raises ScrapeFailed.

    Its raw samples are taken, one process at a time, so that restarts are treated as with scrapes of our own: rate()
    and increase() extrapolate, and see no restart that a counter has outgrown.
    """
    if not re.fullmatch(r"[\w.:/-]+", job):
        raise ScrapeFailed(f"{job!r} cannot be the name of a job")
    query = f'{{__name__=~"{"|".join(NAMES)}",job="{job}"}}[{round(window * 1000)}ms]'
    session = requests.Session()
    answer = _ask(session, url.rstrip("/") + "/api/v1/query", query, clock, timeout)
    processes: defaultdict[tuple[str, str], defaultdict[float, dict[Series, float]]]
    processes = defaultdict(lambda: defaultdict(dict))
    for entry in answer:
        labels: dict[str, str] = dict(entry["metric"])
        name = labels.pop("__name__")
        target = (labels.get("job", ""), labels.get("instance", ""))
        key: Labels = frozenset(labels.items())
        for at, value in entry["values"]:
            processes[target][float(at)][name, key] = float(value)
    if not processes:
        raise ScrapeFailed(f"{url} has no series of the job {job!r} in this window")
    parts = []
    for moments in processes.values():
        times = sorted(moments)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        tally = Window(median(gaps) if gaps else math.inf, cohort)
        for at in times:
            tally.add(Scrape(at, moments[at]))
        parts.append(tally.figures)
    return Figures.together(parts)


def _ask(session: requests.Session, address: str, query: str, clock: Clock, timeout: float) -> list[Any]:
    text = _get(session, address, clock, timeout, params={"query": query, "timeout": f"{round(timeout)}s"})
    try:
        answer = json.loads(text)
        if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
            raise ScrapeFailed(f"{address}: {answer.get('error', 'this is not the answer of a Prometheus')}")
        result: list[Any] = answer["data"]["result"]
    except (ValueError, KeyError, TypeError):
        raise ScrapeFailed(f"{address}: this is not the answer of a Prometheus") from None
    return result


def _get(
    session: requests.Session, address: str, clock: Clock, timeout: float, params: dict[str, str] | None = None
) -> str:
    """The body, as text. requests bounds only the silence between two bytes, so the whole is bounded here."""
    give_up = clock.monotonic() + timeout
    body = bytearray()
    try:
        with session.get(address, params=params, timeout=timeout, stream=True, allow_redirects=False) as response:
            if response.is_redirect:
                raise ScrapeFailed(f"{address} redirects to {response.headers['Location']}: name that address itself")
            # read1 returns with what there is; iter_content would wait for a whole chunk of a trickle.
            while piece := response.raw.read1(_CHUNK, decode_content=True):
                body += piece
                if len(body) > MAX_BYTES:
                    raise ScrapeFailed(f"{address}: the answer is larger than {MAX_BYTES} bytes")
                if clock.monotonic() > give_up:
                    raise ScrapeFailed(f"{address}: no complete answer within {timeout:g} s")
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise ScrapeFailed(f"{address}: {_reason(error)}") from None
    text = body.decode("utf-8", "replace")
    if response.status_code != 200:
        raise ScrapeFailed(f"{address}: HTTP {response.status_code}{_detail(text)}")
    return text


def _reason(error: Exception) -> str:
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "no answer in time"
    if isinstance(error, (requests.ConnectionError, urllib3.exceptions.ProtocolError)):
        return "no connection, or it broke off"
    return type(error).__name__


def _detail(text: str) -> str:
    found = re.search(r'"(?:detail|error)": *"([^"]{1,200})"', text)
    return f", {found[1]}" if found else ""
