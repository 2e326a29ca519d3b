"""Draining an instance by an administrator, and taking that back; in a fleet any instance, through the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from rom_core.concurrency.clock import iso
from rom_core.concurrency.intake import Drained
from rom_core.errors import StoreUnavailable
from rom_core.flags import Author
from rom_core.plugin.protocols import PluginStore
from rom_core.runtime import Runtime

if TYPE_CHECKING:
    from sqlalchemy import Connection

TOPIC = "drains"
_AUDIT = "rom.audit"
audit = structlog.get_logger(_AUDIT)
logging.getLogger(_AUDIT).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an instance is to be drained, by whom, why, and since when in seconds since the epoch."""

    draining: bool
    by: str
    why: str
    at: float

    def shown(self) -> dict[str, Any]:
        """{by, why, at}."""
        return {"by": self.by, "why": self.why, "at": iso(self.at)}


class Drains:
    """What has been decided; of this instance also carried out. The newest decision about an instance counts."""

    _runtime: Runtime

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called when this instance is drained, or no longer."""
        self._changed = changed
        self._lock = threading.Lock()
        self._known: Mapping[str, Decision] = {}

    def attach(self, runtime: Runtime) -> None:
        """Decide for this process."""
        self._runtime = runtime

    def start(self) -> None:
        """From now on heed what other instances decide about this one."""
        runtime = self._runtime
        if self._store is not None:
            runtime.fleet.on(TOPIC, self.catch_up)

    @property
    def shown(self) -> dict[str, dict[str, Any]]:
        """Who drained which instance, of those that are."""
        return {id_: decision.shown() for id_, decision in self._known.items() if decision.draining}

    def decide(self, instance: str, author: Author, *, draining: bool) -> bool:
        """Drain an instance, or no longer; whether the others know of it.

        This one is drained even if the store cannot be written. Raises StoreUnavailable for another one.
        """
        decision = Decision(draining, author.by, author.why, self._runtime.clock.time())
        mine, store, kept = instance == self._runtime.fleet.id, self._store, True
        with self._lock:
            if store is not None:
                try:
                    _write(store, instance, decision, {each.id for each in self._runtime.fleet.instances})
                except StoreUnavailable:
                    if not mine:
                        raise
                    kept = False
            if kept:
                self._known = {**self._known, instance: decision}
            _log(instance, decision, author.trace_id)
            if mine:
                self._apply(decision)
        return kept

    def catch_up(self) -> None:
        """Take over what has been decided elsewhere. Raises StoreUnavailable."""
        store, id_ = self._store, self._runtime.fleet.id
        if store is None:
            return
        with self._lock:
            before, self._known = self._known.get(id_), _read(store)
            decided = self._known.get(id_)
            # What could not be written stays in force until somebody decides anew.
            if decided is not None and decided != before:
                _log(id_, decided, "")
                self._apply(decided)

    def _apply(self, decision: Decision) -> None:
        drained = Drained(decision.by, decision.why, decision.at) if decision.draining else None
        self._runtime.intake.set_drained(drained)
        self._changed()

    @property
    def _store(self) -> PluginStore | None:
        """The one that a fleet shares; an instance that is alone has nobody to tell."""
        store = self._runtime.store
        return store if store is not None and store.kind == "postgresql" else None


def _log(instance: str, decision: Decision, trace_id: str) -> None:
    """In the log of whoever decides, and of the instance that it is about, whatever LOG_LEVEL says."""
    fields = {"instance": instance, "by": decision.by, "why": decision.why, "trace_id": trace_id}
    if decision.draining:
        audit.warning("instance.drained", **fields)
    else:
        audit.warning("instance.undrained", **fields)


def _read(store: PluginStore) -> dict[str, Decision]:
    from sqlalchemy import select

    from plugins.operator.tables import DRAINS

    rows = store.read(lambda connection: connection.execute(select(DRAINS)).all())
    return {row.instance: Decision(row.draining, row.by, row.why, row.at) for row in rows}


def _write(store: PluginStore, instance: str, decision: Decision, living: set[str]) -> None:
    """Keep it, forget what was decided about instances that have ended, and tell the fleet."""
    from sqlalchemy import delete, insert

    from plugins.operator.tables import DRAINS
    from rom_core.store.sharing import notify

    row = {"draining": decision.draining, "at": decision.at, "by": decision.by, "why": decision.why}

    def replace(connection: Connection) -> None:
        kept = living - {instance}
        connection.execute(delete(DRAINS).where(DRAINS.c.instance.not_in(kept)))
        connection.execute(insert(DRAINS).values(instance=instance, **row))
        notify(connection, TOPIC)

    store.write(replace)
