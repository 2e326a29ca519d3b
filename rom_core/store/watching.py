"""An event for every transaction in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from rom_core.errors import StoreUnavailable
from rom_core.events import StoreUsed
from rom_core.store.base import Store
from rom_core.telemetry.tracing import working_for
from rom_core.turn_values import Event


@contextmanager
def watched(store: Store, operation: Literal["read", "write"]) -> Iterator[None]:
    """Call the store's watcher with the block's outcome. What the action itself raises is no failure of the store."""
    began, failure = time.monotonic(), None
    try:
        yield
    except StoreUnavailable as error:
        failure = error
        raise
    finally:
        if store.watcher is not None:
            store.watcher(operation, time.monotonic() - began, failure)


def emit_transactions(store: Store | None, emit: Callable[[Event], None]) -> None:
    """Emit an event for every transaction in a store from now on, with the request or turn its thread works for."""
    if store is None:
        return

    def watch(operation: str, seconds: float, error: StoreUnavailable | None) -> None:
        place = working_for()
        emit(
            StoreUsed(
                kind=store.kind,
                operation=operation,
                duration=seconds,
                code=error.code if error is not None else "",
                trace_id=place.trace_id if place is not None else "",
                span=place.span if place is not None else None,
            )
        )

    store.watcher = watch
