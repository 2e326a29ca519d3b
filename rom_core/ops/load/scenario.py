"""The users, played by Locust in its own process, since it patches the standard library on import.

`python -m locust -f` this file, with `scenario_orders` in the environment and the key in ROM_API_KEY. Each finished
turn is one line of JSON in the file that the orders name. A key that is refused ends the run with exit code REFUSED.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import IO, Any

from locust import User, events, task

from rom_core.ops.bearer import Bearer
from rom_core.ops.load.player import KeyRefused, Turn, perform
from rom_core.ops.load.plays import PROFILES, play
from rom_core.ops.load.scenario_orders import REFUSED, Orders
from rom_core.ops.requesting import DirectSession

_orders = Orders.of(os.environ)
_profile = PROFILES[_orders.profile]
_numbers = iter(range(1_000_000_000))


class Turns:
    """The file of finished turns."""

    def __init__(self) -> None:
        self._file: IO[str] | None = None

    def open(self) -> None:
        """Begin, or go on."""
        self._file = open(_orders.turns, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed by `close`

    def write(self, turn: Turn) -> None:
        """Keep one."""
        if self._file is not None:
            self._file.write(json.dumps(turn.as_dict(), ensure_ascii=False) + "\n")

    def close(self) -> None:
        """End."""
        if self._file is not None:
            self._file.close()
            self._file = None


_turns = Turns()


def _begin(**_: Any) -> None:
    _turns.open()


def _end(**_: Any) -> None:
    _turns.close()


events.test_start.add_listener(_begin)  # type: ignore[no-untyped-call]
events.quit.add_listener(_end)  # type: ignore[no-untyped-call]


class Person(User):
    """Somebody of the team: asks, reads, thinks, asks again."""

    def on_start(self) -> None:
        """A session and a source of chance of one's own."""
        self._number = next(_numbers)
        self._draw = random.Random(f"{_orders.seed}/{self._number}")  # noqa: S311 - a plan, not a secret
        self._session = DirectSession()
        self._session.auth = Bearer(os.environ.get("ROM_API_KEY", ""), "ROM_API_KEY")
        self._asked = 0

    def wait_time(self) -> float:
        """Think time."""
        return self._draw.uniform(*_profile.think)

    @task
    def ask(self) -> None:
        """One turn, to its end."""
        self._asked += 1
        name = f"{_orders.name}u{self._number}t{self._asked}"
        planned = play(
            self._draw,
            name,
            profile=_profile,
            stand_in=_orders.stand_in,
            faults=_orders.faults,
        )
        runner = self.environment.runner
        users = runner.user_count if runner is not None else 1
        began = time.monotonic()
        try:
            turn = perform(self._session, _orders.url, planned, users)
        except KeyRefused:
            self.environment.process_exit_code = REFUSED
            if runner is not None:
                runner.quit()
            return
        _turns.write(turn)
        self.environment.events.request.fire(
            request_type="turn",
            name=turn.kind,
            response_time=(time.monotonic() - began) * 1000,
            response_length=0,
            exception=None if turn.status in ("ok", "cancelled") else RuntimeError(turn.code),
            context={},
        )
