"""`background` on POST /api/chat: a plugin takes the turn, and the answer is what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import falcon.testing
import support

from rom_core.background import BackgroundTurn
from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.turn import Turn

BODY = {"message": "oi", "background": True}


class Taker:
    """A plugin that takes every turn, or with `answer` None lets others do so."""

    def __init__(self, answer: str | None, calls: list[str | None]) -> None:
        self.answer = answer
        self.calls = calls
        self.followed: list[Callable[[], None]] = []

    @hookimpl
    def rom_background(self, turn: Turn) -> BackgroundTurn | None:
        """Take it."""
        self.calls.append(self.answer)
        assert (turn.request.background, turn.iterations) == (True, 0)

        def follow(_req: Any, release: Callable[[], None]) -> Iterable[bytes]:
            self.followed.append(release)
            return iter([b"data: 1\n\n"])

        return None if self.answer is None else BackgroundTurn({"run_id": self.answer}, follow)


def client(*answers: str | None) -> tuple[Any, list[str | None], list[Taker]]:
    """An app with the plugins `runs`, `a1`, `a2`, …, in this order; whom they were asked; the plugins."""
    calls: list[str | None] = []
    takers = [Taker(answer, calls) for answer in answers]
    names = ["runs", "a1", "a2"][: len(takers)]
    runtime, _ = support.make_runtime(plugins=dict(zip(names, takers, strict=True)), PLUGINS=names)
    return (falcon.testing.TestClient(create_app(runtime)), runtime), calls, takers


def test_the_first_plugin_that_takes_a_turn_answers_for_it() -> None:
    """In the order of PLUGINS; nobody is asked after it, nothing runs, and the place is free again."""
    (app, runtime), calls, _ = client(None, "run_1", "run_2")
    answer = app.simulate_post("/api/chat", json=BODY)
    assert (answer.status_code, answer.json) == (202, {"run_id": "run_1"})
    assert (calls, runtime.admitted, runtime.active_turns) == ([None, "run_1"], 0, 0)


def test_a_client_that_asks_for_a_stream_as_well_follows_it_in_its_place() -> None:
    """200 and the plugin's bytes; the place is held until the plugin gives it back."""
    (app, runtime), _, (taker,) = client("run_1")
    answer = app.simulate_post("/api/chat", json=BODY | {"stream": True})
    assert (answer.status_code, answer.content) == (200, b"data: 1\n\n")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert runtime.admitted == 1
    taker.followed[0]()
    assert runtime.admitted == 0


def test_a_turn_that_no_plugin_takes_is_refused() -> None:
    """404 plugin_disabled, and the place is free again."""
    (app, runtime), _, _ = client(None)
    answer = app.simulate_post("/api/chat", json=BODY)
    assert (answer.status_code, answer.json["code"], runtime.admitted) == (404, "plugin_disabled", 0)
