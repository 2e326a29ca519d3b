"""What the admin routes answer: the values, and the schemas that document them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rom_core import __version__
from rom_core.concurrency.clock import iso
from rom_core.flags import Applied, Flags, Preview
from rom_core.flags.proposals import KILL_SWITCH
from rom_core.fleet import InForceAt
from rom_core.http.process_shapes import (
    CANARY_SHAPE,
    DRAINED,
    INSTANCES,
    PENDING_SHAPE,
    STORE_SHAPE,
    canary_of,
    drained_of,
    instances_of,
    list_of,
    map_of,
    object_of,
    pending_of,
    store_of,
)
from rom_core.plugin.catalogue import describe
from rom_core.runtime import Runtime
from rom_core.settings import Problem, Setting, Settings, thaw
from rom_core.settings.layers import OVERRIDE
from rom_core.store.overrides import CANARY, PENDING, Version
from rom_core.telemetry.health_shape import HEALTH, health_of

_ACTIONS = {"set": "set", "clear": "cleared"}


def flags_of(source: Flags) -> dict[str, Any]:
    """The answer of GET /admin/flags."""
    killed, in_force = source.killed, source.now
    snapshot, overrides = in_force.snapshot, in_force.state.overrides
    settings = snapshot.settings
    flags = {name: _flag(settings, setting) for name, setting in settings.declared.items()}
    skipped = {problem.name for problem in in_force.skipped}
    for name, override in overrides.items():
        if name in flags and name not in skipped:
            flags[name] |= {"by": override.by, "at": iso(override.at), "why": override.why}
    if killed:
        flags[KILL_SWITCH] |= {"value": False, "source": OVERRIDE}
    return {
        "version": snapshot.version,
        "environment": settings.environment,
        "flags": flags,
        CANARY: canary_of(snapshot),
        PENDING: pending_of(source),
        "skipped": _problems(in_force.skipped),
        "awaiting_restart": _masked(settings, settings.awaiting_restart),
        "store": store_of(source.trouble, durable=source.durable),
    }


def applied_of(applied: Applied, settings: Settings, reached: InForceAt) -> dict[str, Any]:
    """The answer to a change; `settings` mask what is a secret, `reached` tells where it is in force."""
    return {
        "version": applied.version,
        "in_force": {"instances": reached.instances, "of": reached.of, "unconfirmed": list(reached.unconfirmed)},
        "changed": {name: {"from": old, "to": new} for name, (old, new) in applied.changed.items()},
        "durable": applied.durable,
        "skipped": _problems(applied.skipped),
        "awaiting_restart": _masked(settings, applied.awaiting_restart),
        **({"pending": applied.pending} if applied.pending else {}),
        **({"not_reloaded": _problems(applied.not_reloaded)} if applied.not_reloaded else {}),
    }


def preview_of(preview: Preview, settings: Settings) -> dict[str, Any]:
    """The answer to a change that was only tried; `settings` mask what is a secret."""
    return {
        "dry_run": True,
        "version": preview.version,
        "changed": {name: {"from": old, "to": new} for name, (old, new) in preview.changed.items()},
        "overrides": {name: _ACTIONS[action] for name, action in preview.overrides.items()},
        "skipped": _problems(preview.skipped),
        "awaiting_restart": _masked(settings, preview.awaiting_restart),
        "needs_approval": list(preview.needs_approval),
    }


def version_of(version: Version, settings: Settings, *, durable: bool) -> dict[str, Any]:
    """One entry of the history, masked once more: a setting may have become a secret since."""
    return {
        "version": version.number,
        "at": iso(version.at),
        "by": version.by,
        "why": version.why,
        "trace_id": version.trace_id,
        "durable": durable,
        "changes": {
            change.name: {
                "from": settings.masked(change.name, change.before),
                "to": settings.masked(change.name, change.after),
            }
            | ({"override": _ACTIONS[change.action]} if change.action in _ACTIONS else {})
            for change in version.changes
        },
    }


def status_of(runtime: Runtime) -> dict[str, Any]:
    """The answer of GET /admin/status."""
    snapshot, flags = runtime.current, runtime.flags
    parts = snapshot.pipeline.status()
    return {
        "health": health_of(runtime.health),
        "version": snapshot.version,
        "environment": snapshot.settings.environment,
        "release": __version__,
        "bedrock_enabled": runtime.bedrock_enabled(),
        "draining": not runtime.intake.open,
        "drained": drained_of(runtime),
        "admitted": runtime.admitted,
        "max_admitted": runtime.max_turns,
        "active_turns": runtime.active_turns,
        "pools": {
            pool.name: {"size": pool.size, "outstanding": pool.outstanding, "abandoned": pool.abandoned}
            for pool in (runtime.turn_pool, runtime.tool_pool)
        },
        "plugins": [
            {**plugin, **({"status": parts[plugin["name"]]} if plugin["name"] in parts else {})}
            for plugin in describe(runtime.catalogue, snapshot.settings)
        ],
        "observer_errors": [
            {"plugin": plugin, "hook": hook, "count": count}
            for (plugin, hook), count in sorted(runtime.observer_errors.items())
        ],
        CANARY: canary_of(snapshot),
        PENDING: [] if flags is None else pending_of(flags),
        "instances": instances_of(runtime.fleet),
        "fleet_away": runtime.fleet.away,
        "store": None if flags is None else store_of(flags.trouble, durable=flags.durable),
    }


def _flag(settings: Settings, setting: Setting) -> dict[str, Any]:
    limits = {"minimum": setting.minimum, "maximum": setting.maximum, "choices": thaw(setting.choices)}
    return {
        "value": settings.shown(setting.name),
        "type": setting.type.__name__,
        "source": settings.source(setting.name),
        "plugin": setting.plugin,
        "help": setting.help,
        # A secret is changed where it is kept, never here.
        "runtime": setting.runtime and not setting.secret,
        "scope": setting.scope,
        "secret": setting.secret,
        "sensitive": setting.sensitive,
        "default": thaw(setting.default),
        **{name: limit for name, limit in limits.items() if limit is not None},
    }


def _problems(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [problem.as_dict() for problem in problems]


def _masked(settings: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings.masked(name, value) for name, value in values.items()}


# -- schemas ---------------------------------------------------------------------------------------------------------


_ANY: dict[str, Any] = {}
_TEXT, _BOOL = {"type": "string"}, {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_VERSION = {"type": "integer", "minimum": 1}
_PROBLEMS = list_of(object_of({"name": _TEXT, "message": _TEXT}))
_FLAG = object_of(
    {
        "value": _ANY,
        "type": {"enum": ["bool", "int", "float", "str", "list", "dict"]},
        "source": {"type": "string", "description": "the layer that the value came from"},
        "plugin": {"type": ["string", "null"]},
        "help": _TEXT,
        "runtime": {"type": "boolean", "description": "whether it can be overridden here"},
        "scope": {"enum": ["turn", "process"]},
        "secret": _BOOL,
        "sensitive": {"type": "boolean", "description": "whether a new value waits for a second person"},
        "default": _ANY,
    },
    minimum=_ANY,
    maximum=_ANY,
    choices=list_of(_ANY),
    by=_TEXT,
    at=_TEXT,
    why=_TEXT,
)
FLAGS_ANSWER = object_of(
    {
        "version": _VERSION,
        "environment": _TEXT,
        "flags": map_of(_FLAG),
        CANARY: CANARY_SHAPE,
        PENDING: PENDING_SHAPE,
        "skipped": _PROBLEMS,
        "awaiting_restart": map_of(_ANY),
        "store": STORE_SHAPE,
    }
)
APPLIED_ANSWER = object_of(
    {
        "version": _VERSION,
        "in_force": object_of({"instances": _COUNT, "of": _COUNT, "unconfirmed": list_of(_TEXT)}),
        "changed": map_of(object_of({"from": _ANY, "to": _ANY})),
        "durable": _BOOL,
        "skipped": _PROBLEMS,
        "awaiting_restart": map_of(_ANY),
    },
    not_reloaded=_PROBLEMS,
    pending={"type": "string", "description": "with 202: the id under which it waits for a second person"},
)
PREVIEW_ANSWER = object_of(
    {
        "dry_run": {"const": True},
        "version": {**_VERSION, "description": "that is in force"},
        "changed": map_of(object_of({"from": _ANY, "to": _ANY})),
        "overrides": {
            **map_of({"enum": ["set", "cleared"]}),
            "description": "overrides that would be set or cleared, whether that changes a value or not",
        },
        "skipped": _PROBLEMS,
        "awaiting_restart": map_of(_ANY),
        "needs_approval": {**list_of(_TEXT), "description": "settings for which it would wait for a second person"},
    }
)
APPLIED_OR_PREVIEW = {"oneOf": [APPLIED_ANSWER, PREVIEW_ANSWER]}
HISTORY_ANSWER = object_of(
    {
        "versions": list_of(
            object_of(
                {
                    "version": _VERSION,
                    "at": _TEXT,
                    "by": _TEXT,
                    "why": _TEXT,
                    "trace_id": _TEXT,
                    "durable": _BOOL,
                    "changes": map_of(object_of({"from": _ANY, "to": _ANY}, override={"enum": ["set", "cleared"]})),
                }
            )
        )
    }
)
STATUS_ANSWER = object_of(
    {
        "health": HEALTH,
        "version": _VERSION,
        "environment": _TEXT,
        "release": _TEXT,
        "bedrock_enabled": _BOOL,
        "draining": _BOOL,
        "drained": DRAINED,
        "admitted": _COUNT,
        "max_admitted": _COUNT,
        "active_turns": _COUNT,
        "pools": map_of(object_of({"size": _COUNT, "outstanding": _COUNT, "abandoned": _COUNT})),
        "plugins": list_of({"type": "object", "required": ["name", "enabled", "switch", "hooks", "origin", "error"]}),
        "observer_errors": list_of(object_of({"plugin": _TEXT, "hook": _TEXT, "count": _COUNT})),
        CANARY: CANARY_SHAPE,
        PENDING: PENDING_SHAPE,
        "instances": INSTANCES,
        "fleet_away": {"type": "string", "description": "why the others cannot be reached, or empty"},
        "store": {"anyOf": [{"type": "null"}, STORE_SHAPE]},
    }
)
RELOAD_BODY = {
    "type": "object",
    "description": "settings to override, by name; null or an empty text clears one",
    "properties": {
        "reason": {"type": "string", "maxLength": 500, "description": "for the history; or X-Rom-Reason"},
        CANARY: {
            "type": ["object", "null", "string"],
            "description": "{flags, include, salt}: replaces the canary, null ends it",
        },
    },
}
APPROVE_BODY = {
    "type": "object",
    "required": ["id"],
    "additionalProperties": False,
    "properties": {"id": _TEXT, "reason": {"type": "string", "maxLength": 500}},
}
ROLLBACK_BODY = {
    "type": "object",
    "required": ["version"],
    "additionalProperties": False,
    "properties": {"version": {"type": ["integer", "string"]}, "reason": {"type": "string", "maxLength": 500}},
}
