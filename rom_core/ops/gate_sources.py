"""Where figures come from: a server's own /metrics, scrape by scrape, or a Prometheus that has been scraping it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from statistics import median
from typing import Any

from rom_core.concurrency.clock import Clock
from rom_core.gate.figures import Figures, Window
from rom_core.gate.scrape import NAMES, BadScrape, Labels, Scrape, ScrapeFailed, Series, parse
from rom_core.ops.bearer import BadToken, Bearer
from rom_core.ops.fetch import FetchFailed, fetch
from rom_core.ops.requesting import FOREIGN, DirectSession, json_of

_NOT_LET_IN = frozenset({401, 403})
# Answers that trying again does not change: a redirect, a wrong token, no such page.
_PERMANENT = frozenset({301, 302, 303, 307, 308, 401, 403, 404})


def scraper(
    url: str, clock: Clock, *, token: str = "", timeout: float = 10.0, more: Collection[str] = ()
) -> Callable[[], Scrape]:
    """A function that scrapes `url`/metrics, in at most about `timeout` seconds, and raises ScrapeFailed.

    `token` is the server's METRICS_TOKEN, if it has one. `more` names samples that are wanted besides the gate's.
    """
    session = DirectSession()
    address = url.rstrip("/") + "/metrics"
    try:
        session.auth = Bearer(token, "METRICS_TOKEN")
    except BadToken as error:
        raise ScrapeFailed(str(error)) from None

    def scrape() -> Scrape:
        at = clock.monotonic()
        try:
            return parse(fetch(session, address, clock, timeout), at, more)
        except FetchFailed as error:
            where = "; the token is taken from METRICS_TOKEN" if error.status in _NOT_LET_IN else ""
            raise ScrapeFailed(f"{error}{where}", permanent=error.status in _PERMANENT) from None
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
    session = DirectSession()
    address = url.rstrip("/") + "/api/v1/query"
    answer = _ask(session, address, query, clock, timeout)
    try:
        processes = _by_process(answer)
    except FOREIGN:
        raise ScrapeFailed(f"{address}: this is not the answer of a Prometheus") from None
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


def _by_process(answer: list[Any]) -> Mapping[tuple[str, str], Mapping[float, dict[Series, float]]]:
    """Samples by process and moment. Raises ValueError, KeyError, TypeError or AttributeError for other shapes."""
    processes: defaultdict[tuple[str, str], defaultdict[float, dict[Series, float]]]
    processes = defaultdict(lambda: defaultdict(dict))
    for entry in answer:
        labels: dict[str, str] = dict(entry["metric"])
        name = labels.pop("__name__")
        target = (labels.get("job", ""), labels.get("instance", ""))
        key: Labels = frozenset(labels.items())
        for at, value in entry["values"]:
            processes[target][float(at)][name, key] = float(value)
    return processes


def _ask(session: DirectSession, address: str, query: str, clock: Clock, timeout: float) -> list[Any]:
    try:
        text = fetch(session, address, clock, timeout, params={"query": query, "timeout": f"{round(timeout)}s"})
        answer = json_of(text)
        if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
            raise ScrapeFailed(f"{address}: {answer.get('error', 'this is not the answer of a Prometheus')}")
        result: list[Any] = answer["data"]["result"]
    except FetchFailed as error:
        raise ScrapeFailed(str(error)) from None
    except FOREIGN:
        raise ScrapeFailed(f"{address}: this is not the answer of a Prometheus") from None
    return result
