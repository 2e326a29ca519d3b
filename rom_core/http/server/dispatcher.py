"""Which request the next free thread serves: waitress's dispatcher, with an order instead of first come, first served.

Reads and admin calls go first, so that hundreds of chats on their way to a refusal do not delay a health check until
the orchestrator kills the process; and one chat after at most four of them, so that a flood of reads starves nobody.
Among requests of one kind that of the address goes first for which the fewest threads work. While nobody else waits
an address may have every thread, except that some are kept from chats. Few chats at a time are on their way to a place
or a refusal: that is work for the processor alone, of which more threads get no more done and take their share from
everybody else (measured with 200 clients: p99 of a health check 15 ms instead of 70 to 390). A request that stays as
long as its client, as a console does, takes no thread from the others: one more is started meanwhile.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Protocol

from waitress.task import ThreadedTaskDispatcher

READS_BEFORE_A_CHAT = 4
MAX_IN_ADMISSION = 2


class Task(Protocol):
    """What waitress hands over: a connection whose first request is complete."""

    @property
    def address(self) -> str:
        """The client's."""

    @property
    def has_priority(self) -> bool:
        """Whether the request is a read or an admin call."""

    @property
    def needs_admission(self) -> bool:
        """Whether it will be admitted (`Dispatcher.mark_admitted`) or refused before it does anything else."""

    def service(self) -> None:
        """Answer the request."""

    def cancel(self) -> None:
        """Close the connection without an answer."""


class Dispatcher(ThreadedTaskDispatcher):
    """Threads that serve requests; at most `chats` of them serve chats, which is whatever does not go first."""

    def __init__(self, chats: int) -> None:
        super().__init__()
        self._waiting = Waiting(chats)
        self._count = 0
        self._settling = threading.Lock()
        base: Any = self
        base.queue = self._waiting
        base.queue_cv = _IdleThreads(self.lock)

    def set_thread_count(self, count: int) -> None:
        """So many threads, and one more for each request that stays."""
        self._count = count
        self._settle()

    def mark_staying(self, task: Any) -> None:
        """The request of `task` stays for long; another thread serves the others meanwhile."""
        with self.lock:
            self._waiting.staying.add(task)
        self._settle()

    def _settle(self) -> None:
        # One at a time: whoever has looked at the count before the end of the server must not start a thread after it.
        with self._settling:
            super().set_thread_count(self._count and self._count + len(self._waiting.staying))

    def mark_admitted(self, task: Any) -> None:
        """The chat that `task` asks for has its place; the next one may come."""
        with self.lock:
            if self._waiting.mark_admitted(task):
                self.queue_cv.notify()

    def add_task(self, task: Any) -> None:
        """Have it served by the next thread that may take it."""
        with self.lock:
            self._waiting.append(_Service(task, self._waiting, self.lock, self._settle))
            # Threads that end a request look by themselves before they wait.
            if self._waiting:
                self.queue_cv.notify()

    @property
    def busy(self) -> bool:
        """Whether a request is being served or waits for a thread."""
        return bool(self._waiting.serving or len(self._waiting))

    @property
    def chats(self) -> int:
        """How many chats are being served."""
        return self._waiting.serving_chats

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """End the threads, wait for them at most `timeout` seconds, and cancel what none of them has taken."""
        with self.lock:
            self._waiting.unlimited()
        return bool(super().shutdown(cancel_pending, timeout))  # type: ignore[arg-type]


class _IdleThreads:
    """The condition on which waitress's threads wait for work; of those that wait, the last to come is woken first.

    Its stack and memory are still in the processor's cache. `threading.Condition` wakes the first, so that every thread
    serves in turn. PERF: 3 to 8 % of the processor time of a plain turn, measured with 32 threads and 1 and 6 clients.
    All calls are made under `lock`.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._waiting: list[threading.Lock] = []

    def wait(self) -> None:
        """Let go of the lock, and come back with it once woken."""
        asleep = threading.Lock()
        asleep.acquire()
        self._waiting.append(asleep)
        self._lock.release()
        try:
            asleep.acquire()
        finally:
            self._lock.acquire()

    def notify(self) -> None:
        """Wake one thread, if any waits."""
        if self._waiting:
            self._waiting.pop().release()

    def notify_all(self) -> None:
        """Wake every thread that waits."""
        while self._waiting:
            self.notify()


class _Service:
    """One request that waits for a thread, or is being served."""

    def __init__(self, task: Task, waiting: Waiting, lock: threading.Lock, settle: Callable[[], None]) -> None:
        self.task = task
        self.address = task.address
        self.chat = not task.has_priority
        self.needs_admission = self.chat and task.needs_admission
        self._waiting = waiting
        self._lock = lock
        self._settle = settle

    def service(self) -> None:
        """Called by a thread of the dispatcher."""
        try:
            self.task.service()
        finally:
            with self._lock:
                stayed = self._waiting.ended(self)
            if stayed:
                self._settle()

    def cancel(self) -> None:
        """Called by the dispatcher at its end, which holds the lock."""
        self._waiting.ended(self)
        self.task.cancel()


class Waiting:
    """The dispatcher's queue, and who is being served; every call is made under the dispatcher's lock.

    It is false while a free thread may take nothing of what waits: the dispatcher's threads look at that.
    """

    def __init__(self, chats: int) -> None:
        self._most_chats: float = chats
        self._max_in_admission: float = MAX_IN_ADMISSION
        self._reads: dict[str, deque[_Service]] = {}
        self._chats: dict[str, deque[_Service]] = {}
        self._overtaken = 0
        self._in_admission: dict[Task, None] = {}
        self._threads_of: Counter[str] = Counter()
        self.serving_chats = 0
        self.staying: set[Task] = set()

    @property
    def serving(self) -> int:
        """How many requests are being served."""
        return self._threads_of.total()

    def __len__(self) -> int:
        return sum(map(len, (*self._reads.values(), *self._chats.values())))

    def __bool__(self) -> bool:
        return bool(self._reads) or self._chat_may_run()

    def append(self, service: _Service) -> None:
        """One more waits."""
        lines = self._chats if service.chat else self._reads
        lines.setdefault(service.address, deque()).append(service)

    def popleft(self) -> _Service:
        """The next to be served, which counts as being served until it has `ended`."""
        chat = self._chat_may_run() and (not self._reads or self._overtaken >= READS_BEFORE_A_CHAT)
        self._overtaken = 0 if chat or not self._chats else self._overtaken + 1
        service = self._next(self._chats if chat else self._reads)
        self._threads_of[service.address] += 1
        self.serving_chats += service.chat
        if service.needs_admission:
            self._in_admission[service.task] = None
        return service

    def mark_admitted(self, task: Task) -> bool:
        """It has its place; whether a chat may run now that could not."""
        was_in_admission = task in self._in_admission
        self._in_admission.pop(task, None)
        return was_in_admission and self._chat_may_run()

    def ended(self, service: _Service) -> bool:
        """It is served no longer; whether it was one that stays."""
        self._in_admission.pop(service.task, None)
        self.serving_chats -= service.chat
        self._threads_of[service.address] -= 1
        if not self._threads_of[service.address]:
            del self._threads_of[service.address]
        stayed = service.task in self.staying
        self.staying.discard(service.task)
        return stayed

    def unlimited(self) -> None:
        """Hand out chats without limit, to be cancelled at the end."""
        self._most_chats = self._max_in_admission = float("inf")

    def _chat_may_run(self) -> bool:
        if self.serving_chats >= self._most_chats:
            return False
        return any(self._may_run(line[0]) for line in self._chats.values())

    def _may_run(self, service: _Service) -> bool:
        return not service.needs_admission or len(self._in_admission) < self._max_in_admission

    def _next(self, lines: dict[str, deque[_Service]]) -> _Service:
        # The first of those with the fewest threads; it goes to the end, so that equals take turns.
        addresses = [address for address, line in lines.items() if self._may_run(line[0])]
        address = min(addresses, key=self._threads_of.__getitem__)
        line = lines.pop(address)
        service = line.popleft()
        if line:
            lines[address] = line
        return service
