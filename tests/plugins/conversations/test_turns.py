"""What is kept of a turn while it runs, when it ends, and when the store is away then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conversation_support import assistant
from kept_support import FakeRuntime, new_store
from support import make_runtime, make_turn

from plugins.conversations import keeping
from plugins.conversations.turns import RENEW_SECONDS, Part, Turns
from rom_core.errors import ConversationBusy, StoreUnavailable
from rom_core.store.content_owner import Owner
from rom_core.store.sealing import Sealer
from rom_core.turn import Turn


class Store:
    """A store that can be away, and that somebody may look at in the middle of a write."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.away = False
        self.before_write: Callable[[], None] = lambda: None

    def read(self, action: Any) -> Any:
        """As the store's."""
        return self._store.read(action)

    def write(self, action: Any) -> Any:
        """As the store's. Raises StoreUnavailable."""
        if self.away:
            raise StoreUnavailable("away")
        self.before_write()
        return self._store.write(action)


class Case:
    """A turn that has begun a conversation, has asked the model once, and streams."""

    def __init__(self, store: Any) -> None:
        self.store = Store(store)
        self.runtime = FakeRuntime(self.store)
        self.turns: Any = Turns(self.runtime, Sealer())  # type: ignore[arg-type]
        self.turn, self.part = self.another("conv_1")

    def another(self, conversation_id: str) -> tuple[Turn, Part]:
        """One more turn, in a conversation of its own."""
        turn = make_turn(make_runtime()[0], "pergunta", sink=lambda *_: None)
        object.__setattr__(turn.request, "stored", "begin")
        object.__setattr__(turn.request, "conversation_id", conversation_id)
        part = self.turns.begin(turn)
        turn.iterations, turn.messages = 1, list(turn.request.messages)
        return turn, part

    def kept(self, conversation_id: str = "conv_1") -> list[tuple[str, list[str]]]:
        """State and texts of each turn."""
        rows = self.store.read(lambda connection: keeping.turns(connection, conversation_id))
        said = [(row.state, self.turns.history.messages_of(row)) for row in rows]
        return [(state, [each["content"][0]["text"] for each in messages]) for state, messages in said]

    def claim(self) -> None:
        """Another turn tries to."""

        def make(*_: Any) -> Any:
            pytest.fail("it was let in")

        at = self.runtime.clock.time()
        self.store.write(lambda connection: keeping.claim(connection, "conv_1", WHO_ASKS, "other", make, at))


WHO_ASKS = Owner("", "")


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """A case with SQLite."""
    store = new_store(tmp_path)
    yield Case(store)
    store.close()


def test_what_a_turn_says_is_kept_while_it_runs(case: Case) -> None:
    """Should the process die, so much of it is there; nothing is written where nothing is new."""
    case.turn.hand_on("até aqui")
    case.turns.tend()
    assert case.kept() == [("cut", ["pergunta", "até aqui"])]
    case.turn.messages.append(assistant("inteira"))
    case.part.said = len(case.turn.text)
    case.turns.tend()
    assert case.kept() == [("cut", ["pergunta", "inteira"])]
    writes: list[int] = []
    case.store.before_write = lambda: writes.append(1)
    case.turns.tend()
    assert len(writes) == 1, "the claim is renewed, and that is all"


def test_what_was_noted_late_does_not_undo_the_end(case: Case) -> None:
    """The turn may end between the look at it and the write."""
    case.turn.hand_on("meia")

    def end() -> None:
        case.store.before_write = lambda: None
        case.turn.messages.append(assistant("meia resposta"))
        case.part.said = len(case.turn.text)
        assert case.turns.end(case.turn, case.part, "whole")

    case.store.before_write = lambda: setattr(case.store, "before_write", end)
    case.turns.tend()
    assert case.kept() == [("whole", ["pergunta", "meia resposta"])]


def test_messages_that_are_not_the_conversations_are_not_kept(case: Case) -> None:
    """While a summary is asked for the turn has others."""
    with case.turns.elsewhere(case.part):
        case.turn.messages = [assistant("outra coisa")] * 5
        case.turns.tend()
    assert case.kept() == [("cut", ["pergunta"])]


def test_an_end_that_could_not_be_kept_is_kept_once_the_store_is_back(case: Case) -> None:
    """Until then the conversation is busy, and held."""
    case.turn.messages.append(assistant("resposta"))
    case.store.away = True
    assert case.turns.end(case.turn, case.part, "whole") is False
    assert case.turns.pending == 1
    case.turns.tend()
    case.store.away = False
    with pytest.raises(ConversationBusy):
        case.claim()
    case.turns.tend()
    assert (case.turns.pending, case.kept()) == (0, [("whole", ["pergunta", "resposta"])])


def test_a_slow_store_is_asked_to_hold_what_runs_first(case: Case) -> None:
    """Notes that take longer than the time between two renewals wait for the next one."""
    for number in range(3):
        turn, _ = case.another(f"conv_more_{number}")
        turn.hand_on("texto")
    case.turn.hand_on("texto")
    writes: list[int] = []

    def slow() -> None:
        writes.append(1)
        case.runtime.clock.advance(RENEW_SECONDS + 1)

    case.store.before_write = slow
    case.turns.tend()
    assert len(writes) == 2, "one renewal, one note"


def test_one_turn_that_runs_twice_in_one_process_is_held_until_both_have_ended(case: Case) -> None:
    """As after a takeover by the very instance that seemed dead."""
    again = case.turns.begin(case.turn)
    assert again.again
    case.turns.end(case.turn, case.part, "whole")
    assert case.turns.running == 1
    case.turn.hand_on("de novo")
    case.turns.tend()
    assert case.kept() == [("cut", ["pergunta", "de novo"])]
