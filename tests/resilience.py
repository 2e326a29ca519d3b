"""What the tests of retry, breaker and fallback share: a runtime with these plugins on a fake clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from support import NOWHERE, Recorder, ScriptedTransport, Step, make_runtime, make_turn

from plugins.breaker import Breaker
from plugins.fallback import Fallback
from plugins.retry import Retry
from rom_core.agent.model_call import Transport
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.clock import Clock, FakeClock
from rom_core.errors import ModelError, ModelServerError, RomError
from rom_core.events import CircuitClosed, CircuitHalfOpened, CircuitOpened, RetryDeclined
from rom_core.http.app import create_app
from rom_core.http.server.server import Server
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import Settings, load_settings
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

FIRST, SECOND, THIRD = "anthropic.first", "anthropic.second", "anthropic.third"
_PLUGINS = {"retry": Retry, "breaker": Breaker, "fallback": Fallback}


class Bench:
    """A runtime with some of the three plugins, in their order, and a recorder; its model plays `steps`.

    The plugins know the runtime, but nothing was started: there is no watchdog.
    """

    def __init__(
        self,
        *steps: Step,
        plugins: str = "",
        more: dict[str, Any] | None = None,
        clock: Clock | None = None,
        **values: Any,
    ) -> None:
        """`plugins` are names of ours in their order, `more` are others. Jitter is off unless RETRY_JITTER is given."""
        self.clock = clock or FakeClock()
        self.recorder = Recorder()
        self.plugins = {name: _PLUGINS[name]() for name in plugins.split()}
        self.runtime: Runtime
        self.transport: ScriptedTransport
        self.runtime, self.transport = make_runtime(
            *steps,
            plugins={"recorder": self.recorder, **self.plugins, **(more or {})},
            clock=self.clock,
            **({"PLUGINS": ["recorder", *self.plugins]} | jitter(plugins) | values),
        )
        for plugin in self.runtime.catalogue.plugins.values():
            plugin.call("rom_start", runtime=self.runtime)

    @property
    def models(self) -> list[str]:
        """The alias of every request on the wire, in order."""
        return [request["modelId"].removeprefix("global.").removesuffix("-v1:0") for request in self.transport.requests]


def jitter(plugins: str) -> dict[str, Any]:
    """The setting that switches jitter off, where it exists."""
    return {"RETRY_JITTER": 0} if "retry" in plugins else {}


def server_error() -> ModelServerError:
    """What a 500 becomes; a new one each time, since errors are marked on their way."""
    return ModelServerError("", kind="InternalServerException", http_status=500)


def run(bench: Bench, **request: Any) -> str:
    """Run a turn; the code of its error, or "ok"."""
    try:
        bench.runtime.run(make_turn(bench.runtime, **request))
    except RomError as error:
        return error.code
    return "ok"


def status(bench: Bench, model: str = FIRST) -> dict[str, Any]:
    """The model's part of the status."""
    found: dict[str, Any] = bench.runtime.current.pipeline.status()["breaker"]["models"][model]
    return found


def advance(bench: Bench, seconds: float) -> None:
    """Let time pass."""
    bench.clock.advance(seconds)  # type: ignore[attr-defined]


def circuit_events(bench: Bench) -> list[str]:
    """Transitions in order, with their reasons."""
    kinds = CircuitOpened | CircuitHalfOpened | CircuitClosed
    found = [event for event in bench.recorder.events if isinstance(event, kinds)]
    return [f"{event.name} {getattr(event, 'reason', '')}".strip() for event in found]


def fail(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
    """A server error."""
    raise server_error()


class Served(NamedTuple):
    """A server in this process, and what it was made of."""

    url: str
    settings: Settings
    runtime: Runtime


@contextmanager
def served(
    catalogue: Catalogue,
    bedrock_url: str,
    clock: Clock,
    *,
    around: Callable[[Transport], Transport] = lambda wire: wire,
    **values: Any,
) -> Iterator[Served]:
    """A server over real sockets, both ways, on this clock; `around` may stand between the loop and the wire."""
    given = {"BEDROCK_ENABLED": True, "PORT": 0, **values}
    environ = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    environ["ROM_ENV"] = "testing"
    settings = load_settings(catalogue.settings, catalogue.rules, root=NOWHERE, environ=environ)
    with ExitStack() as stack:
        wire = Wire(settings, clock, endpoint_url=bedrock_url)
        stack.callback(wire.close)
        runtime = Runtime(catalogue, settings, clock=clock, transport=around(wire))
        server = Server(create_app(runtime), runtime)
        runtime.start()
        stack.callback(runtime.stop)
        server.start()
        stack.callback(server.stop, 1)
        yield Served(server.url, settings, runtime)


def fails(*errors: ModelError, seconds: float = 0.0) -> Any:
    """A step that takes `seconds` and raises the errors one after another, the last one again and again."""
    left = list(errors)

    def play(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        clock = attempt.turn.clock
        assert isinstance(clock, FakeClock)
        clock.advance(seconds)
        raise left.pop(0) if len(left) > 1 else left[0]

    return play


def declined(recorder: Recorder) -> list[str]:
    """The reasons for which retries were not made, in order."""
    return [event.reason for event in recorder.events if isinstance(event, RetryDeclined)]
