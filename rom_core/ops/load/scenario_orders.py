"""What Locust's process is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

ORDERS = "ROM_LOAD_ORDERS"
# The exit code with which the scenario says that its key is refused.
REFUSED = 3


@dataclass(frozen=True, slots=True)
class Orders:
    """`turns`: the file of finished turns; `name` makes messages unique to this run; `seed` of the random generator."""

    url: str
    turns: str
    name: str
    profile: str = "team"
    stand_in: bool = True
    faults: float = 0.0
    seed: int = 0

    def as_text(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))

    @staticmethod
    def of(environ: Mapping[str, str]) -> Orders:
        """What the environment holds. Raises KeyError without any."""
        return Orders(**json.loads(environ[ORDERS]))
