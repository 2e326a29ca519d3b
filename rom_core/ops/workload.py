"""A recorded workload, and its replay through the whole agent on a clock of its own; the model's side is handed in.

A file of JSON lines. The first may be `{"system": TEXT}`, the text before every conversation; every other is one
conversation:

    {"start": SECONDS, "turns": [{"pause": SECONDS, "question": TEXT, "results": [TEXT, …], "answer": TEXT}, …]}

`start` counts from the beginning of the workload, `pause` from the end of the turn before. A turn makes one model call
for each of `results`, which a tool gives back, and one more for its `answer`. TEXT is a text or, where nothing of what
was said is to be written down, its number of characters.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.events import AttemptFinished, Event, TurnFinished
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue, inspect_plugin
from rom_core.runtime import Runtime
from rom_core.settings import Model, load_settings
from rom_core.telemetry.cost_report import TurnCost, edges_of, parts_of
from rom_core.tools import Tool
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply, Usage

MAX_FILE_BYTES = 64 << 20
_MAX_CHARACTERS = 1_000_000
_SECONDS_PER_CALL = 4.0
_TOOL_USE_TOKENS = 90
_FILLER = "prazo recurso apelação sentença acórdão petição contestação perícia decisão contrato rescisão multa "


class InvalidWorkload(ValueError):
    """The file is no workload; the text names the line."""


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """One turn: the seconds before it, its question, what its tools give back one after the other, and its answer."""

    pause: float
    question: str
    results: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of one person, of which each but the first goes on from the one before. `start` in seconds."""

    start: float
    turns: tuple[TurnPlan, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """What a file says."""

    system: str
    conversations: tuple[Conversation, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The turns of one replay, and the table of models that they were priced by."""

    turns: tuple[TurnCost, ...]
    models: Mapping[str, Model]


class Meter(Protocol):
    """Checks a request of the model with this id, and counts its tokens when it is answered with so many."""

    def __call__(self, model_id: str, body: dict[str, Any], output_tokens: int) -> Usage:
        """Raises InvalidWorkload if the service does not serve the model or refuses the request."""


def read_workload(path: Path) -> Workload:
    """The workload in a file. Raises InvalidWorkload, and OSError for what cannot be read."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InvalidWorkload(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB")
    system, conversations = "", []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "system" in row:
                system = _text(row["system"], "system")
                continue
            turns = tuple(_turn(turn, f"{number}.{place}") for place, turn in enumerate(row["turns"]))
            conversations.append(Conversation(_seconds(row["start"]), turns))
            if not turns:
                raise ValueError("no turns")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidWorkload(f"{path}, line {number}: no conversation: {error!r:.200}") from None
    if not conversations:
        raise InvalidWorkload(f"{path} holds no conversation")
    return Workload(system, tuple(conversations))


def replay(work: Workload, meter: Callable[[FakeClock], Meter], *, root: Path, model: str, caching: bool) -> Replayed:
    """Run every turn at its time, in order of time, with no plugin but prompt caching, or none.

    `model` is an alias of MODELS in the settings of `root`, "" its MODEL_PRIMARY. Raises InvalidWorkload if there is no
    such alias, InvalidSettings for settings that do not load.
    """
    clock = FakeClock()
    service = _Service(clock, meter(clock))
    stub = _Stub(service)
    installed = Catalogue.installed(hookspecs)
    given = inspect_plugin(hookspecs, "workload", stub, origin="given")
    catalogue = Catalogue(hookspecs, [*installed.plugins.values(), given])
    environ = {plugin.switch: "false" for plugin in installed.plugins.values()} | {
        "ROM_ENV": "testing",
        "BEDROCK_ENABLED": "true",
        "WORKLOAD_ENABLED": "true",
        "MODEL_FALLBACKS": "[]",
        "SYSTEM_PROMPT": work.system or ".",
        "PROMPT_CACHING_ENABLED": str(caching).lower(),
        "PROMPT_CACHING_ADVANCE_USD": "0",
        **({"MODEL_PRIMARY": model} if model else {}),
    }
    settings = load_settings(catalogue.settings, catalogue.rules, root=root, environ=environ)
    runtime = Runtime(catalogue, settings, clock=clock, transport=service)
    stub.edges = edges_of(settings.models.values())
    queue: list[tuple[float, int, int, tuple[dict[str, Any], ...]]]
    queue = [(talk.start, number, 0, ()) for number, talk in enumerate(work.conversations)]
    heapq.heapify(queue)
    while queue:
        at, number, index, history = heapq.heappop(queue)
        clock.advance(max(0.0, at - clock.monotonic()))
        turns = work.conversations[number].turns
        service.plan, service.call = turns[index], 0
        said: tuple[dict[str, Any], ...] = (
            *history,
            {"role": "user", "content": [{"text": turns[index].question}]},
        )
        answer = runtime.run(runtime.turn(ChatRequest(said, f"c{number}"), trace_id="", request_id=""))
        if index + 1 < len(turns):
            said = (*said, {"role": "assistant", "content": [{"text": answer.reply}]})
            heapq.heappush(queue, (clock.monotonic() + turns[index + 1].pause, number, index + 1, said))
    runtime.stop()
    return Replayed(tuple(stub.turns), settings.models)


class _Service:
    """The model's side: plays the plan of the turn and lets the meter count."""

    def __init__(self, clock: FakeClock, meter: Meter) -> None:
        self.clock, self.meter = clock, meter
        self.plan = TurnPlan(0.0, "", (), "")
        self.call = 0

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        self.clock.advance(_SECONDS_PER_CALL)
        if self.call < len(self.plan.results):
            use = {"toolUseId": f"c{self.call}", "name": "pesquisar", "input": {"consulta": self.plan.question[:200]}}
            content: tuple[dict[str, Any], ...] = ({"toolUse": use},)
            stop, output = "tool_use", _TOOL_USE_TOKENS
        else:
            content, stop, output = ({"text": self.plan.answer},), "end_turn", -(-len(self.plan.answer) // 4)
        body = {name: value for name, value in request.items() if name != "modelId"}
        attempt.usage = self.meter(request["modelId"], body, output)
        self.call += 1
        attempt.text("".join(block.get("text", "") for block in content))
        return ModelReply(content, stop, attempt.model.alias, attempt.usage)


class _Stub:
    """The one tool, whose results are the plan's; and the observer that writes down what each turn cost."""

    def __init__(self, service: _Service) -> None:
        self.service = service
        self.edges: tuple[int, ...] = ()
        self.turns: list[TurnCost] = []
        self._requests: list[tuple[Model, Usage]] = []
        self._rules: list[str] = []

    @hookimpl
    def rom_tools(self) -> Sequence[Tool]:
        return [Tool("pesquisar", "Pesquisa na jurisprudência do escritório.", {"type": "object"}, self._run)]

    def _run(self, _given: Any, _context: Any) -> str:
        return self.service.plan.results[self.service.call - 1]

    @hookimpl
    def rom_event(self, event: Event) -> None:
        if isinstance(event, AttemptFinished) and event.attempt.usage is not None:
            self._requests.append((event.attempt.model, event.attempt.usage))
            if event.attempt.cache_plan is not None:
                self._rules.append(event.attempt.cache_plan.rule)
        elif isinstance(event, TurnFinished) and self._requests:
            asked, parts = self._requests[0][0], parts_of(self._requests, self.edges)
            self.turns.append(TurnCost(event.turn.clock.time(), asked, parts, 0, tuple(self._rules), self.edges))
            self._requests, self._rules = [], []


def _turn(turn: Mapping[str, Any], seed: str) -> TurnPlan:
    results: Iterable[Any] = turn["results"]
    return TurnPlan(
        _seconds(turn["pause"]),
        _text(turn["question"], f"{seed} question"),
        tuple(_text(result, f"{seed} result {place}") for place, result in enumerate(results)),
        _text(turn["answer"], f"{seed} answer"),
    )


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError(f"a number of seconds is needed, not {value!r:.40}")
    return float(value)


def _text(value: Any, seed: str) -> str:
    """The text, or one of so many characters that no other place has."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MAX_CHARACTERS:
        raise ValueError(f"a text or its number of characters is needed, not {value!r:.40}")
    return (f"{seed}: " + _FILLER * (value // len(_FILLER) + 1))[:value].rstrip().ljust(value, ".")
