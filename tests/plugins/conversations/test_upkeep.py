"""What happens to conversations while nobody asks: they expire, and old keys are left behind."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from kept_support import WHO, FakeRuntime, new_store
from sqlalchemy import select

from plugins.conversations import ageing, keeping
from plugins.conversations.keeping import TurnRow
from plugins.conversations.tables import FILES, KEPT, METADATA, TURNS
from plugins.conversations.turns import RENEW_SECONDS, Turns
from plugins.conversations.upkeep import Upkeep
from rom_core.store.sealing import Sealer

DAY = 86_400.0
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Any]:
    """A runtime whose store has the tables."""
    store = new_store(tmp_path)
    yield FakeRuntime(store)
    store.close()


def keep(runtime: Any, conversation_id: str, sealer: Sealer, files: int = 0) -> None:
    """A conversation of one turn that has ended."""
    at = runtime.clock.time()
    sealed = {str(number): sealer.seal(b"file") for number in range(files)}
    row = TurnRow(1, f"turn of {conversation_id}", at, "whole", "", sealer.seal(b"[]"), sealed)
    title = sealer.seal(b"title")
    runtime.store.write(lambda connection: keeping.begin(connection, conversation_id, WHO, title, row))
    runtime.store.write(lambda connection: keeping.finish(connection, conversation_id, row))


def ids(runtime: Any) -> list[str]:
    """Of all conversations."""
    return sorted(runtime.store.read(lambda connection: connection.execute(select(KEPT.c.id)).scalars().all()))


def test_a_conversation_is_erased_when_its_days_are_over(runtime: Any) -> None:
    """With its turns and files; one in which something happened later stays."""
    upkeep = Upkeep(runtime, Turns(runtime, Sealer()))
    for number in range(120):
        keep(runtime, f"old {number}", Sealer(), files=1)
    runtime.clock.advance(89 * DAY)
    keep(runtime, "young", Sealer())
    upkeep.look()
    assert len(ids(runtime)) == 121
    runtime.clock.advance(DAY + 1)
    upkeep.look()
    assert ids(runtime) == ["young"]
    counted = runtime.store.read(
        lambda connection: [len(connection.execute(select(table)).all()) for table in (TURNS, FILES)]
    )
    assert counted == [1, 0]


def test_what_an_old_key_encrypted_is_encrypted_anew(runtime: Any) -> None:
    """Titles, turns and files, also what was not encrypted at all; then the old key is needed no more."""
    keep(runtime, "plain", Sealer(), files=2)
    for number in range(60):
        keep(runtime, f"sealed {number}", Sealer([OLD]), files=1)
    turns = Turns(runtime, Sealer([NEW, OLD]))
    Upkeep(runtime, turns).look()
    marks = runtime.store.read(ageing.marks)
    assert sum(count for _, count in marks) == 3 * 61 + 1
    assert all(Sealer([NEW]).is_current(mark) for mark, _ in marks)
    row = runtime.store.read(lambda connection: keeping.turns(connection, "sealed 7"))[0]
    assert Sealer([NEW]).open(row.body) == b"[]"


def test_every_table_has_its_migration(runtime: Any) -> None:
    """What the migrations make is what the code expects."""
    runtime.store.read(lambda connection: [connection.execute(select(table)).all() for table in METADATA.sorted_tables])


def test_what_runs_is_held_in_the_middle_of_long_work(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Erasing or encrypting very many entries takes longer than a claim holds."""
    for number in range(150):
        keep(runtime, f"old {number}", Sealer([OLD]))
    turns = Turns(runtime, Sealer([NEW, OLD]))
    upkeep = Upkeep(runtime, turns)
    tended: list[float] = []
    monkeypatch.setattr(turns, "tend", lambda: tended.append(runtime.clock.monotonic()))
    batch = ageing.reseal

    def slow(*given: Any) -> int:
        runtime.clock.advance(RENEW_SECONDS)
        return batch(*given)

    monkeypatch.setattr(ageing, "reseal", slow)
    upkeep.look()
    assert len(tended) >= 150 * 2 // 50
    assert max(later - earlier for earlier, later in pairwise(tended)) <= RENEW_SECONDS
