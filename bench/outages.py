"""What retry, breaker and fallback make of an upstream that fails, in simulated time: `python -m bench outages`.

`--write` puts the table into docs/resilience.md, where a test compares it: every run gives the same figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.simulation import Count, SimulatedClock, SimulatedModel, Upstream, User
from plugins.breaker import Breaker
from plugins.fallback import Fallback
from plugins.retry import Retry
from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import load_settings

DOCS = Path(__file__).parents[1] / "docs" / "resilience.md"
BEGIN, END = "<!-- simulated outages: begin -->\n", "<!-- simulated outages: end -->\n"
_NOWHERE = Path("/nonexistent")
_PLUGINS = ["retry", "breaker", "fallback"]
_ON: dict[str, Any] = {
    "PLUGINS": _PLUGINS,
    "RETRY_ENABLED": True,
    "CIRCUIT_BREAKER_ENABLED": True,
    "FALLBACK_ENABLED": True,
}


class Outcome(NamedTuple):
    """What came of the questions, the requests on the wire, and the circuit of every model of the chain at the end."""

    questions: Count
    requests: int
    circuits: Mapping[str, str]


def simulate(
    upstream: Upstream,
    *,
    users: int = 5,
    minutes: float = 5,
    pause: float = 1.0,
    seconds: tuple[float, float] = (0.5, 1.5),
    obeys: bool = True,
    streams: bool = False,
    everywhere: bool = True,
    seed: int = 0,
    **values: Any,
) -> Outcome:
    """`pause` is what a user reads, `seconds` the least and most that an answer lasts; `values` are other settings.

    `obeys`: clients wait as long as a Retry-After says. `everywhere`: the upstream of all models fails, not only that
    of the first one.
    """
    clock = SimulatedClock(seed)
    catalogue = Catalogue.of(hookspecs, retry=Retry(), breaker=Breaker(), fallback=Fallback())
    given = {"BEDROCK_ENABLED": True, **_ON, **values}
    environ = {name: json.dumps(value) for name, value in given.items()} | {"ROM_ENV": "testing"}
    settings = load_settings(catalogue.settings, catalogue.rules, root=_NOWHERE, environ=environ)
    model = SimulatedModel(clock, upstream, primary=settings.MODEL_PRIMARY, everywhere=everywhere, seconds=seconds)
    runtime = Runtime(catalogue, settings, clock=clock, transport=model)
    for plugin in catalogue.plugins.values():
        plugin.call("rom_start", runtime=runtime)
    count = Count()
    clock.run([User(runtime, clock, minutes * 60, pause, obeys, streams, count)] * users)
    models = runtime.current.pipeline.status("breaker").get("breaker", {}).get("models", {})
    chain = (settings.MODEL_PRIMARY, *settings.MODEL_FALLBACKS)
    return Outcome(count, model.requests, {alias: models[alias]["state"] for alias in chain if alias in models})


class Scenario(NamedTuple):
    """A row of the table: `name`, what is not as by default, and the arguments of `simulate`."""

    name: str
    but: str
    upstream: Upstream
    options: Mapping[str, Any] = {}


_STREAMED = {"streams": True, "everywhere": False}
_FLAPS, _AWAY = Upstream(2, 2), Upstream(0, 1)
_FLAPPING = "2 s up, 2 s down, all models"
SCENARIOS = (
    Scenario(_FLAPPING, "", _FLAPS),
    Scenario(_FLAPPING, "clients ignore Retry-After", _FLAPS, {"obeys": False}),
    Scenario(_FLAPPING, "breaker off", _FLAPS, {"CIRCUIT_BREAKER_ENABLED": False}),
    Scenario(_FLAPPING, "retry budget off", _FLAPS, {"RETRY_BUDGET_PERCENT": 0}),
    Scenario(_FLAPPING, "fallback off", _FLAPS, {"FALLBACK_ENABLED": False}),
    Scenario(_FLAPPING, "retry off", _FLAPS, {"RETRY_ENABLED": False}),
    Scenario("the same, and running answers break off", "", Upstream(2, 2, cuts=True)),
    Scenario("all models away", "", _AWAY),
    Scenario("all models away", "20 users", _AWAY, {"users": 20}),
    Scenario("the first model away", "", _AWAY, {"everywhere": False}),
    Scenario("the first model breaks off 20 % of its answers", "", Upstream(cut_share=0.2), {"everywhere": False}),
    Scenario("the first model breaks off 20 % of its answers", "streamed", Upstream(cut_share=0.2), _STREAMED),
    Scenario("the first model breaks off every answer", "streamed", Upstream(cut_share=1.0), _STREAMED),
)
_COLUMNS = (
    "upstream",
    "not as by default",
    "questions",
    "answered",
    "degraded",
    "requests per question",
    "longest answer",
    "circuits open at the end",
)


def row(scenario: Scenario) -> tuple[str, ...]:
    """The scenario's line of the table."""
    count, requests, circuits = simulate(scenario.upstream, **scenario.options)
    held = sum(state != "closed" for state in circuits.values())
    return (
        scenario.name,
        scenario.but or "–",
        f"{count.asked}",
        f"{count.share:.1%}",
        f"{count.degraded / count.asked:.1%}",
        f"{requests / count.asked:.2f}",
        f"{count.longest:.1f} s",
        f"{held}" if circuits else "–",
    )


def table() -> str:
    """All scenarios, as Markdown."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *map(row, SCENARIOS)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def main() -> None:
    """Print the table, or with --write put it into the page."""
    made = table()
    if "--write" not in sys.argv[1:]:
        print(made, end="")
        return
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    DOCS.write_text(before + BEGIN + made + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
