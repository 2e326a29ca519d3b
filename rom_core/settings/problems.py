"""What is wrong with the settings: all of it, in words for the person who can put it right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rom_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right: the setting, file or variable it is about, and what is wrong with it.

    `message` never holds the value of a secret, nor any value whose setting is not known. `related` are the settings
    that a broken rule is about, `name` among them.
    """

    name: str
    message: str
    related: tuple[str, ...] = field(default=(), compare=False)

    def as_dict(self) -> dict[str, str]:
        """As in the `errors` of an HTTP answer."""
        return {"name": self.name, "message": self.message}


class InvalidSettings(ConfigurationError):
    """The settings cannot be used. `problems` lists every reason, `str()` is the same for a terminal.

    In an HTTP answer the reasons are the member `errors`, a list of {name, message}.
    """

    code, status, title = "invalid_settings", 422, "Invalid settings"
    should_retry = False

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = (f"  {problem.name}: {problem.message}" for problem in self.problems)
        super().__init__("\n".join((f"Invalid settings, {count}:", *lines)))
        self.members = {"errors": [problem.as_dict() for problem in self.problems]}
