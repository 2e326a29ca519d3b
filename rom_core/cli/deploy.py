"""`rom deploy`: deploys of a service at Render, from a terminal or a pipeline."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from rom_core.cli.terminal import say
from rom_core.cli.values import Duration, Identifier

if TYPE_CHECKING:
    from rom_core.ops.deploy import Deploy, Render

Answer = TypeVar("Answer")

# With show_envvar the complaint about a missing one names the variable as well.
_SERVICE = click.option(
    "--service",
    type=Identifier("srv-[a-z0-9]+", "a service's id, srv-…"),
    envvar="RENDER_SERVICE_ID",
    show_envvar=True,
    required=True,
    help="The service's id, srv-….",
)
_KEY = click.option("--api-key", envvar="RENDER_API_KEY", show_envvar=True, required=True, hidden=True)
_WAIT = click.option(
    "--wait", type=Duration(), default="20m", show_default=True, help="How long to wait until it is live."
)


@click.group()
def deploy() -> None:
    """Deploys at Render. The API key comes from the environment variable RENDER_API_KEY.

    Exit codes: 0 done, 1 Render refused or the deploy failed, 2 asked for wrongly.
    """


@deploy.command()
@_SERVICE
@_KEY
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True)
def status(service: str, api_key: str, limit: int) -> None:
    """The newest deploys: which is live, which could be gone back to."""
    from rom_core.cli.console import Console, add_row, table
    from rom_core.ops.deploy import LIVE

    deploys = _or_fail(lambda: _render(api_key, service).deploys(limit))
    rows = table("deploy", "status", "commit", "created", "message")
    for entry in deploys:
        style = "green" if entry.status == LIVE else ""
        add_row(rows, (entry.id, entry.status, entry.commit[:10], entry.created, entry.message), style)
    Console().print(rows)


@deploy.command()
@click.argument("commit", type=Identifier("[0-9a-f]{40}", "a commit's full id"))
@_SERVICE
@_KEY
@_WAIT
def start(commit: str, service: str, api_key: str, wait: float) -> None:
    """Deploy COMMIT, a full id, and wait until it is live."""
    render = _render(api_key, service)
    begun = _or_fail(lambda: render.start(commit))
    _finish(render, begun, wait)


@deploy.command()
@click.argument("deploy_id", required=False, type=Identifier("dep-[a-z0-9]+", "a deploy's id, dep-…"))
@_SERVICE
@_KEY
@_WAIT
@click.option("--yes", is_flag=True, help="Do not ask.")
def rollback(deploy_id: str | None, service: str, api_key: str, wait: float, yes: bool) -> None:
    """Go back to DEPLOY_ID, or to the deploy that was live before, and wait until it is live.

    Automatic deploys are switched off first, or the next push would bring back what was rolled back. What an earlier
    deploy built is used again, so this takes no build.
    """
    from rom_core.ops.deploy import ENDED, LIVE, rollback_target

    render = _render(api_key, service)
    deploys = _or_fail(lambda: render.deploys(100))
    if deploy_id is None:
        target = _or_fail(lambda: rollback_target(deploys))
    else:
        target = next((entry for entry in deploys if entry.id == deploy_id), None) or _or_fail(
            lambda: render.deploy(deploy_id)
        )
    live = next((entry for entry in deploys if entry.status == LIVE), None)
    say(f"live: {_line(live) if live is not None else 'nothing'}")
    say(f"back to: {_line(target)}")
    for entry in deploys:
        if entry.status not in ENDED:
            say(f"NOTE: {_line(entry)} is under way and may become live afterwards; cancel it at Render")
    if not yes:
        click.confirm("Go back, with automatic deploys switched off?", abort=True)
    _or_fail(render.stop_auto_deploy)
    begun = _or_fail(lambda: render.rollback(target.id))
    _finish(render, begun, wait)


def _finish(render: Render, begun: Deploy, seconds: float) -> None:
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    say(_line(begun))
    try:
        _or_fail(lambda: render.wait(begun, seconds, stop, on_change=lambda entry: say(_line(entry))))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _render(api_key: str, service: str) -> Render:
    from rom_core.concurrency.clock import SystemClock
    from rom_core.ops.deploy import Render

    return _or_fail(lambda: Render(api_key, service, clock=SystemClock()))


def _or_fail(call: Callable[[], Answer]) -> Answer:
    from rom_core.ops.deploy import RenderError

    try:
        return call()
    except RenderError as error:
        raise click.ClickException(str(error)) from None


def _line(entry: Deploy) -> str:
    return f"{entry.id} {entry.status} {entry.commit[:10]} {entry.message}".rstrip()
