"""Every transaction in the store is told, with whom it was done for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from store_support import opened

from rom_core.errors import StoreUnavailable
from rom_core.events import Event, StoreUsed
from rom_core.span import Span
from rom_core.store.watching import emit_transactions
from rom_core.telemetry import tracing


def fails(error: Exception) -> Any:
    """An action that raises it."""

    def action(_connection: Any) -> None:
        raise error

    return action


def test_each_transaction_is_told_once_whatever_became_of_it(where: Path | str) -> None:
    """With its kind and operation; what the action itself raises is no failure of the store."""
    told: list[Event] = []
    store = opened(where).store
    emit_transactions(store, told.append)
    store.read(lambda connection: connection.execute(text("SELECT 1")).scalar())
    store.write(lambda connection: connection.execute(text("SELECT 1")).scalar())
    with pytest.raises(ZeroDivisionError):
        store.read(fails(ZeroDivisionError()))
    with pytest.raises(StoreUnavailable):
        store.write(fails(StoreUnavailable("told to fail")))
    used = [event for event in told if isinstance(event, StoreUsed)]
    assert [(event.operation, event.code) for event in used] == [
        ("read", ""),
        ("write", ""),
        ("read", ""),
        ("write", "store_unavailable"),
    ]
    assert {event.kind for event in used} == {"sqlite" if isinstance(where, Path) else "postgresql"}
    assert all(event.duration >= 0 for event in used)


def test_it_is_told_for_whom_it_was_done(tmp_path: Path) -> None:
    """The request or turn that the thread works for; nobody for the work of the process itself."""
    told: list[Any] = []
    store = opened(tmp_path).store
    emit_transactions(store, told.append)
    token = tracing._working_for.set(None)
    try:
        store.read(lambda _: None)
        tracing.work_for("a" * 32, Span("1" * 16))
        store.read(lambda _: None)
    finally:
        tracing._working_for.reset(token)
    assert [(event.trace_id, event.span) for event in told] == [("", None), ("a" * 32, Span("1" * 16))]


def test_without_a_store_there_is_nothing_to_tell() -> None:
    """As in a runtime whose settings come from nowhere."""
    told: list[Event] = []
    emit_transactions(None, told.append)
    assert told == []
