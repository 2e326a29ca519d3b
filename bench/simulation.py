"""Users and a failing upstream on one simulated clock: minutes pass in moments, and every run is the same.

The runtime, the loops and the plugins are the real ones; only the clock and what stands in the model's place are not.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rom_core.concurrency.clock import Waitable
from rom_core.errors import ModelServerError, ModelStreamTruncated, RomError
from rom_core.http.problems import retry_after
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply, Usage

_ANSWER = "the answer"
_REFUSAL_SECONDS = 0.05


class SimulatedClock:
    """A clock on which threads take turns: exactly one runs, and time jumps to when the next one wakes.

    Only `sleep` lets time pass; `wait`, for what another thread is to bring about, does not occur here.
    """

    def __init__(self, seed: int = 0) -> None:
        self._now = 0.0
        self._random = random.Random(seed)
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, threading.Semaphore]] = []

    def monotonic(self) -> float:
        """Simulated seconds since the start."""
        return self._now

    def time(self) -> float:
        """The same."""
        return self._now

    def uniform(self, low: float, high: float) -> float:
        """Seeded."""
        return self._random.uniform(low, high)

    def wait(self, event: Waitable, seconds: float) -> bool:  # noqa: ARG002 - as in Clock
        """Raises AssertionError: nothing simulated waits for another thread."""
        raise AssertionError("nobody waits here")

    def sleep(self, seconds: float, wake: threading.Event) -> bool:
        """Let the others run until `seconds` have passed; `wake` is looked at then."""
        mine = threading.Semaphore(0)
        heapq.heappush(self._sleepers, (self._now + max(0.0, seconds), next(self._order), mine))
        self._next()
        mine.acquire()
        return wake.is_set()

    def run(self, users: Sequence[Callable[[], None]]) -> None:
        """Run all of `users`, each in a thread of its own, until the last one has returned."""
        failures: list[BaseException] = []

        def live(user: Callable[[], None], start: threading.Semaphore) -> None:
            start.acquire()
            try:
                user()
            except Exception as error:  # noqa: BLE001 - raised again by `run`
                failures.append(error)
            finally:
                self._next()

        threads = []
        for user in users:
            start = threading.Semaphore(0)
            heapq.heappush(self._sleepers, (self._now, next(self._order), start))
            threads.append(threading.Thread(target=live, args=(user, start), daemon=True))
        for thread in threads:
            thread.start()
        self._next()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _next(self) -> None:
        if self._sleepers:
            self._now, _, sleeper = heapq.heappop(self._sleepers)
            sleeper.release()


@dataclass(frozen=True)
class Upstream:
    """Up for so many seconds, then down, and so on; down, every request is refused.

    `cuts`: answers under way break off when it goes down. `cut_share`: so many of the others break off half-way.
    """

    up: float = math.inf
    down: float = 0.0
    cuts: bool = False
    cut_share: float = 0.0

    def breaks_after(self, at: float, seconds: float, draw: float) -> float | None:
        """After how many of its `seconds` an answer asked for at `at` breaks off: 0 = refused, None = it does not.

        `draw` is a random number from 0 to 1.
        """
        phase = at % (self.up + self.down)
        if phase >= self.up:
            return 0.0
        if self.cuts and self.up - phase < seconds:
            return self.up - phase
        return seconds / 2 if draw < self.cut_share else None


class SimulatedModel:
    """Stands in the wire's place: answers last `seconds` (least, most)."""

    def __init__(
        self, clock: SimulatedClock, upstream: Upstream, *, primary: str, everywhere: bool, seconds: Any
    ) -> None:
        """`primary` is the model that fails; `everywhere`: the others do so too."""
        self._clock = clock
        self._upstream = upstream
        self._primary = primary
        self._everywhere = everywhere
        self._seconds = seconds
        self._never = threading.Event()
        self.requests = 0

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:  # noqa: ARG002 - as in Transport
        """One answer, or what becomes of it."""
        self.requests += 1
        clock = self._clock
        seconds = clock.uniform(*self._seconds)
        cut = self._upstream.breaks_after(clock.monotonic(), seconds, clock.uniform(0, 1))
        if not self._everywhere and attempt.model.alias != self._primary:
            cut = None
        if cut == 0:
            clock.sleep(_REFUSAL_SECONDS, self._never)
            raise ModelServerError("", kind="ServiceUnavailableException", http_status=503)
        if cut is not None:
            clock.sleep(cut / 2, self._never)
            attempt.began = True
            attempt.text("the ")
            clock.sleep(cut / 2, self._never)
            raise ModelStreamTruncated("", kind="stream_broken")
        clock.sleep(seconds, self._never)
        attempt.began = True
        attempt.text(_ANSWER)
        attempt.usage = Usage(10, 5)
        return ModelReply(({"text": _ANSWER},), "end_turn", attempt.model.alias, attempt.usage)


@dataclass
class Count:
    """What came of the questions of all users."""

    asked: int = 0
    answered: int = 0
    degraded: int = 0
    longest: float = 0.0
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Answered, of those asked."""
        return self.answered / self.asked


@dataclass(frozen=True)
class User:
    """Asks, reads for `pause` seconds, asks again; `obeys`: waits as long as a Retry-After says."""

    runtime: Runtime
    clock: SimulatedClock
    until: float
    pause: float
    obeys: bool
    streams: bool
    count: Count

    def __call__(self) -> None:
        """Ask until the time is over."""
        never = threading.Event()
        self.clock.sleep(self.clock.uniform(0, 4), never)
        while (began := self.clock.monotonic()) < self.until:
            pause = self.pause
            self.count.asked += 1
            turn = self.runtime.turn(
                ChatRequest(({"role": "user", "content": [{"text": "question"}]},), "conv", stream=self.streams),
                sink=(lambda *_: None) if self.streams else None,
            )
            try:
                self.count.degraded += self.runtime.run(turn).degraded
                self.count.answered += 1
            except RomError as error:
                self.count.codes[error.code] = self.count.codes.get(error.code, 0) + 1
                seconds = retry_after(error)
                if self.obeys and seconds is not None:
                    pause = max(pause, seconds)
            self.count.longest = max(self.count.longest, self.clock.monotonic() - began)
            self.clock.sleep(pause, never)
