"""Bearer tokens as command line clients send them: to the server that was named, and to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rom_core.settings.keys import NO_PART_OF_IT, wrapping_of

if TYPE_CHECKING:
    import requests


class BadToken(ValueError):
    """It cannot stand in a header; the text says which variable holds it, never what is in it."""


class Bearer:
    """An `auth` of requests. With one, even of an empty token, requests does not look into ~/.netrc."""

    def __init__(self, token: str, variable: str) -> None:
        """`variable` is where the token came from. Raises BadToken."""
        self._token = token.strip()
        if (wrapping := wrapping_of(self._token)) is not None:
            raise BadToken(f"{variable} has {wrapping}, {NO_PART_OF_IT}")
        if not self._token.isascii() or not self._token.isprintable() or " " in self._token:
            raise BadToken(f"{variable} holds characters that a token cannot have: printable ASCII without spaces only")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the token into the request."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request
