"""A turn that goes on by itself, whoever has asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BackgroundTurn:
    """An answer to `rom_background`: the turn was taken, and goes on whatever becomes of the request.

    `body` is what the client is answered, with 202. `follow` gives a client that asked for a stream its bytes, as
    Server-Sent Events from the beginning: it is called with the request and with a function that ends what the request
    holds, which the stream's `close` calls.
    """

    body: Mapping[str, Any]
    follow: Callable[[Any, Callable[[], None]], Iterable[bytes]]
