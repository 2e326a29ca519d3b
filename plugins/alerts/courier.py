"""Bringing messages to a webhook: in a thread of its own, bounded, retried, and never in anybody's way."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

import structlog

from plugins.alerts.messages import Message
from rom_core.concurrency.clock import Clock

logger = structlog.get_logger("rom.alerts")
MAX_WAITING = 100
BACKOFF_SECONDS = (1.0, 2.0, 4.0)
MAX_RETRY_AFTER_SECONDS = 30.0
TIMEOUT_SECONDS = (3.05, 5.0)
FLUSH_SECONDS = 2.0


class Courier:
    """Delivers messages one after the other.

    `url` is asked before each try, unless the message names its own: empty drops the message. `done` is told how each
    one ended: delivered, failed, dropped.
    """

    def __init__(
        self,
        clock: Clock,
        url: Callable[[], str],
        origin: Callable[[], str],
        done: Callable[[Message, str], None],
    ) -> None:
        self._clock = clock
        self._url = url
        self._origin = origin
        self._done = done
        self._waiting: queue.Queue[Message | None] = queue.Queue(MAX_WAITING)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._under_way: Message | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="rom-alerts", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread: what waits gets one more try each, for two seconds in all, and is then dropped.

        A webhook that hangs is not waited for: what it keeps the thread from delivering is said here to be lost.
        """
        self._stopped.set()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join(timeout=FLUSH_SECONDS + 1)
        if self._thread.is_alive():
            self._give_up()

    @property
    def waiting(self) -> int:
        """Messages that are not yet under way."""
        return self._waiting.qsize()

    def send(self, message: Message, *, first: bool = False) -> None:
        """Take a message, without waiting; it is dropped if too many wait already, or with `first` the oldest is."""
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            if not first:
                self._end(message, "dropped")
                return
            with contextlib.suppress(queue.Empty):
                if (oldest := self._waiting.get_nowait()) is not None:
                    self._end(oldest, "dropped")
            self.send(message)

    def _run(self) -> None:
        while not self._stopped.is_set():
            message = self._waiting.get()
            try:
                if message is not None:
                    self._deliver_once(message)
            except Exception:
                logger.exception("alert.courier_failed")
        self._flush()

    def deliver(self, message: Message) -> str:
        """Try, and try again after 1, 2 and 4 s or what the webhook asks for (at most 30 s), while that may help."""
        for backoff in (*BACKOFF_SECONDS, None):
            url = message.to or self._url()
            if not url:
                return "dropped"
            delivered, retry_after = self._post(url, message)
            if delivered:
                return "delivered"
            if retry_after is None or backoff is None or self._stopped.is_set():
                return "failed"
            self._clock.sleep(max(backoff, min(retry_after, MAX_RETRY_AFTER_SECONDS)), self._stopped)
        return "failed"

    def _post(self, url: str, message: Message) -> tuple[bool, float | None]:
        """Whether it was taken; if not, the seconds the webhook asks for, None where another try is useless."""
        import requests

        from rom_core.ops.requesting import DirectSession

        try:
            with (
                DirectSession() as session,
                session.post(url, json=message.payload(self._origin()), timeout=TIMEOUT_SECONDS, stream=True) as answer,
            ):
                status, wait = answer.status_code, answer.headers.get("Retry-After", "")
        except requests.RequestException as error:
            # Its text holds the URL, and the URL is the secret.
            logger.warning("alert.not_delivered", about=message.about, reason=type(error).__name__)
            return False, 0.0
        if 200 <= status < 300:
            return True, None
        logger.warning("alert.not_delivered", about=message.about, http_status=status)
        if status != 429 and status < 500:
            return False, None
        return False, float(wait) if wait.isdecimal() else 0.0

    def _flush(self) -> None:
        until = self._clock.monotonic() + FLUSH_SECONDS
        while True:
            try:
                message = self._waiting.get_nowait()
            except queue.Empty:
                return
            if message is not None:
                if self._clock.monotonic() < until:
                    self._deliver_once(message)
                else:
                    self._end(message, "dropped")

    def _deliver_once(self, message: Message) -> None:
        """Deliver a message and tell how that ended, unless stop() could not wait and has told it already."""
        with self._lock:
            self._under_way = message
        outcome = self.deliver(message)
        with self._lock:
            self._under_way = None
            if self._given_up:
                return
        self._end(message, outcome)

    def _give_up(self) -> None:
        with self._lock:
            self._given_up = True
            under_way = self._under_way
        if under_way is not None:
            self._end(under_way, "failed")
        with contextlib.suppress(queue.Empty):
            while True:
                if (message := self._waiting.get_nowait()) is not None:
                    self._end(message, "dropped")

    def _end(self, message: Message, outcome: str) -> None:
        if outcome != "delivered":
            logger.error("alert.lost", about=message.about, title=message.title, outcome=outcome)
        self._done(message, outcome)
