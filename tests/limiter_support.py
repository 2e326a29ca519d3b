"""What tests of the limiter share: turns in threads, each of which ends when the test lets it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from support import Recorder, make_runtime, make_settings, make_turn, says
from waiting import until as until

from plugins.limiter import Limiter
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import RomError
from rom_core.settings import Settings
from rom_core.turn import Attempt, Turn
from rom_core.turn_values import ModelReply, TurnResult


class Crowd:
    """A runtime whose model answers a turn when the test lets it: turns are known by their message."""

    def __init__(self, *, clock: Any = None, extra: dict[str, Any] | None = None, **settings: Any) -> None:
        self.clock = clock or FakeClock()
        self.recorder = Recorder()
        self.limiter = Limiter()
        self.inside: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.turns: dict[str, Turn] = {}
        self.gone: set[str] = set()
        self.outcomes: dict[str, TurnResult | RomError] = {}
        self._threads: list[threading.Thread] = []
        plugins = {"limiter": self.limiter, "recorder": self.recorder} | (extra or {})
        self.values: dict[str, Any] = {"BOTTLENECK_LIMITER_ENABLED": True, "MEMORY_LIMIT_MB": 1 << 20} | settings
        self.runtime, _ = make_runtime(self._answer, plugins=plugins, clock=self.clock, **self.values)
        self.runtime.start()

    def come(self, *names: str, **request: Any) -> None:
        """Start a turn for each name, one after the other."""
        for name in names:
            self.gates[name] = threading.Event()
            turn = self.turns[name] = make_turn(self.runtime, name, **request)
            thread = threading.Thread(target=self._run, args=(name, turn))
            self._threads.append(thread)
            before = self.settled
            thread.start()
            assert until(partial(self._moved_on, before, name, thread)), f"{name} neither runs, waits nor was refused"

    @property
    def settled(self) -> int:
        """How many turns have found out what becomes of them at first."""
        # Asked under its lock: who comes while others wait is in line for a moment, even if it may run at once.
        waiting: int = self.status("waiting")
        refused = sum(isinstance(outcome, RomError) for outcome in self.outcomes.values())
        return len(self.inside) + waiting + refused

    def _moved_on(self, before: int, name: str, thread: threading.Thread) -> bool:
        # Who is in line has yet to look at the clock and to wait by it: time that passes before would be lost to it.
        waits = not isinstance(self.clock, FakeClock) or thread.ident in self.clock.waiting
        return self.settled > before and (waits or name in self.inside or name in self.outcomes)

    def finish(self, *names: str) -> None:
        """Let these turns have their answer, and wait until they have ended."""
        for name in names:
            self.gates[name].set()
            self.code(name)

    def change(self, **settings: Any) -> None:
        """New settings come into force."""
        self.values |= settings
        self.runtime.swap(dataclasses.replace(self.runtime.current, settings=self.settings()))

    def settings(self, **other: Any) -> Settings:
        """The settings in force, or with these beside them."""
        return make_settings(self.runtime.catalogue, **(self.values | other))

    def code(self, name: str) -> str:
        """How the turn ended: "ok" or the code of its error, once it has."""
        assert until(lambda: name in self.outcomes), f"{name} did not end"
        outcome = self.outcomes[name]
        return outcome.code if isinstance(outcome, RomError) else "ok"

    def error(self, name: str) -> RomError:
        """The error a turn ended with."""
        self.code(name)
        outcome = self.outcomes[name]
        assert isinstance(outcome, RomError)
        return outcome

    def status(self, name: str) -> Any:
        """One number of the plugin's status."""
        return self.limiter.rom_status()[name]

    def close(self) -> None:
        """Let everybody out; no slot may be left taken."""
        for gate in self.gates.values():
            gate.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        self.runtime.stop()
        assert (self.status("running"), self.status("waiting")) == (0, 0)

    def _run(self, name: str, turn: Turn) -> None:
        try:
            self.outcomes[name] = self.runtime.run(turn, lambda: name in self.gone)
        except RomError as error:
            self.outcomes[name] = error

    def _answer(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        name = attempt.turn.request.messages[0]["content"][0]["text"]
        self.inside.append(name)
        assert self.gates[name].wait(100)
        return says("done")


Make = Callable[..., Crowd]
SIX = tuple(f"r{n}" for n in range(6))
TEN = tuple(f"w{n}" for n in range(10))
