"""Under which names a server without API keys may be addressed: it trusts everybody here, pages in a browser not.

A page can have its own name point at 127.0.0.1 (DNS rebinding) and then read whatever answers there; what it cannot do
is send another Host or Origin than its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from rom_core.errors import ForeignHost
from rom_core.http.addresses import canonical

ANY = "*"
_SHOWN_CHARS = 100


def check_names(host: str | None, origin: str | None, allowed: Iterable[str]) -> None:
    """Raise ForeignHost unless the headers Host and Origin, where there are any, name this machine or one of `allowed`.

    `allowed` are names without scheme and port; `*` is every name.
    """
    names = {name.strip().rstrip(".").lower() for name in allowed if name.strip()}
    if ANY in names:
        return
    for header, value, name in (("Host", host, _name(host or "")), ("Origin", origin, _name_of_origin(origin or ""))):
        if value and not (name in names or is_loopback(name)):
            raise ForeignHost(
                f"without API_KEYS this server answers on localhost only, and {header} is {value[:_SHOWN_CHARS]!r}: "
                "set API_KEYS, or add the name to ALLOWED_HOSTS and restart"
            )


@lru_cache(maxsize=32)
def is_loopback(name: str) -> bool:
    """Whether a name or address without a port can mean nothing but this machine."""
    if name == "localhost":
        return True
    address = canonical(name)
    return bool(address) and ipaddress.ip_address(address).is_loopback


@lru_cache(maxsize=32)
def _name(host: str) -> str:
    """The name in a Host header, without its port; "" if there is none."""
    # Where a name ends is read in more than one way with these.
    if any(character in host for character in "@\\/?#"):
        return ""
    try:
        return (urlsplit(f"//{host.strip()}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def _name_of_origin(origin: str) -> str:
    """The name in an Origin header; "" for `null`, which sandboxed pages send."""
    scheme, separator, host = origin.partition("://")
    return _name(host) if separator and scheme else ""
