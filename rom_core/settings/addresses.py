"""Addresses in settings: which stay on this machine, and which may carry data and credentials."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, an address or a name below `localhost`; no name is looked up."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def address_problem(url: str) -> str | None:
    """Why nothing is sent to `url`, None for https, or http to loopback. It is not quoted: it may hold a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "must be a URL such as https://host/path"
    if parts.scheme not in ("http", "https") or not host or port == 0 or any(c.isspace() for c in url):
        return "must be a URL such as https://host/path"
    if parts.scheme == "http" and not is_loopback(host):
        return "must begin with https://: plain http is for this machine (loopback) only"
    return None


def origin_problem(origin: str) -> str | None:
    """Why `origin` is none as a browser sends it: scheme, host and, where it is not the scheme's own, port."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return "is no origin such as https://app.example"
    own = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    plain = f"{parts.scheme}://{host}" + ("" if port in (None, own) else f":{port}")
    if own is None or not parts.hostname or origin != plain:
        return "is no origin such as https://app.example: in small letters, with neither path nor the usual port"
    return None
