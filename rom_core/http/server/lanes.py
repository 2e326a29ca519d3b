"""The threads that serve HTTP, in two lanes: what operators and probes ask never stands behind chats.

waitress has one queue and gives every thread to whatever comes first; hundreds of chats on their way to a refusal
would then delay a health check until the orchestrator kills the process. Here reads and admin calls are taken first,
some threads take nothing else, and few chats at a time are on their way to a place or a refusal: that is work for the
processor alone, of which more threads get no more done and take their share from everybody else.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Container
from typing import Protocol

import structlog

logger = structlog.get_logger("rom.server")

_READS = ("GET", "HEAD", "OPTIONS")
_ADMIN = "/admin/"


class Task(Protocol):
    """What waitress hands over: a channel whose first request is complete."""

    requests: list[object]

    def service(self) -> None:
        """Answer that request."""

    def cancel(self) -> None:
        """Close the connection without an answer."""


class Lanes:
    """A task dispatcher for waitress (`create_server(_dispatcher=...)`) with `threads` threads.

    At most `chats` of them at the same time serve what is neither a read nor under /admin/. Of requests for one of the
    paths in `turns` at most `door` are served at the same time until they are let in.
    """

    def __init__(self, threads: int, chats: int, *, turns: Container[str] = (), door: int = 1) -> None:
        self._count = threads
        self._chats = chats
        self._turns = turns
        self._door = door
        self._at_door: set[Task] = set()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._ended = threading.Condition(self._lock)
        self._first: deque[Task] = deque()
        self._rest: deque[Task] = deque()
        self._serving = 0
        self._serving_chats = 0
        self._alive = 0
        self._stopped = False

    def start(self) -> None:
        """Start the threads; whatever came before waits for them."""
        self._alive = self._count
        for number in range(self._count):
            threading.Thread(target=self._run, name=f"rom-http-{number}", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether any request is being served or waits for a thread."""
        return bool(self._serving or self._first or self._rest)

    @property
    def chats(self) -> int:
        """How many requests are being served that are neither a read nor under /admin/."""
        return self._serving_chats

    def add_task(self, task: Task) -> None:
        """Have `task` served by the next thread that may take it."""
        with self._lock:
            (self._first if _goes_first(task) else self._rest).append(task)
            # One thread for each request that comes; those that end one look by themselves before they wait.
            if self._first or self._chat_may_run():
                self._work.notify()

    def let_in(self, task: Task) -> None:
        """The turn that `task` asks for has a place, so that the next one may come to the door."""
        with self._lock:
            if task in self._at_door:
                self._at_door.remove(task)
                if self._chat_may_run():
                    self._work.notify()

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Let the threads end, wait for them at most `timeout` seconds, cancel what none of them has taken.

        True if there was something to cancel.
        """
        until = time.monotonic() + timeout
        with self._lock:
            self._stopped = True
            self._work.notify_all()
            while self._alive and (left := until - time.monotonic()) > 0:
                self._ended.wait(left)
            alive, pending = self._alive, [*self._first, *self._rest] if cancel_pending else []
            if cancel_pending:
                self._first.clear()
                self._rest.clear()
        for task in pending:
            task.cancel()
        if alive or pending:
            logger.warning("http.cut_off", threads=alive, requests=len(pending))
        return bool(pending)

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            task, chat = taken
            try:
                task.service()
            except BaseException:
                logger.exception("http.task_failed")
            finally:
                with self._lock:
                    self._serving -= 1
                    self._serving_chats -= chat
                    self._at_door.discard(task)
        with self._lock:
            self._alive -= 1
            self._ended.notify_all()

    def _next(self) -> tuple[Task, bool] | None:
        with self._lock:
            while not self._stopped:
                chat = not self._first
                if chat and not self._chat_may_run():
                    self._work.wait()
                    continue
                task = (self._rest if chat else self._first).popleft()
                self._serving += 1
                self._serving_chats += chat
                if chat and self._asks_for_turn(task):
                    self._at_door.add(task)
                return task, chat
            return None

    def _chat_may_run(self) -> bool:
        if not self._rest or self._serving_chats >= self._chats:
            return False
        return len(self._at_door) < self._door or not self._asks_for_turn(self._rest[0])

    def _asks_for_turn(self, task: Task) -> bool:
        return getattr(task.requests[0], "path", "") in self._turns


def _goes_first(task: Task) -> bool:
    # A request that waitress could not parse has neither command nor path.
    request = task.requests[0]
    return getattr(request, "command", "") in _READS or getattr(request, "path", "").startswith(_ADMIN)
