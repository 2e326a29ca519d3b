"""`rom load`: the console front of rom_core.ops.load."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from rom_core.cli.terminal import json_text, print_json, say
from rom_core.cli.values import Address, Share

if TYPE_CHECKING:
    from rom_core.concurrency.clock import Clock
    from rom_core.ops.load.judging import LoadVerdict
    from rom_core.ops.load.recording import Recording
    from rom_core.ops.load.run import Disturber

EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 2}


class _Refused(click.ClickException):
    """Nothing was judged."""

    exit_code = EXIT_CODES["inconclusive"]


@click.command()
@click.option(
    "--url",
    type=Address(),
    help="The server to put under load, or ROM_URL; default: one of its own against the local Bedrock.",
)
@click.option("--users", type=click.IntRange(1, 1000), default=10, show_default=True, help="People at work.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=25.0, show_default=True)
@click.option("--profile", type=click.Choice(["team"]), default="team", show_default=True, help="What they do.")
@click.option("--faults", type=Share(), help="Share of requests to the local Bedrock that fail, as 5%.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="FILE.html; FILE.json beside it.")
@click.option(
    "--yes-this-costs",
    "ceiling",
    type=click.FloatRange(0, min_open=True),
    metavar="USD",
    help="Allow a real model or another machine; the run stops when it has cost so much.",
)
@click.option("--chaos", is_flag=True, help="Disturb the server on purpose; only one of its own.")
@click.option("--find-limit", is_flag=True, help="Raise the users, --minutes each, until a step does not pass.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object on standard output.")
def load(
    url: str | None,
    users: int,
    minutes: float,
    profile: str,
    faults: float | None,
    report: Path | None,
    ceiling: float | None,
    chaos: bool,
    find_limit: bool,
    as_json: bool,
) -> None:
    """Play a team at work against a server and judge it: exit 0 pass, 1 fail, 2 cannot judge or refused.

    Keys: ROM_API_KEY, and METRICS_TOKEN for /metrics.
    """
    from rom_core.concurrency.clock import SystemClock
    from rom_core.gate import GateBroken, Thresholds, prove
    from rom_core.ops.load.judging import surely_failing, verdict_on
    from rom_core.ops.load.limit import find_limit as limit_of
    from rom_core.ops.load.page import as_json as recording_as_json
    from rom_core.ops.load.page import page
    from rom_core.ops.load.recording import LoadFailed
    from rom_core.ops.load.run import Plan, run

    url = (url or Address().convert(os.environ.get("ROM_URL", ""), None, click.get_current_context())).rstrip("/")
    if chaos and (url or find_limit):
        raise click.UsageError("--chaos is for a server that it starts itself, and not for --find-limit")
    if report is not None and report.suffix != ".html":
        raise click.UsageError("--report takes a file that ends in .html; its figures go into a .json beside it")
    clock, thresholds = SystemClock(), Thresholds()
    try:
        prove(thresholds)
        with ExitStack() as stack:
            stop = stack.enter_context(_interrupts())
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="rom-load-")))
            disturber = None
            if not url:
                url, disturber = _own_server(folder, stack, clock, chaos)
            spent: list[float] = []
            watched, progress = _watched(url, clock, ceiling), _Progress(stack)

            def step(users: int) -> tuple[Recording, LoadVerdict]:
                plan = Plan(users, minutes * 60, profile, faults or 0.0, ceiling, sum(spent))
                recording = run(
                    plan,
                    url,
                    clock=clock,
                    stop=stop,
                    folder=folder,
                    disturber=disturber,
                    on_progress=progress,
                    enough=(lambda one: surely_failing(one, thresholds)) if find_limit else (lambda _: False),
                    **watched,
                )
                spent.append(recording.cost)
                return recording, verdict_on(recording, thresholds)

            limit = limit_of(users, step) if find_limit else None
            recording, verdict = limit.steps[-1] if limit else step(users)
    except (LoadFailed, GateBroken) as error:
        raise _Refused(str(error)) from None
    result = recording_as_json(recording, verdict)
    if limit:
        result["limit"] = limit.as_dict()
    notes = limit.notes() if limit else []
    if report is not None:
        report.write_text(
            page(recording, verdict, _command(), notes, result.get("limit", {}).get("steps", ())), "utf-8"
        )
        report.with_suffix(".json").write_text(json_text(result) + "\n", "utf-8")
    if as_json:
        print_json(result)
    else:
        _show(recording, verdict, notes)
        say(f"verdict: {(limit or verdict).outcome}")
    sys.exit(EXIT_CODES[(limit or verdict).outcome.value])


def _command() -> str:
    return shlex.join(["rom", *sys.argv[1:]])


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM, instead of an exception: what was collected is reported."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _own_server(folder: Path, stack: ExitStack, clock: Clock, chaos: bool) -> tuple[str, Disturber | None]:
    """Start a local Bedrock and a server in front of it; its address, and what disturbs them."""
    from local_bedrock import LocalBedrock
    from rom_core.ops.load.chaos import Chaos
    from rom_core.ops.load.own_server import OwnServer

    bedrock = stack.enter_context(LocalBedrock())
    server = OwnServer(folder, bedrock.url, os.environ)
    stack.callback(server.stop)
    server.start()
    return server.url, Chaos(bedrock, server, clock) if chaos else None


def _watched(url: str, clock: Clock, ceiling: float | None) -> dict[str, Any]:
    """What `run` needs to know of the target. Raises LoadFailed for one that may not be put under load."""
    from rom_core.ops.gate_sources import scraper
    from rom_core.ops.load.own_server import player_environ
    from rom_core.ops.load.recording import WANTED
    from rom_core.ops.load.target import check_target

    token = os.environ.get("METRICS_TOKEN", "")
    stand_in = check_target(url, os.environ.get("ROM_API_KEY", ""), token, clock, ceiling)
    return {
        "stand_in": stand_in,
        "scrape": scraper(url, clock, token=token, timeout=5.0, more=WANTED),
        "environ": player_environ(os.environ),
    }


class _Progress:
    """A table rewritten at every look on a terminal; elsewhere a line a minute."""

    def __init__(self, stack: ExitStack) -> None:
        from rich.live import Live

        from rom_core.cli.console import Console

        console = Console(stderr=True)
        self._live = stack.enter_context(Live(console=console, transient=True)) if console.is_terminal else None
        self._said = 0.0

    def __call__(self, recording: Recording) -> None:
        from rom_core.cli.console import add_row, table
        from rom_core.gate.report import clock_face, summary
        from rom_core.ops.load.page import current

        figures = current(recording)
        face = f"{clock_face(recording.elapsed)} of {clock_face(recording.seconds)}"
        if self._live is not None:
            shown = table("", "", title=face)
            for name, value in (*figures, ("server", summary(recording.figures))):
                add_row(shown, (name, value))
            self._live.update(shown)
        elif not self._said <= recording.elapsed < self._said + 60:
            # Also at the beginning of the next run: its time begins anew.
            self._said = recording.elapsed
            say(f"{face} · {' · '.join(f'{name} {value}' for name, value in figures)}", err=True)


def _show(recording: Recording, verdict: LoadVerdict, notes: list[str]) -> None:
    from rom_core.cli.console import Console, add_row, table
    from rom_core.gate.report import limit_text, value_text
    from rom_core.ops.load.page import current

    console = Console()
    shown = table("side", "check", "outcome", "value", "limit", "why")
    for side, checks in (("client", verdict.client), ("server", verdict.server.checks)):
        for check in checks:
            value = value_text(check.name, check.value, verdict.server.figures.buckets)
            add_row(shown, (side, check.name, check.outcome, value, limit_text(check.name, check.limit), check.why))
    for kind, count in verdict.violations.items():
        add_row(shown, ("client", kind, "fail" if count else "pass", str(count), "0", "may never happen"))
    console.print(shown)
    for name, value in current(recording):
        say(f"{name}: {value}")
    for one in recording.disturbances:
        recovery = "-" if one.seconds_to_recover is None else f"{one.seconds_to_recover:.1f} s"
        say(f"{one.name}: {one.failed} of {one.turns} turns failed, recovered after {recovery}")
    for reason in (*notes, *verdict.reasons):
        say(f"note: {reason}")
