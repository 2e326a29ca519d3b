"""What a look at the store finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, inspect, text

from rom_core.errors import StoreRefused
from rom_core.store.migrate import due
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
        current = None
        if owner.version_table in existing:
            current = connection.execute(text(f"SELECT version_num FROM {owner.version_table}")).scalar()  # noqa: S608
        state = f"at migration {current}" if current is not None else "not made yet"
        findings.append(Finding(name, good=True, text=f"{state}; the next start migrates" if waits else state))
    return findings
