"""What the tests of retry, breaker and fallback share: a runtime with these plugins on a fake clock."""

from __future__ import annotations

from typing import Any

from support import Recorder, ScriptedTransport, Step, make_runtime

from plugins.breaker import Breaker
from plugins.fallback import Fallback
from plugins.retry import Retry
from rom_core.clock import Clock, FakeClock
from rom_core.errors import ModelServerError
from rom_core.runtime import Runtime

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
