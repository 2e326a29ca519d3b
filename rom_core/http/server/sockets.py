"""The loop over the server's sockets, with the kernel keeping what is waited for from one round to the next.

waitress asks every connection each time round whether it wants to read or to write, and a round is made for almost
every request. Measured, a plain request: 85 µs alone, 175 µs beside 200 idle connections and 595 µs beside 1,000, where
here they cost nothing; and waitress's loop spins while a thread writes. Here only those are asked to which something
may have happened, and all of them once a second.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore

# waitress looks at least so often, whatever happens: some of its changes wake nobody.
LOOK_AT_ALL_SECONDS = 1.0
SOON_SECONDS = 0.002
# On Linux poll's names have the numbers of epoll's, and waitress reads the events by them.
_READ = select.POLLIN | select.POLLPRI


class Sockets:
    """What the loop waits for. `changed`, `busy` and `idle` may be called from any thread.

    Only where there is epoll (`available`), which is Linux; elsewhere waitress's own loop has to do.
    """

    available = hasattr(select, "epoll")

    def __init__(self, sockets: dict[int, Any]) -> None:
        """`sockets` is waitress's map of descriptors to whoever takes their events; the loop ends when it is empty."""
        self._sockets = sockets
        self._known: dict[int, tuple[Any, int]] = {}
        self._changed: deque[Any] = deque()
        # By thread: the next request of a connection may begin in one before the last has quite ended in another.
        self._busy: dict[int, Any] = {}
        self._unclear = False
        self.now: Callable[[], float] = time.monotonic

    def changed(self, channel: Any) -> None:
        """A connection may want something else than before; the next round will see."""
        if self.available:
            self._changed.append(channel)

    def busy(self, channel: Any) -> None:
        """The calling thread works for this connection, which is asked in every round, until `idle`."""
        self._busy[threading.get_ident()] = channel

    def idle(self, channel: Any) -> None:
        """The calling thread has done."""
        self._busy.pop(threading.get_ident(), None)
        self.changed(channel)

    def look_soon(self, channel: Any) -> None:
        """Whether this connection wants to write cannot be told just now: the next round comes soon and asks again."""
        self._changed.append(channel)
        self._unclear = True

    def run(self, always: Iterable[Any]) -> None:
        """Wait for events and hand them out until no socket is left; those in `always` are asked in every round."""
        look_at_all = 0.0
        with select.epoll() as kernel:
            while self._sockets:
                now = self.now()
                if now >= look_at_all:
                    look_at_all = now + LOOK_AT_ALL_SECONDS
                    fds = {*self._known, *self._sockets}
                else:
                    fds = {one._fileno for one in (*always, *list(self._busy.values()), *self._taken())}
                self._tell(kernel, fds)
                timeout = SOON_SECONDS if self._changed else max(0.0, look_at_all - self.now())
                events = kernel.poll(timeout)
                # Whose events they are, before any of them is handled: that may close one and open another connection
                # under the same number.
                owners = [self._sockets.get(fd) for fd, _ in events]
                for owner, (fd, happened) in zip(owners, events, strict=True):
                    if owner is None:
                        # Closed by another thread while the kernel was being told of it, and somebody else's by now.
                        with contextlib.suppress(OSError):
                            kernel.unregister(fd)
                        continue
                    if self._sockets.get(fd) is not owner:
                        continue
                    wasyncore.readwrite(owner, happened)  # type: ignore[arg-type]
                self._tell(kernel, [fd for fd, _ in events])

    def _taken(self) -> list[Any]:
        return [self._changed.popleft() for _ in range(len(self._changed))]

    def _tell(self, kernel: select.epoll, fds: Iterable[int | None]) -> None:
        """Have the kernel wait for what these want now."""
        for fd in fds:
            if fd is None:
                continue
            channel, (whose, before) = self._sockets.get(fd), self._known.get(fd, (None, 0))
            if whose is not channel:
                # That one is closed, and so the kernel has forgotten it too.
                self._known.pop(fd, None)
                before = 0
            self._unclear = False
            wanted = 0 if channel is None else _wanted(channel)
            if self._unclear:
                wanted = before & _READ
            if wanted == before:
                continue
            try:
                if not before:
                    kernel.register(fd, wanted)
                elif wanted:
                    kernel.modify(fd, wanted)
                else:
                    kernel.unregister(fd)
            except OSError:
                # Closed this very moment by the thread that works for it.
                self._known.pop(fd, None)
            else:
                self._known[fd] = channel, wanted


def _wanted(channel: Any) -> int:
    # A listening socket is never asked whether it would write.
    write = channel.writable() and not channel.accepting
    return (_READ if channel.readable() else 0) | (select.POLLOUT if write else 0)
