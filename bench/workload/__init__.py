"""A published, fixed workload, replayed with and without prompt caching: what it costs on both sides.

`conversations` are multi-turn conversations with tools, `singles` questions of one call. Both are made by rule from
their numbers alone, so that everybody gets the same ones; `python -m bench.workload --list` prints them as JSON lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

CONVERSATIONS = 60
SINGLES = 400
_TEXT = (
    "prazo recurso apelação agravo embargos sentença acórdão petição inicial contestação réplica perícia audiência "
    "intimação citação decisão despacho tutela urgência mérito preliminar competência jurisprudência súmula tribunal "
    "contrato locação rescisão multa cláusula dano moral material responsabilidade consumidor fornecedor trabalhista"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """One turn: the seconds before it, its question, the searches it makes one after the other, and its answer."""

    pause: float
    question: str
    results: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of one person, of which each but the first goes on from the one before. `start` in seconds."""

    number: int
    start: float
    turns: tuple[TurnPlan, ...]


def words(random: Random, characters: int) -> str:
    """Text of about so many characters."""
    parts: list[str] = []
    length = 0
    while length < characters:
        parts.append(random.choice(_WORDS))
        length += len(parts[-1]) + 1
    return " ".join(parts)


def house_rules() -> str:
    """The text that stands before every conversation, about 1,800 tokens: how this office wants its answers."""
    random = Random("house rules")
    return "\n".join(f"Regra {number}: {words(random, 220)}." for number in range(1, 31))


def conversations() -> Iterator[Conversation]:
    """4 to 6 turns of 2 to 4 calls, 30 to 150 seconds apart; a new conversation every 2 to 5 minutes."""
    start = 0.0
    for number in range(CONVERSATIONS):
        random = Random(f"conversation {number}")
        turns = []
        for _ in range(random.randint(4, 6)):
            results = tuple(words(random, 3600) for _ in range(random.randint(1, 3)))
            turns.append(TurnPlan(random.uniform(30, 150), words(random, 1200), results, words(random, 1000)))
        yield Conversation(number, start, tuple(turns))
        start += random.uniform(120, 300)


def singles() -> Iterator[Conversation]:
    """Questions of one call, each on its own: bursts, and pauses of up to 15 minutes."""
    start = 0.0
    for number in range(SINGLES):
        random = Random(f"single {number}")
        yield Conversation(number, start, (TurnPlan(0.0, words(random, 1200), (), words(random, 1000)),))
        start += random.uniform(5, 60) if random.random() < 0.3 else random.uniform(240, 900)
