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
        self._now: Disturbance | None = None
        self._on = False

    def step(self, recording: Recording) -> bool:
        """Begin or end what is due; whether the time is disturbed."""
        now = self._clock.time()
        one = self._now
        if one is None:
            done = len(FAULTS) - len(self._todo)
            if self._todo and now - recording.began >= (_FIRST + done * _APART) * recording.seconds:
                self._begin(recording, now)
            return self._now is not None
        if self._on:
            self._go_on(one, recording, now)
            return True
        if one.recovered is None:
            good = [turn for turn in recording.turns if turn.at >= one.ended and turn.status == "ok"]
            one.recovered = min((turn.at + turn.seconds for turn in good), default=None)
        _count(one, recording)
        if one.recovered is not None and now >= one.recovered + _SETTLE_SECONDS:
            self._now = None
        return self._now is not None

    def end(self, recording: Recording) -> None:
        """Undo what is on; what had no time to end or to recover is said to be cut short."""
        now = self._clock.time()
        self._upstream.set_always(None)
        if self._now is not None:
            if self._on:
                self._now.ended = now
            self._now.cut_short = self._now.recovered is None and now - self._now.ended < _RECOVERY_SECONDS
            _count(self._now, recording)
        recording.untried = list(self._todo)

    def _begin(self, recording: Recording, now: float) -> None:
        name = self._todo.pop(0)
        self._now, self._on = Disturbance(name, now, now), True
        recording.disturbances.append(self._now)
        if FAULTS[name]:
            self._upstream.set_always(FAULTS[name])
        else:
            self._server.terminate()

    def _go_on(self, one: Disturbance, recording: Recording, now: float) -> None:
        if not FAULTS[one.name]:
            if self._server.running:
                return
            self._server.start()
        elif now - one.began < min(_MOST_SECONDS, _LASTS * recording.seconds):
            return
        else:
            self._upstream.set_always(None)
        one.ended, self._on = self._clock.time(), False


def _count(one: Disturbance, recording: Recording) -> None:
    met = [turn for turn in recording.turns if touches(turn, one)]
    one.turns = len(met)
    one.failed = sum(turn.status in ("error", "rejected") for turn in met)
