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
