"""What is wrong with the settings: all of it, in words for the person who can put it right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rom_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right: the setting, file or variable it is about, and what is wrong with it.

    `message` never holds the value of a secret, nor any value whose setting is not known.
    """

    name: str
    message: str


class InvalidSettings(ConfigurationError):
    """The settings cannot be used. `problems` lists every reason, `str()` is the same for a terminal."""

    code, status, title = "invalid_settings", 422, "Invalid settings"
    should_retry = False

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = (f"  {problem.name}: {problem.message}" for problem in self.problems)
        super().__init__("\n".join((f"Invalid settings, {count}:", *lines)))
