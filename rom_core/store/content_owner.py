"""Whose content it is: what people have said is theirs, under the key that they came with."""

from __future__ import annotations

from dataclasses import dataclass

from rom_core.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Owner:
    """The name of the API key, and the `user` that its holder named ("" for none)."""

    key_name: str
    user: str

    def __post_init__(self) -> None:
        """Raises InvalidRequest for a name that PostgreSQL cannot keep."""
        if "\0" in self.user:
            raise InvalidRequest("user: must not hold the character NUL", param="user")
