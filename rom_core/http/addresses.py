"""The address of a client, in one form: what throttles, logs and plugins see as `req.remote_addr`."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any

import falcon

# RFC 7239, 6: an address in brackets, an IPv4 address, or a bare IPv6 address; the port is optional for the first two.
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>[0-9.]+):\d+")
_IPV6_NETWORK_BITS = 64
# The longest IPv6 address has 45 characters; quotes, brackets, a port and a zone may stand around it.
_MAX_CHARS = 100
# What proxies write. None of it reaches a route: what is believed has been taken into the request itself.
_PROXY_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_BY",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)


def canonical(text: str) -> str:
    """The address in `text` in its canonical form (RFC 5952), "" if there is none.

    Quotes, brackets, a port and a zone are taken off; an IPv4 address mapped into IPv6 becomes the IPv4 address.
    """
    text = text.strip().strip('"').strip()
    return _canonical(text) if 0 < len(text) <= _MAX_CHARS else ""


# PERF: the same few clients ask again and again, several times a request; parsing took a thirtieth of a plain turn.
@lru_cache(maxsize=1024)
def _canonical(text: str) -> str:
    match = _WITH_PORT.fullmatch(text)
    if match is not None:
        text = match["v6"] or match["v4"]
    try:
        address = ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def client_address(peer: str, forwarded_for: str, proxies: int) -> str:
    """The canonical address that the outermost of `proxies` trusted proxies saw; the peer's without any.

    `forwarded_for` is X-Forwarded-For, to which each proxy appends. Entries further left are the client's own words. An
    entry that is no address says nothing: then it is the peer's. What is no IP address at all (a socket's path) stays.
    """
    entries = forwarded_for.split(",")[-proxies:] if proxies and forwarded_for.strip() else [""]
    return canonical(entries[0]) or canonical(peer) or peer


def network(address: str) -> str:
    """Whom an address stands for: an IPv4 address for itself, an IPv6 address for its /64, which one client has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))


class ClientAddress:
    """Falcon middleware: `req.remote_addr` and `req.scheme` become the client's, as far as proxies are trusted.

    With TRUSTED_PROXY_COUNT = 0 they are those of the connection. The headers that say so are taken away.
    """

    def __init__(self, proxies: int) -> None:
        self._proxies = proxies

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Before anything looks at the address."""
        env: dict[str, Any] = req.env
        forwarded_for = env.get("HTTP_X_FORWARDED_FOR", "")
        env["REMOTE_ADDR"] = env["REMOTE_HOST"] = client_address(
            env.get("REMOTE_ADDR", ""), forwarded_for, self._proxies
        )
        if self._proxies:
            env["wsgi.url_scheme"] = scheme(env["wsgi.url_scheme"], env.get("HTTP_X_FORWARDED_PROTO", ""))
        for name in _PROXY_HEADERS:
            env.pop(name, None)


def scheme(own: str, forwarded_proto: str) -> str:
    """`https` if a trusted proxy says that the client came that way, else the connection's own."""
    # Of several the outermost proxy's is first; what is written there decides over nothing but HSTS and links.
    return "https" if forwarded_proto.partition(",")[0].strip().lower() == "https" else own
