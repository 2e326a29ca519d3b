"""`rom gate`: the console front of rom_core.gate."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from rom_core.cli.terminal import print_json
from rom_core.cli.values import Address, Duration, Share

if TYPE_CHECKING:
    from rom_core.concurrency.clock import Clock
    from rom_core.gate import Thresholds, Verdict

EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 2}
SCRAPE_SECONDS = 10.0


@click.command()
@click.option(
    "--url", type=Address(), help="The server to watch, or ROM_URL; its GET /metrics is read (token: METRICS_TOKEN)."
)
@click.option(
    "--prometheus",
    type=Address(),
    help="A Prometheus to ask about the window that has just passed, instead of watching.",
)
@click.option("--job", default="rom", show_default=True, help="The server's job name in that Prometheus.")
@click.option("--window", type=Duration(), default="2h", show_default=True, help="How long; a bare number is seconds.")
@click.option("--interval", type=Duration(), default="30s", show_default=True, help="Time between two scrapes.")
@click.option("--cohort", type=click.Choice(["stable", "canary"]), help="Judge turns of this cohort only.")
@click.option("--max-errors", "error_share", type=Share(), default="1%", show_default=True, help="Share of turns.")
@click.option("--max-p95", "p95_seconds", type=Duration(), default="30s", show_default=True, help="Of good turns.")
@click.option("--max-memory", "memory_ratio", type=Share(), default="75%", show_default=True, help="Of the limit.")
@click.option("--max-throttled", "throttled_share", type=Share(), default="5%", show_default=True, help="429s.")
@click.option("--max-refused", "refused_share", type=Share(), default="5%", show_default=True, help="Of our own.")
@click.option("--max-restarts", "restarts", type=click.IntRange(0), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The verdict as one JSON object on standard output.")
def gate(
    url: str | None,
    prometheus: str | None,
    job: str,
    window: float,
    interval: float,
    cohort: str | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """Watch a running server for a window of time and judge it: exit 0 pass, 1 fail, 2 cannot judge.

    Only turns count, and only what happened in the window. Too little traffic to judge by is never a pass.
    """
    from rom_core.cli.console import Console
    from rom_core.concurrency.clock import SystemClock
    from rom_core.gate import (
        Figures,
        GateBroken,
        Interrupted,
        Outcome,
        ScrapeFailed,
        Thresholds,
        Verdict,
        judge,
        prove,
    )
    from rom_core.gate.report import show
    from rom_core.ops.gate_sources import prometheus_figures

    if not url and not prometheus:
        url = Address().convert(os.environ.get("ROM_URL", ""), None, click.get_current_context())
    if bool(url) == bool(prometheus):
        raise click.UsageError("name a server with --url or a Prometheus with --prometheus, one of them")
    if url and interval > window / 2:
        raise click.UsageError("--interval must fit into --window twice")
    thresholds = Thresholds(**limits)
    clock = SystemClock()
    try:
        prove(thresholds)
        if prometheus:
            try:
                figures = prometheus_figures(prometheus, window, clock, job=job, cohort=cohort)
            except KeyboardInterrupt:
                raise Interrupted("interrupted before the answer of Prometheus") from None
            verdict = judge(figures, thresholds, window)
        else:
            verdict = _watch(str(url), clock, thresholds, window=window, interval=interval, cohort=cohort)
    except (GateBroken, ScrapeFailed, Interrupted) as error:
        if as_json:
            print_json(Verdict(Outcome.INCONCLUSIVE, (), (str(error),), Figures()).as_dict(), indent=None)
        raise _CannotJudge(str(error)) from None
    if as_json:
        print_json(verdict.as_dict(), indent=None)
    else:
        show(verdict, Console())
    sys.exit(EXIT_CODES[verdict.outcome.value])


class _CannotJudge(click.ClickException):
    exit_code = EXIT_CODES["inconclusive"]


def _watch(
    url: str, clock: Clock, thresholds: Thresholds, *, window: float, interval: float, cohort: str | None
) -> Verdict:
    from contextlib import ExitStack

    from rom_core.cli.console import Console
    from rom_core.gate import watch
    from rom_core.gate.report import Progress
    from rom_core.ops.gate_sources import scraper

    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    timeout = min(SCRAPE_SECONDS, interval)
    try:
        with ExitStack() as stack:
            return watch(
                scraper(url, clock, token=os.environ.get("METRICS_TOKEN", ""), timeout=timeout),
                clock,
                stop,
                window=window,
                interval=interval,
                thresholds=thresholds,
                cohort=cohort,
                on_progress=Progress(Console(stderr=True), window, stack),
            )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
