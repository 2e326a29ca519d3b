"""Whose a conversation is while a turn runs in it: claims that expire, are taken over, or are erased."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kept_support import WHO, FakeRuntime, new_store, turn_row
from sqlalchemy import Connection, select

from plugins.conversations import keeping
from plugins.conversations.keeping import LEASE_SECONDS, TurnRow
from plugins.conversations.tables import FILES, KEPT, TURNS
from plugins.conversations.turns import Turns
from rom_core.errors import ConversationBusy, NotFound
from rom_core.markers import hookimpl
from rom_core.store.sealing import Sealer
from rom_core.tables import Erasure


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """A store with one conversation, `c`, in which `one` has said something."""
    made = new_store(tmp_path)
    made.write(lambda connection: keeping.begin(connection, "c", WHO, b"\0title", turn_row(1, "one:1", f1=b"\0file")))
    made.write(lambda connection: keeping.finish(connection, "c", turn_row(1, "one:1", "whole", b"\0said")))
    yield made
    made.close()


def claim(store: Any, claim: str, at: float = 0.0, **files: bytes) -> tuple[bool, list[int]]:
    """Claim `c`; whether the turn had done so before, and the numbers of the turns that stand before it."""
    seen: list[int] = []

    def make(rows: Any, _summary: Any) -> TurnRow:
        seen[:] = [row.number for row in rows]
        return turn_row(seen[-1] + 1, claim, **files)

    turn_id = keeping.turn_of(claim)
    return store.write(lambda connection: keeping.claim(connection, "c", WHO, turn_id, make, at)), seen


def write(store: Any, act: Any, *given: Any) -> Any:
    """Carry out one of keeping's functions."""
    return store.write(lambda connection: act(connection, *given))


def kept(store: Any) -> list[tuple[int, str, str, bytes]]:
    """Number, claim, state and body of each turn."""
    rows = store.read(lambda connection: keeping.turns(connection, "c"))
    return [(row.number, row.claim, row.state, row.body) for row in rows]


def busy(store: Any) -> str:
    """Who has claimed `c`."""
    with_whom: str = store.read(lambda connection: connection.execute(select(KEPT.c.busy_with)).scalar_one())
    return with_whom


def test_a_turn_that_claims_again_takes_the_place_of_its_own_unfinished_row(store: Any) -> None:
    """Also before its lease has run out, since its instance died; another turn is refused until then."""
    assert claim(store, "two:1") == (False, [1])
    assert claim(store, "two:2") == (True, [1])
    assert kept(store) == [(1, "one:1", "whole", b"\0said"), (2, "two:2", "cut", b"\0[]")]
    with pytest.raises(ConversationBusy):
        claim(store, "three:1")


def test_what_the_first_claim_writes_afterwards_changes_nothing(store: Any) -> None:
    """Neither the row nor the files nor the lease of the second one; nor does it withdraw it."""
    claim(store, "two:1")
    claim(store, "two:2")
    late = turn_row(2, "two:1", "whole", b"\0late", f2=b"\0late file")
    assert write(store, keeping.note, "c", late) is False
    write(store, keeping.finish, "c", late)
    write(store, keeping.withdraw, "c", "two:1", ["f1"])
    write(store, keeping.renew, ["two:1"], 100.0)
    assert kept(store)[1:] == [(2, "two:2", "cut", b"\0[]")]
    assert busy(store) == "two:2"
    row = store.read(lambda connection: connection.execute(select(KEPT)).one())
    assert (row.busy_until, row.turns) == (LEASE_SECONDS, 2)
    assert store.read(lambda connection: connection.execute(select(FILES.c.digest)).scalars().all()) == ["f1"]


def test_a_first_turn_that_begins_again_is_the_first_turn(tmp_path: Path) -> None:
    """There is one conversation, with one turn, and the first claim has no more to say."""
    store = new_store(tmp_path)
    first = turn_row(1, "one:1", f1=b"\0file")
    assert write(store, keeping.begin, "c", WHO, b"\0title", first) is False
    assert write(store, keeping.begin, "c", WHO, b"\0title", turn_row(1, "one:2", f1=b"\0file")) is True
    write(store, keeping.finish, "c", turn_row(1, "one:1", "whole", b"\0late"))
    assert (kept(store), busy(store)) == ([(1, "one:2", "cut", b"\0[]")], "one:2")
    with pytest.raises(ConversationBusy):
        write(store, keeping.begin, "c", WHO, b"\0title", turn_row(1, "other:1"))
    store.close()


def test_a_turn_whose_lease_has_run_out_keeps_what_it_said_and_frees_nobody_elses_claim(store: Any) -> None:
    """At 20 seconds to the moment another may claim; the row of the first one is still its own."""
    claim(store, "two:1")
    with pytest.raises(ConversationBusy):
        claim(store, "three:1", LEASE_SECONDS - 0.01)
    assert claim(store, "three:1", LEASE_SECONDS) == (False, [1, 2])
    write(store, keeping.renew, ["two:1"], 100.0)
    write(store, keeping.finish, "c", turn_row(2, "two:1", "whole", b"\0late"))
    assert kept(store)[1:] == [(2, "two:1", "whole", b"\0late"), (3, "three:1", "cut", b"\0[]")]
    assert busy(store) == "three:1"
    with pytest.raises(ConversationBusy):
        claim(store, "four:1", LEASE_SECONDS)
    # Begun again after another turn, it stands behind that one.
    write(store, keeping.finish, "c", turn_row(3, "three:1", "whole", b"\0said"))
    assert claim(store, "two:2", LEASE_SECONDS) == (True, [1, 3])
    assert [row[:2] for row in kept(store)] == [(1, "one:1"), (3, "three:1"), (4, "two:2")]


def test_an_erased_conversation_does_not_come_back_with_the_turn_that_ran_in_it(store: Any) -> None:
    """Whatever the turn does then: not a row of it, not a file."""
    claim(store, "two:1", f2=b"\0file")
    write(store, keeping.remove, ["c"])
    late = turn_row(2, "two:1", "whole", b"\0late", f3=b"\0late file")
    assert write(store, keeping.note, "c", late) is False
    write(store, keeping.finish, "c", late)
    write(store, keeping.renew, ["two:1"], 1.0)
    write(store, keeping.withdraw, "c", "two:1", ["f2"])
    with pytest.raises(NotFound):
        claim(store, "two:2")
    tables = (KEPT, TURNS, FILES)
    assert store.read(lambda connection: [connection.execute(select(each)).all() for each in tables]) == [[], [], []]


def test_a_turn_that_never_began_takes_its_files_with_it(store: Any) -> None:
    """Those of earlier turns stay."""
    claim(store, "two:1", f2=b"\0file")
    write(store, keeping.withdraw, "c", "two:1", ["f2"])
    assert store.read(lambda connection: connection.execute(select(FILES.c.digest)).scalars().all()) == ["f1"]
    assert (len(kept(store)), busy(store)) == (1, "")


class Notes:
    """A plugin that keeps something of conversations."""

    def __init__(self) -> None:
        self.erased: list[Erasure] = []
        self.refuses = False

    @hookimpl
    def rom_erase(self, connection: Connection, erasure: Erasure) -> int | None:
        """Erases in the same transaction."""
        assert connection.in_transaction()
        if self.refuses:
            raise RuntimeError("no")
        self.erased.append(erasure)
        return 3 if erasure.user else None


def test_other_plugins_erase_in_the_same_transaction(store: Any) -> None:
    """What they keep of the conversations, or of a person; where one cannot, nothing is erased."""
    notes = Notes()
    turns: Any = Turns(FakeRuntime(store, notes=notes), Sealer())  # type: ignore[arg-type]
    notes.refuses = True
    with pytest.raises(RuntimeError):
        write(store, turns.erase, ["c"])
    assert len(kept(store)) == 1
    notes.refuses = False
    assert write(store, turns.erase, ["c"]) == 0
    assert write(store, turns.erase, [], "maria", "ana") == 3
    assert notes.erased == [Erasure(("c",)), Erasure((), "maria", "ana")]
    assert kept(store) == []
