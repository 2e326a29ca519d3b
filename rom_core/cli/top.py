"""`rom top`: the operator's console at a glance, in a terminal."""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from rom_core.cli.admin_client import CLIENT, DEFAULT_URL, AdminClient, Refused, url_option
from rom_core.cli.top_figures import Glance, figures_of_status
from rom_core.cli.top_view import frame

_EVENTS, _STATUS = "/admin/events", "/admin/status"
# The server says something every second, and every five in the worst case.
SILENCE_SECONDS = 12.0
POLL_SECONDS = 2.0
# Between two tries; after so long without an answer it gives up.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
GIVE_UP_SECONDS = 300.0
_ONCE_SECONDS = 20.0
_WAITING = 200
_KEY_SECONDS = 0.2

Item = tuple[str, Any]


@click.command()
@click.option("--once", is_flag=True, help="Print one frame and end; so does a pipe.")
@CLIENT
def top(client: AdminClient, once: bool) -> None:
    """How a running server is, once a second: health, turns, latency, queue, circuits, canary, instances.

    The server is that of ROM_URL, the admin token that of ROM_ADMIN_TOKEN. q or Ctrl-C leaves. Exit code 0 if it was
    well at the last look, else 1. Where the server has no live figures, its status is asked every two seconds.
    """
    glance, console = Glance(), client.console
    if once or not console.is_terminal:
        _first(client, glance)
        width, height = (console.width, 1000) if console.is_terminal else (80, 1000)
        console.print(frame(glance, width, height, time.time(), plain=_plain(console.encoding)))
    else:
        _watch(client, glance)
    raise SystemExit(0 if glance.figures is not None and glance.figures["health"]["state"] == "well" else 1)


top.params.append(url_option(envvar="ROM_URL", default=DEFAULT_URL, show_default=True))


class Follower:
    """Reads the server's events and hands them to `put`, as (name, data); "lost" says that none come, and why.

    A connection that breaks is made anew, after growing pauses, until GIVE_UP_SECONDS have passed without an answer;
    then "gone" is the last.
    """

    def __init__(
        self,
        client: AdminClient,
        put: Callable[[Item], None],
        left: threading.Event,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._put = put
        self._left = left
        self._now = now
        self._answered = now()

    def run(self) -> None:
        """Until `left` is set, or the server is gone, or refuses the token."""
        failures = 0
        while not self._left.is_set():
            before = self._answered
            try:
                self._read()
                reason = "the server has ended the connection"
            except Refused as error:
                if error.status in (401, 403):
                    self._put(("gone", error.message))
                    return
                reason = error.message
            except click.ClickException as error:
                reason = error.message
            if self._left.is_set():
                return
            failures = 0 if self._answered != before else failures + 1
            if self._now() - self._answered > GIVE_UP_SECONDS:
                self._put(("gone", f"{reason}; given up after {GIVE_UP_SECONDS:g} s"))
                return
            pause = PAUSES[min(failures, len(PAUSES) - 1)]
            self._put(("lost", f"{reason}; next try in {pause:g} s"))
            self._left.wait(pause)

    def _read(self) -> None:
        try:
            for name, data in self._client.events(_EVENTS, SILENCE_SECONDS):
                self._answered = self._now()
                if name and name != "end":
                    self._put((name, data))
                if self._left.is_set():
                    return
        except Refused as error:
            # Switched off, of an older release, or as many read along already as may.
            if error.status not in (404, 503):
                raise
            self._poll("the server has no live figures" if error.status == 404 else "too many read along")

    def _poll(self, why: str) -> None:
        """Ask for the status instead, for as long as a pause of the longest kind lasts; then try again."""
        end = self._now() + PAUSES[-1]
        while self._now() < end and not self._left.is_set():
            answer = self._client.get(_STATUS)
            self._answered = self._now()
            self._put(("figures", figures_of_status(answer, time.time())))
            self._put(("note", f"{why}: its status, every {POLL_SECONDS:g} s"))
            self._left.wait(POLL_SECONDS)


def _first(client: AdminClient, glance: Glance) -> None:
    """The first figures. Raises click.ClickException if there are none."""
    left, end = threading.Event(), time.monotonic() + _ONCE_SECONDS

    def put(item: Item) -> None:
        _take(glance, item)
        if item[0] in ("figures", "lost", "gone"):
            left.set()

    Follower(client, put, left).run()
    if glance.figures is None:
        reason = glance.note if time.monotonic() < end else "no figures came"
        raise click.ClickException(reason.partition("; next try")[0])


def _watch(client: AdminClient, glance: Glance) -> None:
    from rich.live import Live

    items: queue.Queue[Item] = queue.Queue(_WAITING)
    left = threading.Event()
    reader = threading.Thread(target=Follower(client, items.put, left).run, name="rom-top", daemon=True)
    console = client.console

    def shown() -> Any:
        return frame(glance, console.width, console.height, time.time(), plain=_plain(console.encoding))

    with _keys(left), Live(shown(), console=console, screen=True, auto_refresh=False) as live:
        reader.start()
        try:
            while not left.is_set():
                for item in _arrived(items):
                    _take(glance, item)
                live.update(shown(), refresh=True)
                if glance.note and glance.lost and not reader.is_alive() and items.empty():
                    break
        except KeyboardInterrupt:
            pass
        finally:
            left.set()
    if glance.lost:
        raise click.ClickException(glance.note)


def _arrived(items: queue.Queue[Item]) -> Iterator[Item]:
    """All that is there; waits half a second for the first."""
    try:
        yield items.get(timeout=0.5)
        while True:
            yield items.get_nowait()
    except queue.Empty:
        return


def _take(glance: Glance, item: Item) -> None:
    name, data = item
    if name in ("lost", "gone"):
        glance.note, glance.lost = data, True
    elif name == "note":
        glance.note = data
    else:
        glance.take(name, data)


@contextmanager
def _keys(left: threading.Event) -> Iterator[None]:
    """Within the block the key q sets `left`; without a keyboard nothing does."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    watcher = threading.Thread(target=_heed, args=(left,), name="rom-top-keys", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        watcher.join(timeout=2)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _heed(left: threading.Event) -> None:
    while not left.is_set():
        ready, _, _ = select.select([sys.stdin], [], [], _KEY_SECONDS)
        if ready:
            pressed = os.read(sys.stdin.fileno(), 64)
            if not pressed or b"q" in pressed.lower():
                left.set()


def _plain(encoding: str) -> bool:
    """Whether the terminal knows ASCII alone."""
    return "utf" not in encoding.lower()
