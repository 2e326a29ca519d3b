"""What several admin routes show of the process: instances, canary, store, changes that wait; and their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rom_core.concurrency.clock import iso
from rom_core.flags import Flags
from rom_core.fleet import Fleet
from rom_core.plugin.snapshot import Snapshot
from rom_core.runtime import Runtime
from rom_core.settings import thaw
from rom_core.store.overrides import Trouble


def canary_of(snapshot: Snapshot) -> dict[str, Any] | None:
    """{percent, flags, include, salt} of the canary in force, None without one."""
    canary = snapshot.canary
    return None if canary is None else {"percent": canary.percent, **canary.as_dict()}


def instances_of(fleet: Fleet) -> list[dict[str, Any]]:
    """[{id, release, version, since, seen, draining, self}] of the instances that share the store, this one first."""
    return [
        {
            "id": each.id,
            "release": each.release,
            "version": each.version,
            "since": iso(each.since),
            "seen": iso(each.seen),
            "draining": each.draining,
            "self": each.id == fleet.id,
        }
        for each in fleet.instances
    ]


def pending_of(flags: Flags) -> list[dict[str, Any]]:
    """[{id, edits, names, by, why, at, expires_at}] of the changes that wait for a second person."""
    return [
        {
            "id": each.id,
            "edits": thaw(each.edits),
            "names": list(each.names),
            "by": each.by,
            "why": each.why,
            "at": iso(each.at),
            "expires_at": iso(each.expires_at),
        }
        for each in flags.pending
    ]


def store_of(trouble: Trouble | None, *, durable: bool) -> dict[str, Any]:
    """{state: ok|restored|lost|unwritable, detail, durable: whether all that is in force survives a restart}."""
    state, detail = ("ok", "") if trouble is None else (trouble.state, trouble.detail)
    return {"state": state, "detail": detail, "durable": durable}


def drained_of(runtime: Runtime) -> dict[str, Any] | None:
    """{by, why, at} of whoever has drained this instance, None if nobody has."""
    drained = runtime.intake.drained
    return None if drained is None else {"by": drained.by, "why": drained.why, "at": iso(drained.at)}


# -- schemas ---------------------------------------------------------------------------------------------------------


def object_of(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object of these members and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **optional},
    }


def map_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object with names of any kind."""
    return {"type": "object", "additionalProperties": schema}


def list_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a list."""
    return {"type": "array", "items": schema}


_ANY: dict[str, Any] = {}
_TEXT, _BOOL = {"type": "string"}, {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_VERSION = {"type": "integer", "minimum": 1}
CANARY_SHAPE = {
    "anyOf": [
        {"type": "null"},
        object_of({"percent": _COUNT, "flags": map_of(_ANY), "include": list_of(_TEXT), "salt": _TEXT}),
    ]
}
PENDING_SHAPE = list_of(
    object_of(
        {
            "id": _TEXT,
            "edits": map_of(_ANY),
            "names": list_of(_TEXT),
            "by": _TEXT,
            "why": _TEXT,
            "at": _TEXT,
            "expires_at": _TEXT,
        }
    )
)
STORE_SHAPE = object_of(
    {"state": {"enum": ["ok", "restored", "lost", "unwritable"]}, "detail": _TEXT, "durable": _BOOL}
)
INSTANCES = list_of(
    object_of(
        {
            "id": _TEXT,
            "release": _TEXT,
            "version": _VERSION,
            "since": {"type": "string", "description": "when it joined, by the clock of the store"},
            "seen": {"type": "string", "description": "its last heartbeat; unseen for 15 s it leaves the list"},
            "draining": _BOOL,
            "self": {"type": "boolean", "description": "the one that answers"},
        }
    )
)
DRAINED = {
    "description": "who has drained this instance, and why; null if nobody has",
    "anyOf": [{"type": "null"}, object_of({"by": _TEXT, "why": _TEXT, "at": _TEXT})],
}
