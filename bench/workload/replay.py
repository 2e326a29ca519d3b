"""Replays a workload through the whole agent on a clock of its own; the local Bedrock counts the tokens."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.workload import Conversation, TurnPlan, house_rules
from local_bedrock.models import ModelInfo, resolve_model
from local_bedrock.usage import UsageMeter, tokens_of
from local_bedrock.validation import validate
from plugins.prompt_caching import PromptCaching
from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.events import AttemptFinished, Event
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import load_settings
from rom_core.telemetry.accounts import cost_usd, uncached_cost_usd
from rom_core.tools import Tool
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply, Usage

_SECONDS_PER_CALL = 4.0


@dataclass(slots=True)
class Bill:
    """What a replay came to: requests, tokens, USD, what the same tokens cost without caching, rules that decided."""

    requests: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float = 0.0
    uncached: float = 0.0
    rules: dict[str, int] = field(default_factory=dict)


class _Service:
    """The model's side: plays the plan of the turn and lets the local Bedrock count."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.meter = clock, UsageMeter(clock)
        self.plan: TurnPlan | None = None
        self.call = 0

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        assert self.plan is not None
        model = resolve_model(request["modelId"])
        assert isinstance(model, ModelInfo)
        self.clock.advance(_SECONDS_PER_CALL)
        if self.call < len(self.plan.results):
            use = {"toolUseId": f"c{self.call}", "name": "pesquisar", "input": {"consulta": self.plan.question[:200]}}
            content: tuple[dict[str, Any], ...] = ({"toolUse": use},)
            stop, output = "tool_use", 90
        else:
            content, stop = ({"text": self.plan.answer},), "end_turn"
            output = tokens_of(len(self.plan.answer))
        body = {name: value for name, value in request.items() if name != "modelId"}
        refused = validate(request["modelId"], "ConverseStream", body)
        assert refused is None, refused
        found = self.meter.measure(request["modelId"], model, body, output)
        hour = sum(part["inputTokens"] for part in found.get("cacheDetails", ()) if part["ttl"] == "1h")
        attempt.usage = Usage(
            found["inputTokens"],
            found["outputTokens"],
            found["cacheReadInputTokens"],
            found["cacheWriteInputTokens"],
            hour,
        )
        self.call += 1
        attempt.text("".join(block.get("text", "") for block in content))
        return ModelReply(content, stop, attempt.model.alias, attempt.usage)


class _Stub:
    """The one tool, whose results are the plan's; and the observer that adds up the bill."""

    def __init__(self, service: _Service) -> None:
        self.service, self.bill = service, Bill()

    @hookimpl
    def rom_tools(self) -> list[Tool]:
        return [Tool("pesquisar", "Pesquisa na jurisprudência do escritório.", {"type": "object"}, self._run)]

    def _run(self, _given: Any, _context: Any) -> str:
        assert self.service.plan is not None
        return self.service.plan.results[self.service.call - 1]

    @hookimpl
    def rom_event(self, event: Event) -> None:
        if isinstance(event, AttemptFinished) and event.attempt.usage is not None:
            bill, attempt = self.bill, event.attempt
            usage = event.attempt.usage
            bill.requests += 1
            bill.usage += usage
            bill.cost += cost_usd(attempt.model, usage)
            bill.uncached += uncached_cost_usd(attempt.model, usage)
            if attempt.cache_plan is not None:
                bill.rules[attempt.cache_plan.rule] = bill.rules.get(attempt.cache_plan.rule, 0) + 1


def replay(work: Iterable[Conversation], *, model: str, caching: bool) -> Bill:
    """Run every turn at its time, in order of time. `model` is an alias of MODELS."""
    clock = FakeClock()
    service = _Service(clock)
    stub = _Stub(service)
    catalogue = Catalogue.of(hookspecs, stub=stub, prompt_caching=PromptCaching())
    environ = {
        "ROM_ENV": "testing",
        "BEDROCK_ENABLED": "true",
        "MODEL_PRIMARY": model,
        "MODEL_FALLBACKS": "[]",
        "SYSTEM_PROMPT": house_rules(),
        "STUB_ENABLED": "true",
        "PROMPT_CACHING_ENABLED": str(caching).lower(),
    }
    settings = load_settings(catalogue.settings, catalogue.rules, root=Path("/nonexistent"), environ=environ)
    runtime = Runtime(catalogue, settings, clock=clock, transport=service)
    queue: list[tuple[float, int, int, Conversation, tuple[dict[str, Any], ...]]]
    queue = [(talk.start, talk.number, 0, talk, ()) for talk in work]
    heapq.heapify(queue)
    while queue:
        at, number, index, talk, history = heapq.heappop(queue)
        clock.advance(max(0.0, at - clock.monotonic()))
        plan = talk.turns[index]
        service.plan, service.call = plan, 0
        said: tuple[dict[str, Any], ...] = (*history, {"role": "user", "content": [{"text": plan.question}]})
        turn = runtime.turn(ChatRequest(said, f"c{number}"), trace_id="", request_id="")
        answer = runtime.run(turn)
        if index + 1 < len(talk.turns):
            said = (*said, {"role": "assistant", "content": [{"text": answer.reply}]})
            heapq.heappush(queue, (clock.monotonic() + talk.turns[index + 1].pause, number, index + 1, talk, said))
    runtime.stop()
    return stub.bill
