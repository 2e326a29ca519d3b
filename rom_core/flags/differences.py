"""What has changed from one state of the settings to the next: for the history, for answers, for events."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rom_core.flags.canary import describe
from rom_core.plugin.snapshot import Snapshot
from rom_core.settings import Settings
from rom_core.store.overrides import CANARY, PENDING, Change


def changes_between(
    before: Settings, after: Settings, overrides_before: Mapping[str, Any], overrides_after: Mapping[str, Any]
) -> list[Change]:
    """What the history keeps of a change, by name: overrides set and cleared, and what the layers say now.

    Replaying it over `overrides_before` gives `overrides_after`. Values are those in force, the value of an override
    that was set its own; secrets are masked.
    """
    changes = []
    for name in sorted({*before.declared, *after.declared, *overrides_before, *overrides_after}):
        old, new = _shown(before, name), _shown(after, name)
        if name in (CANARY, PENDING):
            old, new = overrides_before.get(name), overrides_after.get(name)
        if name in overrides_after:
            if name not in overrides_before or overrides_before[name] != overrides_after[name]:
                changes.append(Change(name, "set", old, overrides_after[name]))
        elif name in overrides_before:
            changes.append(Change(name, "clear", old, new))
        elif _differs(before, after, name):
            changes.append(Change(name, "reload", old, new))
    return changes


def differences(before: Snapshot, after: Snapshot) -> dict[str, tuple[Any, Any]]:
    """The values that differ, as (before, after), secrets masked; the canary block under `canary`."""
    old, new = before.settings, after.settings
    names = sorted({*old.declared, *new.declared})
    changed = {name: (_shown(old, name), _shown(new, name)) for name in names if _differs(old, new, name)}
    blocks = tuple(s.canary.as_dict() if s.canary is not None else None for s in (before, after))
    if blocks[0] != blocks[1]:
        changed[CANARY] = (blocks[0], blocks[1])
    return changed


def for_events(changed: Mapping[str, tuple[Any, Any]]) -> Mapping[str, tuple[Any, Any]]:
    """The same without the names of keys: events go into logs and alerts."""
    return MappingProxyType(
        {name: (describe(old), describe(new)) if name == CANARY else (old, new) for name, (old, new) in changed.items()}
    )


def _differs(before: Settings, after: Settings, name: str) -> bool:
    return bool(getattr(before, name, None) != getattr(after, name, None))


def _shown(settings: Settings, name: str) -> Any:
    return settings.shown(name) if name in settings.declared else None
