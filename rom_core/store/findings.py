"""What a look at the store finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from rom_core.errors import StoreRefused
from rom_core.store.migrate import current_revision, due
from rom_core.store.owners import Owner


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether `about` is as it should be, and what there is to say of it."""

    about: str
    good: bool
    text: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"about": self.about, "good": self.good, "text": self.text}


def whole(version: int) -> str:
    """What there is to say of a store, or a copy of one, in which nothing is wrong."""
    return f"whole, version {version} of the settings"


def restored_from(file: Path) -> str:
    """What the history says of a restore."""
    return f"restored from the backup {file.name}"


def described(connection: Connection, owners: Sequence[Owner]) -> list[Finding]:
    """The migrations of every owner."""
    existing = set(inspect(connection).get_table_names())
    findings = []
    for owner in owners:
        name = f"tables of plugin {owner.plugin}" if owner.plugin else "tables of the core"
        try:
            waits = bool(due(connection, [owner]))
        except StoreRefused as error:
            findings.append(Finding(name, good=False, text=error.detail))
            continue
        current = current_revision(connection, owner, existing)
        state = f"at migration {current}" if current is not None else "not made yet"
        findings.append(Finding(name, good=True, text=f"{state}; the next start migrates" if waits else state))
    return findings
