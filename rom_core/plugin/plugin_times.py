"""How long plugins take: a stopwatch around every hook implementation of a pipeline, while PLUGIN_TIMES is on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

import pluggy

Add = Callable[[float], None]


class PluginTimes:
    """Seconds by (plugin, hook), of all pipelines of a process. Thread-safe."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        """`now` reads a clock in seconds; the machine's own, since it is the machine's work that is measured."""
        self._now = now
        self._seconds: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def items(self) -> list[tuple[tuple[str, str], float]]:
        """What was measured so far."""
        with self._lock:
            return list(self._seconds.items())

    def measure(self, manager: pluggy.PluginManager, name: str) -> None:
        """Measure every hook of the plugin registered as `name`.

        A wrapper's time is its own: what happens inside of it, from `yield` on, is not counted.
        """
        for caller in manager.get_hookcallers(manager.get_plugin(name)) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin_name == name:
                    measured = self._wrapper if impl.wrapper else self._plain
                    # Typed as final by pluggy, which copies it from the plugin when that is registered.
                    object.__setattr__(impl, "function", measured(impl.function, self._adder(name, caller.name)))

    def _adder(self, plugin: str, hook: str) -> Add:
        def add(began: float) -> None:
            spent = self._now() - began
            with self._lock:
                self._seconds[plugin, hook] += spent  # type: ignore[assignment]

        return add

    def _plain(self, function: Callable[..., Any], add: Add) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = self._now()
            try:
                return function(*arguments)
            finally:
                add(began)

        return call

    def _wrapper(self, function: Callable[..., Any], add: Add) -> Callable[..., Any]:
        def call(*arguments: Any) -> Generator[Any, Any, Any]:
            inner: Generator[Any, Any, Any] = function(*arguments)
            began = self._now()
            try:
                next(inner)
            finally:
                add(began)
            try:
                result = yield
            except BaseException as error:  # noqa: BLE001 - handed to the wrapper that is measured
                raised: BaseException | None = error
            else:
                raised = None
            began = self._now()
            try:
                inner.send(result) if raised is None else inner.throw(raised)
            except StopIteration as stop:
                return stop.value
            finally:
                add(began)
            inner.close()
            raise RuntimeError("a hook wrapper has to yield exactly once")

        return call
