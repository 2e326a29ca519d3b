"""Trouble on purpose, one kind after another, while a run lasts; only for a server and an upstream of our own."""

from __future__ import annotations

from typing import Protocol

from rom_core.concurrency.clock import Clock
from rom_core.ops.load.recording import Disturbance, Recording, touches

# What the upstream is ordered to do, by name; "" is SIGTERM to the server, which is then started again.
FAULTS = {
    "throttling storm": "[[fault=429]]",
    "outage of the primary": "[[fault=503]][[model=sonnet-4-5]]",
    "hang": "[[fault=hang]]",
    "cut streams": "[[fault=cut]]",
    "SIGTERM": "",
}
_FIRST, _APART = 0.1, 0.17
_LASTS, _MOST_SECONDS = 0.05, 30.0
# After the first good answer others may still fail for the same reason.
_SETTLE_SECONDS = 10.0
# Turns that met a hang are held for the read timeout, and open circuits for half a minute.
_RECOVERY_SECONDS = 120.0


class Upstream(Protocol):
    """The local Bedrock, as far as needed here."""

    def set_always(self, behaviour: str | None) -> None:
        """What every request meets."""


class Restartable(Protocol):
    """A server of our own."""

    @property
    def running(self) -> bool:
        """Whether it lives."""

    def terminate(self) -> None:
        """SIGTERM."""

    def start(self) -> None:
        """Start again at the same address."""


class Chaos:
    """A `run.Disturber`: each of FAULTS once, the next only after the server has recovered from the last."""

    def __init__(self, upstream: Upstream, server: Restartable, clock: Clock) -> None:
        self._upstream = upstream
        self._server = server
        self._clock = clock
        self._todo = list(FAULTS)
        self._current: Disturbance | None = None
        self._active = False

    def step(self, recording: Recording) -> bool:
        """Begin or end what is due; whether the time is disturbed."""
        now = self._clock.time()
        current = self._current
        if current is None:
            done = len(FAULTS) - len(self._todo)
            if self._todo and now - recording.began >= (_FIRST + done * _APART) * recording.seconds:
                self._begin(recording, now)
            return self._current is not None
        if self._active:
            self._end_if_due(current, recording, now)
            return True
        if current.recovered is None:
            good = [turn for turn in recording.turns if turn.at >= current.ended and turn.status == "ok"]
            current.recovered = min((turn.at + turn.seconds for turn in good), default=None)
        _count(current, recording)
        if current.recovered is not None and now >= current.recovered + _SETTLE_SECONDS:
            self._current = None
        return self._current is not None

    def end(self, recording: Recording) -> None:
        """Undo what is on; what had no time to end or to recover is said to be cut short."""
        now = self._clock.time()
        self._upstream.set_always(None)
        if self._current is not None:
            if self._active:
                self._current.ended = now
            self._current.cut_short = self._current.recovered is None and now - self._current.ended < _RECOVERY_SECONDS
            _count(self._current, recording)
        recording.untried = list(self._todo)

    def _begin(self, recording: Recording, now: float) -> None:
        name = self._todo.pop(0)
        self._current, self._active = Disturbance(name, now, now), True
        recording.disturbances.append(self._current)
        if FAULTS[name]:
            self._upstream.set_always(FAULTS[name])
        else:
            self._server.terminate()

    def _end_if_due(self, current: Disturbance, recording: Recording, now: float) -> None:
        if not FAULTS[current.name]:
            if self._server.running:
                return
            self._server.start()
        elif now - current.began < min(_MOST_SECONDS, _LASTS * recording.seconds):
            return
        else:
            self._upstream.set_always(None)
        current.ended, self._active = self._clock.time(), False


def _count(one: Disturbance, recording: Recording) -> None:
    met = [turn for turn in recording.turns if touches(turn, one)]
    one.turns = len(met)
    one.failed = sum(turn.status in ("error", "rejected") for turn in met)
