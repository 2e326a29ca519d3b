"""The outcome of one check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
OK: Status = "ok"
WARN: Status = "warn"
FAIL: Status = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `about` names the check, `todo` says what to do, "" where there is nothing to be done."""

    about: str
    status: Status
    text: str
    todo: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)
