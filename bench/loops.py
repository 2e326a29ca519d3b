"""A tool loop of 1, 12 and 50 iterations beside the minimal boto3 loop, and what plugins add to a turn."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from bench.harness import bedrock, process
from bench.plain import SYSTEM, loop, make_client
from plugins.prompt_caching import PromptCaching
from rom_core import hookspecs
from rom_core.agent.model_call import Transport
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.clock import SystemClock
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import load_settings
from rom_core.tools import Tool
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply, Usage

# How many turns of each length.
ITERATIONS = {1: 200, 12: 30, 50: 12}
PLUGINS = (0, 5, 10)
ROUNDS = 9
TURNS = 300
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
_TOOL = Tool("weather", "the weather of a city", _SCHEMA, lambda value, _context: f"sun in {value.get('city')}")


class Offers:
    """A plugin with one tool."""

    @hookimpl
    def rom_tools(self) -> list[Tool]:
        """The tool."""
        return [_TOOL]


class Wraps:
    """A plugin that wraps every hook point and does nothing."""

    @hookimpl(wrapper=True)
    def rom_turn(self) -> Any:
        """Nothing."""
        return (yield)

    @hookimpl(wrapper=True)
    def rom_iteration(self) -> Any:
        """Nothing."""
        return (yield)

    @hookimpl(wrapper=True)
    def rom_model_call(self) -> Any:
        """Nothing."""
        return (yield)

    @hookimpl(wrapper=True)
    def rom_model_attempt(self) -> Any:
        """Nothing."""
        return (yield)

    @hookimpl
    def rom_event(self) -> None:
        """Nothing."""


class Instant:
    """A model that answers at once."""

    def converse(self, attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        """The shortest answer."""
        attempt.usage = Usage(1, 1)
        attempt.text("ok")
        return ModelReply(({"text": "ok"},), "end_turn", attempt.model.alias, attempt.usage)


def runtime(plugins: dict[str, Any], transport: Transport | None = None, endpoint: str = "", **more: str) -> Runtime:
    """A runtime of these plugins alone, all on."""
    catalogue = Catalogue.of(hookspecs, **plugins)
    environ = {"BEDROCK_ENABLED": "true", "ROM_ENV": "testing", "SYSTEM_PROMPT": SYSTEM, **more}
    environ |= {plugin.switch: "true" for plugin in catalogue.plugins.values()}
    settings = load_settings(catalogue.settings, catalogue.rules, root=Path("/nonexistent"), environ=environ)
    clock = SystemClock()
    return Runtime(
        catalogue, settings, clock=clock, transport=transport or Wire(settings, clock, endpoint_url=endpoint)
    )


def ask(rom: Runtime, message: str) -> int:
    """One turn; its iterations."""
    request = ChatRequest(({"role": "user", "content": [{"text": message}]},), "c")
    return rom.run(rom.turn(request)).iterations


def main() -> None:
    """Print both tables."""
    arguments, url_of = bedrock()
    with process(arguments, url_of) as (endpoint, _):
        client = make_client(endpoint)
        rom = runtime({"offers": Offers()}, endpoint=endpoint)
        # With an advance that affords every point, so that all of its work is done.
        caching = runtime(
            {"offers": Offers(), "prompt_caching": PromptCaching()}, endpoint=endpoint, PROMPT_CACHING_ADVANCE_USD="100"
        )
        rom.start()
        caching.start()
        names = ("plain ms", "ROM ms", "ratio", "caching ms", "ratio")
        print(f"\n{'tool loop':14}" + "".join(f"{name:>12}" for name in names) + "   per model call")
        for iterations, rounds in ITERATIONS.items():
            message = f"[[tools={iterations}]] the weather of the city 'Recife'"
            taken: tuple[list[float], list[float], list[float]] = ([], [], [])
            for _ in range(rounds):
                began = time.perf_counter()
                _, calls = loop(client, message, [_TOOL.spec], lambda value: f"sun in {value.get('city')}")
                taken[0].append((time.perf_counter() - began) * 1000 / calls)
                for each, times in zip((rom, caching), taken[1:], strict=True):
                    began = time.perf_counter()
                    calls = ask(each, message)
                    times.append((time.perf_counter() - began) * 1000 / calls)
            plain, ours, cached = (statistics.median(times) for times in taken)
            print(f"{iterations:<14}{plain:10.2f}{ours:10.2f}{ours / plain:10.2f}{cached:12.2f}{cached / plain:10.2f}")
        rom.stop()
        caching.stop()
        client.close()
    _plugins()


def _plugins() -> None:
    """Taken in turns, as everything is, so that a slow moment of the machine meets all of them."""
    print(f"\n{'plugins':14}{'µs a turn':>10}{'more':>10}   that wrap every hook point and observe, model at once")
    runtimes = {count: runtime({f"p{number}": Wraps() for number in range(count)}, Instant()) for count in PLUGINS}
    times: dict[int, list[float]] = {count: [] for count in PLUGINS}
    for _ in range(ROUNDS):
        for count, rom in runtimes.items():
            began = time.perf_counter()
            for _ in range(TURNS):
                ask(rom, "?")
            times[count].append((time.perf_counter() - began) / TURNS * 1e6)
    medians = {count: statistics.median(taken) for count, taken in times.items()}
    for count, median in medians.items():
        print(f"{count:<14}{median:10.0f}{median - medians[0]:10.0f}")


if __name__ == "__main__":
    main()
