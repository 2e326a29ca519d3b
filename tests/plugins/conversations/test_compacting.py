"""What is summarised of a past that is too long, and what happens where that cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from conversation_support import assistant, reasoning, result, use, user
from support import failure, make_runtime, make_turn, says

from plugins.conversations.compacting import Compacting
from plugins.conversations.history import History, Past
from plugins.conversations.summaries import Summary
from plugins.conversations.turns import Part, Turns, basis_of
from rom_core.conversation import claimed_by, written_by
from rom_core.errors import ConversationTooLong, DeadlineExceeded, ModelRefused
from rom_core.store.sealing import Sealer
from rom_core.turn import Turn

CONTEXT = 40_000
ROW = {"alias": "m", "id": "m-1", "max_tokens": 1000, "prompt_caching": False, "price_input": 1.0, "price_output": 1.0}
ROW |= {"context_tokens": CONTEXT}
# Some 4,000 tokens by the estimate; more than 14,000 are too long.
LONG = "x" * 12_000


class Case:
    """A turn in a conversation of these turns, each a list of messages, and what came of fitting it."""

    def __init__(self, *steps: Any, turns: list[list[Any]], new: Any = None, **values: Any) -> None:
        given = {"CONVERSATION_CONTEXT_SHARE": 0.35, "CONVERSATION_TOO_LONG": "compact", **values}
        self.runtime, self.transport = make_runtime(
            *steps, plugins={"conversations": Settings()}, MODELS=[ROW], MODEL_PRIMARY="m", MODEL_FALLBACKS=[], **given
        )
        past = [message for turn in turns for message in turn]
        messages = (*past, new or user("e agora?"))
        self.turn: Turn = make_turn(self.runtime, messages=messages)
        self.turn.messages = [claimed_by("m", message) for message in messages]
        numbers = tuple((number, len(turn)) for number, turn in enumerate(turns, 1))
        self.part = Part(
            "c", "t:1", len(turns) + 1, Past(tuple(past), 0, numbers, (), basis_of(self.turn)), messages[-1:]
        )
        self.turns = Turns(self.runtime, Sealer())

    def fit(self) -> None:
        """As before the first model call."""
        Compacting(self.runtime, self.turns).fit(self.turn, self.part)

    @property
    def texts(self) -> list[str]:
        """The beginnings of what the model gets now."""
        return [next(iter(each["content"][0].values())) for each in self.turn.messages]


class Settings:
    """The settings of the plugin, without the rest of it."""

    from plugins.conversations.plugin import Conversations

    rom_settings = Conversations.rom_settings


def long_turn(name: str) -> list[Any]:
    """A question and its answer of some 4,000 tokens."""
    return [user(f"{name} {LONG}"), assistant(f"resposta {name}")]


def test_as_few_turns_are_summarised_as_leave_half_the_share_free() -> None:
    """The newest stay whole; what is summarised costs the turn its usage, and the client sees nothing of it."""
    case = Case(says("resumo"), turns=[long_turn(name) for name in ("um", "dois", "três", "quatro")])
    case.fit()
    assert [text[:8] for text in case.texts] == ["A parte ", "resumo", "quatro x", "resposta", "e agora?"]
    assert case.part.past.turns == ((4, 2),)
    assert (case.turn.text, case.turn.model_requests, case.turn.iterations) == ("", 1, 0)
    assert case.turn.usage.output_tokens > 0


def test_what_the_service_counted_before_tells_how_long_it_is() -> None:
    """Though the estimate says otherwise."""
    case = Case(turns=[long_turn(name) for name in ("um", "dois", "três", "quatro")])
    past = case.part.past
    case.part.past = Past(past.messages, 0, past.turns, (), past.basis, (900, 8))
    case.fit()
    assert (case.part.past.head, case.transport.requests) == (0, [])


def test_a_use_of_a_clients_tool_stays_with_its_result() -> None:
    """Which begins the next turn."""
    asking = [user(f"dois {LONG * 2}"), assistant(use("t1"))]
    case = Case(says("resumo"), turns=[long_turn("um"), asking], new=user(result("t1", LONG)))
    case.fit()
    assert case.part.past.turns == ((2, 2),)
    assert case.turn.messages[-2]["content"] == [use("t1")]


@pytest.mark.parametrize(
    ("step", "raised"),
    [(failure(ModelRefused), ModelRefused), (says(" "), ConversationTooLong)],
    ids=["fails", "blank"],
)
def test_without_a_summary_what_does_not_fit_is_a_clear_error(step: Any, raised: type[Exception]) -> None:
    """The model's own failure, or that the conversation is too long; the turn's messages are as they were."""
    case = Case(step, turns=[long_turn(str(number)) for number in range(10)], new=user("e"))
    before = list(case.turn.messages)
    with pytest.raises(raised):
        case.fit()
    assert case.turn.messages == before


def test_nothing_is_summarised_where_that_would_not_help() -> None:
    """The new message alone is too long; nothing is spent."""
    case = Case(turns=[long_turn("um")], new=user(LONG * 11))
    with pytest.raises(ConversationTooLong):
        case.fit()
    assert case.transport.requests == []


def test_what_ends_the_turn_is_not_a_failed_summary() -> None:
    """A deadline that has passed, say."""
    case = Case(says("resumo"), turns=[long_turn(name) for name in ("um", "dois", "três", "quatro")])
    case.turn.cancel.cancel("deadline")
    with pytest.raises(DeadlineExceeded):
        case.fit()


def test_what_was_thought_before_a_summary_is_left_out_from_then_on() -> None:
    """It was signed together with what the summary has replaced; the next turn gets the same messages."""
    thinking = [user("três"), written_by("m", [reasoning(), {"text": "resposta três"}])]
    case = Case(says("resumo"), turns=[*(long_turn(name) for name in ("um", "dois", "quatro", "cinco")), thinking])
    plain = case.part.past.basis
    case.fit()
    assert not any("reasoningContent" in block for each in case.turn.messages for block in each["content"])
    history = History(Sealer())
    summary, rest = case.part.past.messages[:2], case.part.past.messages[2:]
    kept = Summary(3, 6, 0.0, history.sealed_summary(summary, case.part.past.files))
    assert history.past([], kept, plain).basis == case.part.past.basis != plain
    assert len(rest) == 4


def test_a_summary_is_kept_as_sealed_as_the_rest() -> None:
    """And opened again byte for byte."""
    history = History(Sealer())
    messages = [user("resumido"), assistant("resumo com meia \ud83d")]
    assert history.summary(Summary(1, 2, 0.0, history.sealed_summary(messages, ["a (pdf)"]))) == (
        messages,
        ("a (pdf)",),
    )
