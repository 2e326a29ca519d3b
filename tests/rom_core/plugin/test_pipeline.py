"""Catalogue and pipeline: order, isolation, refusal of what breaks the contract, and that off means off."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from support import Recorder, Toolkit, asks, failure, make_runtime, make_turn, says, tool

from rom_core import hookspecs
from rom_core.concurrency.bounded import finished_within
from rom_core.errors import InternalError, ModelThrottled
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import Setting

AROUND = ("rom_turn", "rom_iteration", "rom_model_call", "rom_model_attempt", "rom_model_send", "rom_tool_call")


class Layer:
    """Wraps every around hook and notes when it is entered and left."""

    def __init__(self, name: str, log: list[str]) -> None:
        self._name = name
        self._log = log

    def _around(self, hook: str) -> Any:
        self._log.append(f"{self._name}>{hook}")
        try:
            return (yield)
        finally:
            self._log.append(f"{hook}<{self._name}")

    @hookimpl(wrapper=True)
    def rom_turn(self, turn: Any) -> Any:
        return (yield from self._around("turn"))

    @hookimpl(wrapper=True)
    def rom_iteration(self, iteration: Any) -> Any:
        return (yield from self._around("iteration"))

    @hookimpl(wrapper=True)
    def rom_model_call(self, call: Any) -> Any:
        return (yield from self._around("call"))

    @hookimpl(wrapper=True)
    def rom_model_attempt(self, attempt: Any) -> Any:
        return (yield from self._around("attempt"))

    @hookimpl(wrapper=True)
    def rom_model_send(self, attempt: Any) -> Any:
        return (yield from self._around("send"))

    @hookimpl(wrapper=True)
    def rom_tool_call(self, tool_call: Any) -> Any:
        return (yield from self._around("tool"))


def test_the_list_reads_from_outermost_to_innermost() -> None:
    """PLUGINS fixes the nesting of every around hook; a plugin the list does not name stands innermost."""
    log: list[str] = []
    plugins: dict[str, Any] = {name: Layer(name, log) for name in ("unlisted", "inner", "outer")}
    runtime, _ = make_runtime(
        asks(("look", {})), says("ok"), plugins=plugins | {"kit": Toolkit(tool())}, PLUGINS=["outer", "inner"]
    )
    runtime.run(make_turn(runtime))
    nested = ["outer", "inner", "unlisted"]

    def enter(hook: str) -> list[str]:
        return [f"{name}>{hook}" for name in nested]

    def leave(hook: str) -> list[str]:
        return [f"{hook}<{name}" for name in reversed(nested)]

    sent = [*enter("send"), *leave("send")]
    model = [*enter("call"), *enter("attempt"), *sent, *leave("attempt"), *leave("call")]
    first = [*enter("iteration"), *model, *enter("tool"), *leave("tool"), *leave("iteration")]
    second = [*enter("iteration"), *model, *leave("iteration")]
    assert log == [*enter("turn"), *first, *second, *leave("turn")]


def test_the_whole_way_of_a_turn_in_events() -> None:
    """Events tell a turn with one tool in this order, each started one finished."""
    recorder = Recorder()
    runtime, _ = make_runtime(asks(("look", {})), says("ok"), plugins={"recorder": recorder, "kit": Toolkit(tool())})
    runtime.run(make_turn(runtime))
    attempt = ["model_call.started", "attempt.started", "attempt.finished", "model_call.finished"]
    assert recorder.names == [
        "turn.started",
        "iteration.started",
        *attempt,
        "tool.started",
        "tool.finished",
        "iteration.finished",
        "iteration.started",
        *attempt,
        "iteration.finished",
        "turn.finished",
    ]


def test_an_observer_that_raises_is_counted_and_breaks_nothing() -> None:
    """One observer's exception neither reaches the turn nor the observers behind it."""

    class Broken:
        @hookimpl
        def rom_event(self, event: Any) -> None:
            raise RuntimeError("observer")

        @hookimpl
        def rom_delta(self, text: str) -> None:
            raise RuntimeError("observer")

    recorder = Recorder()
    runtime, _ = make_runtime(says("ok"), plugins={"broken": Broken(), "recorder": recorder}, PLUGINS=["broken"])
    assert runtime.run(make_turn(runtime)).reply == "ok"
    assert recorder.names[-1] == "turn.finished"
    assert runtime.observer_errors == {("broken", "rom_event"): len(recorder.names), ("broken", "rom_delta"): 1}


def test_a_wrapper_that_raises_fails_the_turn_in_a_defined_way() -> None:
    """What is no observer fails closed: an unforeseen exception becomes 500 internal_error."""

    class Broken:
        @hookimpl(wrapper=True)
        def rom_iteration(self) -> Any:
            raise RuntimeError("guard")
            yield

    runtime, transport = make_runtime(says("ok"), plugins={"broken": Broken()})
    with pytest.raises(InternalError):
        runtime.run(make_turn(runtime))
    assert transport.requests == []


def test_deltas_are_seen_piece_by_piece_or_whole() -> None:
    """`rom_delta` gets every piece of a streamed answer, and the whole text of another."""

    class Ears:
        def __init__(self) -> None:
            self.heard: list[str] = []

        @hookimpl
        def rom_delta(self, text: str) -> None:
            self.heard.append(text)

    for sink, expected in ((None, ["one two"]), (lambda *_: None, ["one", " two"])):
        ears = Ears()
        runtime, _ = make_runtime(says("one two"), plugins={"ears": ears})
        runtime.run(make_turn(runtime, sink=sink))
        assert ears.heard == expected


def test_lists_may_be_yielded() -> None:
    """Settings and tools are gone through one by one, so a generator gives them as well as a list."""

    class Giver:
        @hookimpl
        def rom_settings(self) -> Any:
            yield Setting("GIVER_ENABLED", bool, True, "x", switch=True)

        @hookimpl
        def rom_tools(self) -> Any:
            yield tool()

    runtime, _ = make_runtime(plugins={"giver": Giver()})
    assert runtime.current.tools.names == (tool().name,)


@pytest.mark.parametrize(
    ("hook", "step", "kind"),
    [
        ("rom_turn", says("ok"), "TurnResult"),
        ("rom_iteration", says("ok"), "IterationResult"),
        ("rom_model_call", says("ok"), "ModelReply"),
        ("rom_model_attempt", says("ok"), "ModelReply"),
        ("rom_model_send", says("ok"), "ModelReply"),
        ("rom_model_failed", failure(ModelThrottled, kind="ThrottlingException"), "TryAgain or None"),
        ("rom_tools_requested", asks(("search", {})), "StopLoop or None"),
    ],
)
def test_a_wrong_answer_is_told_by_the_name_of_its_hook(hook: str, step: Any, kind: str) -> None:
    """A wrapper that forgets to return, an answer of a wrong type: the log says which hook gave it."""

    class Wrong:
        pass

    def forgets() -> Any:
        yield

    setattr(Wrong, hook, staticmethod(hookimpl(wrapper=True)(forgets) if hook in AROUND else hookimpl(lambda: "yes")))
    runtime, _ = make_runtime(step, plugins={"wrong": Wrong(), "tools": Toolkit(tool())})
    with pytest.raises(InternalError) as caught:
        runtime.run(make_turn(runtime))
    assert re.match(f"{hook} gave (NoneType|str); it must return a {kind}", str(caught.value.__cause__))


def test_a_plugin_that_does_not_stop_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """One plugin that hangs keeps neither the process nor what the other plugins have to save."""

    def briefly(seconds: float, call: Callable[[], None], *, name: str) -> bool:
        del seconds
        return finished_within(0.01 if name == "rom-stop-hangs" else 60.0, call, name=name)

    monkeypatch.setattr("rom_core.runtime.finished_within", briefly)
    release, stopped = threading.Event(), []

    class Hangs:
        @hookimpl
        def rom_stop(self) -> None:
            release.wait(60)

    class Raises:
        @hookimpl
        def rom_stop(self) -> None:
            raise SystemExit(1)

    class Fine:
        @hookimpl
        def rom_stop(self) -> None:
            stopped.append(True)

    runtime, _ = make_runtime(plugins={"hangs": Hangs(), "raises": Raises(), "tidy": Fine()})
    with capture_logs() as lines:
        runtime.stop()
    release.set()
    assert stopped == [True]
    assert [(line["event"], line["plugin"]) for line in lines] == [
        ("plugin.stop_overdue", "hangs"),
        ("plugin.stop_failed", "raises"),
    ]


def test_the_built_in_plugins_are_found_by_entry_point() -> None:
    """setup.cfg registers the built-in plugins in the same group as everybody else's."""
    assert "legal_tools" in Catalogue.installed(hookspecs).plugins


@pytest.mark.parametrize("off", [True, False])
def test_a_plugin_that_is_off_is_not_called(off: bool) -> None:
    """Switching a plugin off removes it from the pipeline entirely."""
    recorder = Recorder()
    runtime, _ = make_runtime(plugins={"recorder": recorder}, RECORDER_ENABLED=not off)
    runtime.run(make_turn(runtime))
    assert bool(recorder.names) is not off


def test_status_of_one_plugin_does_not_hide_the_others() -> None:
    """A plugin whose status raises, or cannot be sent, shows its error in its place."""

    class Fine:
        @hookimpl
        def rom_status(self) -> dict[str, Any]:
            return {"fine": True}

    class Broken:
        @hookimpl
        def rom_status(self) -> dict[str, Any]:
            raise ValueError("no")

    class NoJson:
        @hookimpl
        def rom_status(self) -> dict[str, Any]:
            return {"seen": {1, 2}}

    runtime, _ = make_runtime(plugins={"fine": Fine(), "broken": Broken(), "no_json": NoJson()})
    assert runtime.current.pipeline.status() == {
        "broken": {"error": "ValueError: no"},
        "fine": {"fine": True},
        "no_json": {"error": "TypeError: Object of type set is not JSON serializable"},
    }


EXPECTED_HOOKS: dict[str, tuple[str, ...]] = {
    "rom_settings": (),
    "rom_tools": (),
    "rom_tables": (),
    "rom_erase": ("connection", "erasure"),
    "rom_routes": ("app", "runtime"),
    "rom_start": ("runtime",),
    "rom_collectors": (),
    "rom_stop": ("runtime",),
    "rom_status": (),
    "rom_admit": ("route", "key_name"),
    "rom_file": ("file_id", "key_name"),
    "rom_background": ("turn",),
    "rom_turn": ("turn",),
    "rom_iteration": ("iteration",),
    "rom_model_call": ("call",),
    "rom_model_attempt": ("attempt",),
    "rom_model_request": ("attempt", "request"),
    "rom_cache_points": ("attempt", "request"),
    "rom_model_send": ("attempt",),
    "rom_text": ("turn",),
    "rom_delta": ("turn", "text"),
    "rom_model_failed": ("call", "attempt", "error"),
    "rom_tools_requested": ("iteration", "tool_uses"),
    "rom_tool_call": ("tool_call",),
    "rom_event": ("event",),
}


def test_the_hook_signatures_are_a_contract() -> None:
    """Names and arguments of the hooks change only by a deliberate edit of this list."""
    specs: dict[str, Callable[..., Any]] = {n: f for n, f in vars(hookspecs).items() if n.startswith("rom_")}
    found = {name: spec.__code__.co_varnames[: spec.__code__.co_argcount] for name, spec in specs.items()}
    assert found == EXPECTED_HOOKS


def test_every_hook_says_when_what_and_how() -> None:
    """Each specification states its kind, when it is called, what an exception does, and shows an example."""
    for name in EXPECTED_HOOKS:
        doc = getattr(hookspecs, name).__doc__ or ""
        for part in ("Kind:", "Called ", "@hookimpl", f"def {name}("):
            assert part in doc, (name, part)
        assert "xception" in doc or "isolated" in doc, name


def test_a_hook_may_be_any_marked_callable() -> None:
    """A module, a static method or a lambda carries hooks as a method does."""
    seen: list[str] = []

    class Odd:
        rom_event = staticmethod(hookimpl(lambda event: seen.append(event.name)))

    runtime, _ = make_runtime(says("ok"), plugins={"odd": Odd()})
    runtime.run(make_turn(runtime))
    assert seen[-1] == "turn.finished"
