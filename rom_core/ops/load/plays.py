"""What a legal team does, one turn at a time: which message, how it is asked, and what must come back.

Against the local Bedrock a message orders its own answer (local_bedrock.directives), so every answer can be compared
word for word. A real model is asked the same kinds of question in plain words.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PASTED_CHARACTERS = 30_000
# A model's own times, in seconds: until its first token, and between two pieces.
FIRST_TOKEN = (0.3, 1.5)
PIECE = (0.02, 0.06)

_SENTENCE = (
    "o processo segue em curso e a parte foi intimada para se manifestar no prazo legal conforme decisão do juízo que "
    "designou audiência de conciliação e determinou a juntada dos documentos pelas partes nos autos"
)
_WORDS = _SENTENCE.split()
_MARKED = 12

# Of a hundred faults of the upstream; the last comes in the middle of the answer, where nothing can be repeated.
_FAULTS = {
    "429": 45,
    "503": 25,
    "500": 12,
    "reset": 8,
    "ModelTimeoutException": 3,
    "exception:throttlingException]][[after=0": 5,
    "cut": 2,
}
_MOST_IN_A_ROW = 4


@dataclass(frozen=True, slots=True)
class Play:
    """One turn to be played.

    `expected` is the whole answer, None if only a model knows it; `tool_calls` how many tools run, None likewise;
    `leave_after` after how many pieces the person leaves; `fault` what the upstream was ordered to do wrong.
    """

    kind: str
    body: Mapping[str, Any]
    expected: str | None = None
    tool_calls: int | None = None
    leave_after: int | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of turn: how often it comes, and how large it is."""

    weight: int
    words: tuple[int, int]
    question: str
    streamed: float = 1.0
    rounds: tuple[int, int] = (0, 0)
    parallel: int = 1
    leave_after: tuple[int, int] | None = None
    members: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """Kinds of turn by name, and the seconds that a person thinks between two of them, from and to."""

    kinds: Mapping[str, Kind]
    think: tuple[float, float]


TEAM = Profile(
    {
        "short": Kind(38, (20, 80), "Em uma frase: o que é preclusão?", streamed=0.7),
        "tools": Kind(
            22,
            (40, 120),
            "A intimação foi publicada em 11/03/2026. Qual é o vencimento do prazo de 15 dias, e em dobro?",
            streamed=0.7,
            rounds=(1, 3),
            parallel=2,
        ),
        "draft": Kind(
            18, (250, 450), "Redija uma contestação completa em ação de cobrança de aluguel, com preliminares e mérito."
        ),
        "exhaustive": Kind(
            5,
            (150, 300),
            "Faça uma análise exaustiva dos prazos possíveis para cada publicação de março de 2026.",
            rounds=(4, 8),
            members={"mode": "exhaustive"},
        ),
        "pasted": Kind(9, (80, 160), "Resuma o texto abaixo em dez linhas."),
        "leaver": Kind(8, (150, 300), "Explique os recursos cabíveis contra a sentença.", leave_after=(5, 40)),
    },
    think=(3.0, 12.0),
)
PROFILES: Mapping[str, Profile] = {"team": TEAM}


def play(
    draw: random.Random, name: str, *, profile: Profile = TEAM, stand_in: bool = True, faults: float = 0.0
) -> Play:
    """The next turn. `name` is unlike that of any other turn; `faults` is the share of upstream requests that fail."""
    kinds = profile.kinds
    chosen = draw.choices(list(kinds), [kind.weight for kind in kinds.values()])[0]
    kind = kinds[chosen]
    streamed = kind.leave_after is not None or draw.random() < kind.streamed
    rounds, words = draw.randint(*kind.rounds), draw.randint(*kind.words)
    message = kind.question
    if chosen == "pasted":
        message += "\n\n" + text_of(f"{name}p", PASTED_CHARACTERS // 6)[:PASTED_CHARACTERS]
    leave_after = draw.randint(*kind.leave_after) if kind.leave_after else None
    if not stand_in:
        return Play(chosen, _body(message, kind, streamed), leave_after=leave_after)
    expected = text_of(name, words)
    orders = [
        f"[[tools={rounds}]][[say={expected}]]",
        f"[[latency={draw.uniform(*FIRST_TOKEN):.3f}]][[delay={draw.uniform(*PIECE):.3f}]]",
    ]
    if rounds:
        arguments = {"data": "2026-03-1$n", "evento": "publicacao", "dias": 15}
        orders.append(f"[[parallel={kind.parallel}]][[tool=prazo_processual]][[input={json.dumps(arguments)}]]")
    fault = _fault(draw, rounds + 1, faults)
    body = _body(f"{message}\n\n{''.join(orders)}{fault}", kind, streamed)
    return Play(chosen, body, expected, rounds * kind.parallel, leave_after, fault)


def text_of(name: str, words: int) -> str:
    """A text of so many words in which every dozen carries its number: what is missing or doubled can be told."""
    made = (
        f"{name}.{number // _MARKED}" if number % _MARKED == 0 else _WORDS[number % len(_WORDS)]
        for number in range(words)
    )
    return " ".join(made)


def _body(message: str, kind: Kind, streamed: bool) -> dict[str, Any]:
    return {"message": message, "stream": streamed, **kind.members}


def _fault(draw: random.Random, requests: int, share: float) -> str:
    """The order for a fault, "" for none. Each request fails with probability `share`, each repeat again."""
    struck = next((number for number in range(1, requests + 1) if draw.random() < share), None)
    if struck is None:
        return ""
    times = 1
    while times < _MOST_IN_A_ROW and draw.random() < share:
        times += 1
    kind = draw.choices(list(_FAULTS), list(_FAULTS.values()))[0]
    return f"[[fault={kind}]][[at={struck}]][[times={times}]]"
