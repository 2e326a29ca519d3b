"""Guardrails: a tool loop that ends, and ends with an answer.

An iteration is one model call that asked for tools. The loop is stopped, before the tools of that iteration run, at
MAX_LOOPS_HARD iterations, when the same tool is asked for in GUARDRAILS_REPETITION_LIMIT iterations in a row, when a
sequence of iterations repeats itself with the same inputs (A-B-A-B), and when GUARDRAILS_TOKEN_BUDGET is spent. The
core then asks the model once more, for an answer from what there is. One iteration earlier the model is told, in the
tool result itself: a warning that only people see changes nothing. Tools that the client ran for the same message count
too. The notes go into their results in every request, so that the prompt prefix stays the same.

Hooks: rom_settings, rom_tools_requested (judges), rom_iteration (adds the notes to the results).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rom_core.agent.client_tools import earlier_rounds, loop_start
from rom_core.events import GuardrailTripped, GuardrailWarned
from rom_core.markers import hookimpl
from rom_core.settings import Rule, Setting, Settings
from rom_core.turn import Iteration, Turn
from rom_core.turn_values import IterationResult, StopLoop, Usage

HARD_LIMIT = "guardrail_hard_limit"
BUDGET = "guardrail_budget"
REPETITION = "guardrail_repetition"
CYCLE = "guardrail_cycle"

_ANSWER = "Se já for possível, responda agora com o que foi apurado."
_LAST = f"[Aviso] O próximo pedido de ferramentas encerra a pesquisa sem ser executado. {_ANSWER}"
_REPEATED = (
    "[Aviso] Mais um pedido seguido como este, à mesma ferramenta, encerra a pesquisa sem ser executado. "
    f"Mude de caminho. {_ANSWER}"
)
_CIRCLING = (
    "[Aviso] Estes pedidos repetem os anteriores, com as mesmas entradas. Se a sequência se completar de novo, a "
    f"pesquisa será encerrada. Mude de caminho. {_ANSWER}"
)


@dataclass(frozen=True, slots=True)
class Use:
    """One request for a tool: its name, its input in canonical form, and whether the tool may be asked repeatedly."""

    name: str
    input: str
    repeatable: bool = False


IterationUses = Sequence[Use]


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Where a loop ends. `repetition` and `budget` 0: no such limit. `match`: "name" or "call"."""

    hard: int
    repetition: int = 0
    match: str = "name"
    budget: int = 0

    @classmethod
    def of(cls, settings: Settings) -> LoopLimits:
        """As the settings say."""
        return cls(
            settings.MAX_LOOPS_HARD,
            settings.GUARDRAILS_REPETITION_LIMIT,
            settings.GUARDRAILS_REPETITION_MATCH,
            settings.GUARDRAILS_TOKEN_BUDGET,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the history comes to: the reason to stop, or notes for the model by index of the tool use they go to."""

    stop: str = ""
    notes: Mapping[int, str] = field(default_factory=dict)


def canonical(value: Any) -> str:
    """The same text for equal JSON values, whatever the order of keys and however numbers are written (1, 1.0)."""
    try:
        return json.dumps(json.loads(json.dumps(value), parse_float=_number), sort_keys=True)
    except (RecursionError, TypeError, ValueError) as error:
        # What cannot be compared counts as the same: a guard errs towards stopping.
        return f"<{type(error).__name__}>"


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def streaks(history: Sequence[IterationUses], match: str) -> list[int]:
    """For each use of the last iteration: in how many iterations in a row, up to it, the same was asked for.

    "The same" is the tool, and with match "call" or for a repeatable tool also its input. Uses within one iteration
    count once.
    """
    if not history:
        return []

    def key(use: Use) -> tuple[str, ...]:
        return (use.name, use.input) if match == "call" or use.repeatable else (use.name,)

    steps = [{key(use) for use in step} for step in reversed(history)]
    lengths = []
    for use in history[-1]:
        wanted = key(use)
        lengths.append(next((n for n, step in enumerate(steps) if wanted not in step), len(steps)))
    return lengths


def cycles(history: Sequence[IterationUses]) -> bool:
    """Whether the history ends with two equal rounds of at least two different iterations: A-B-A-B, A-B-C-A-B-C."""
    steps = _unordered(history)
    for period in range(2, len(steps) // 2 + 1):
        again = steps[-period:]
        if again == steps[-2 * period : -period] and any(step != again[0] for step in again):
            return True
    return False


def cycle_ahead(history: Sequence[IterationUses]) -> bool:
    """Whether one more iteration could make the history end in a cycle: A-B-A."""
    steps = _unordered(history)
    for period in range(2, (len(steps) + 1) // 2 + 1):
        again = steps[len(steps) + 1 - period :]
        first = steps[len(steps) + 1 - 2 * period : len(steps) + 1 - period]
        if again == first[:-1] and any(step != first[0] for step in first):
            return True
    return False


def _unordered(history: Sequence[IterationUses]) -> list[frozenset[tuple[str, str]]]:
    return [frozenset((use.name, use.input) for use in step) for step in history]


def judge(history: Sequence[IterationUses], limits: LoopLimits, spent: int = 0, last_cost: int = 0) -> Verdict:
    """Whether the last iteration of `history` may run its tools, and what the model must know if it may.

    `spent` and `last_cost` are tokens, of the turn and of its last iteration: the next one is taken to cost no less.
    """
    number, uses = len(history), len(history[-1])
    lengths = streaks(history, limits.match)
    if number >= limits.hard:
        return Verdict(HARD_LIMIT)
    if limits.budget and spent >= limits.budget:
        return Verdict(BUDGET)
    if limits.repetition and max(lengths, default=0) >= limits.repetition:
        return Verdict(REPETITION)
    if cycles(history):
        return Verdict(CYCLE)
    notes: dict[int, str] = {}
    if cycle_ahead(history):
        notes[uses - 1] = _CIRCLING
    if limits.repetition:
        notes |= {index: _REPEATED for index, length in enumerate(lengths) if length + 1 >= limits.repetition}
    if number + 1 >= limits.hard or (limits.budget and spent + last_cost >= limits.budget):
        notes[uses - 1] = _LAST
    return Verdict(notes=notes)


@dataclass(eq=False, slots=True)
class _Watch:
    """What is remembered of one turn."""

    history: list[IterationUses] = field(default_factory=list)
    spent: int = 0


class Guardrails:
    """The plugin; everything it remembers is on the turn and its iterations."""

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, the limits, and that they make sense together."""
        return [
            Setting("GUARDRAILS_ENABLED", bool, False, "Stops tool loops that do not end by themselves.", switch=True),
            Setting("MAX_LOOPS_SOFT", int, 12, "Iterations of a turn at which a warning is given.", minimum=1),
            Setting("MAX_LOOPS_HARD", int, 25, "Iterations of a turn at which the loop is stopped.", minimum=1),
            Setting(
                "GUARDRAILS_REPETITION_LIMIT",
                int,
                3,
                "Iterations in a row that may not ask for the same tool; 0 = no limit.",
                minimum=0,
                maximum=1000,
            ),
            Setting(
                "GUARDRAILS_REPETITION_MATCH",
                str,
                "name",
                "`name`: the same tool, repeatable ones with the same input; `call`: every tool with the same input.",
                choices=("name", "call"),
            ),
            Setting(
                "GUARDRAILS_TOKEN_BUDGET",
                int,
                0,
                "Tokens of all kinds after which a turn runs no more tools; 0 = no limit.",
                minimum=0,
            ),
            Rule(("MAX_LOOPS_SOFT", "MAX_LOOPS_HARD"), _soft_before_hard),
            Rule(("MAX_LOOPS_HARD", "MAX_LOOPS_ABSOLUTE", "GUARDRAILS_ENABLED"), _hard_before_absolute),
            Rule(("GUARDRAILS_REPETITION_LIMIT",), _repetition_possible),
        ]

    @hookimpl
    def rom_tools_requested(self, iteration: Iteration, tool_uses: Sequence[dict[str, Any]]) -> StopLoop | None:
        """Stop the loop, or leave notes for the results of this iteration."""
        turn = iteration.turn
        settings = turn.settings
        watch: _Watch | None = turn.stash.get("guardrails")
        if watch is None:
            # What the client has run in answer to the same message belongs to the same loop.
            watch = turn.stash["guardrails"] = _Watch(_earlier(turn))
        watch.history.append([_use(turn, use) for use in tool_uses])
        spent = _tokens(turn.usage)
        verdict = judge(watch.history, LoopLimits.of(settings), spent, spent - watch.spent)
        watch.spent = spent
        if len(watch.history) == settings.MAX_LOOPS_SOFT:
            turn.emit(GuardrailWarned(turn, len(watch.history), settings.MAX_LOOPS_HARD))
        if verdict.stop:
            names = tuple(tuple(_shown(turn, use.name) for use in step) for step in watch.history)
            turn.emit(GuardrailTripped(turn, verdict.stop, len(names), names))
            return StopLoop(verdict.stop)
        iteration.stash["guardrails"] = verdict.notes
        return None

    @hookimpl(wrapper=True)
    def rom_iteration(self, iteration: Iteration) -> Any:
        """Put the notes inside the tool results: beside them some models refuse the message."""
        if iteration.number == 1:
            _note_earlier(iteration.turn)
        result: IterationResult = yield
        notes: Mapping[int, str] = iteration.stash.pop("guardrails", {})
        if notes and not result.finished and result.stop is None:
            content = iteration.turn.messages[-1]["content"]
            for index, note in notes.items():
                content[index] = _noted(content[index], note)
        return result


def _use(turn: Turn, use: Mapping[str, Any]) -> Use:
    """Client tools declare no `repeatable`; they are treated as repeatable, since most are (reading files)."""
    clients, tool = turn.request.client_tools, turn.snapshot.tools.get(use["name"])
    theirs = clients is not None and clients.owns(use["name"])
    return Use(use["name"], canonical(use["input"]), theirs or (tool is not None and tool.repeatable))


def _shown(turn: Turn, name: str) -> str:
    """The name of a tool for the log; of one that nobody offers it is the model's own words, or the client's."""
    clients = turn.request.client_tools
    known = turn.snapshot.tools.get(name) is not None or (clients is not None and name in clients.names)
    return name if known else "unknown"


def _earlier(turn: Turn) -> list[IterationUses]:
    return [[_use(turn, use) for use in uses] for uses in earlier_rounds(turn.request)]


def _note_earlier(turn: Turn) -> None:
    """Put into the client's results what the model had to know of the rounds before them.

    The tokens that these cost are not known here: the budget is this turn's.
    """
    history = _earlier(turn)
    if not history:
        return
    limits = replace(LoopLimits.of(turn.settings), budget=0)
    number, notes = 0, {}
    for index in range(loop_start(turn.messages), len(turn.messages)):
        message = turn.messages[index]
        uses = [block["toolUse"] for block in message["content"] if "toolUse" in block]
        if uses:
            number += 1
            # Past the hard limit the next request stops the loop; judging further costs time only.
            verdict = judge(history[:number], limits) if number < limits.hard else Verdict()
            notes = {uses[use]["toolUseId"]: note for use, note in verdict.notes.items()}
        elif notes:
            content = [
                _noted(block, notes.pop(block["toolResult"]["toolUseId"]))
                if "toolResult" in block and block["toolResult"]["toolUseId"] in notes
                else block
                for block in message["content"]
            ]
            turn.messages[index] = {**message, "content": content}


def _noted(block: Mapping[str, Any], note: str) -> dict[str, Any]:
    """A toolResult block with a note behind its content."""
    result = block["toolResult"]
    return {"toolResult": {**result, "content": [*result["content"], {"text": note}]}}


def _tokens(usage: Usage) -> int:
    return sum(usage.as_dict().values())


def _soft_before_hard(settings: Settings) -> str | None:
    soft, hard = settings.MAX_LOOPS_SOFT, settings.MAX_LOOPS_HARD
    return f"is {soft}, above MAX_LOOPS_HARD, {hard}" if soft > hard else None


def _hard_before_absolute(settings: Settings) -> str | None:
    hard, absolute = settings.MAX_LOOPS_HARD, settings.MAX_LOOPS_ABSOLUTE
    if hard > absolute and settings.GUARDRAILS_ENABLED:
        return f"is {hard}, above MAX_LOOPS_ABSOLUTE, {absolute}, which would end the loop first"
    return None


def _repetition_possible(settings: Settings) -> str | None:
    return "1 would forbid tools altogether; use 2 or more, or 0" if settings.GUARDRAILS_REPETITION_LIMIT == 1 else None
