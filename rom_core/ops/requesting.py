"""The session with which every request of ours over HTTP is sent, the one to Bedrock excepted (boto3 sends that).

Nothing is taken from ~/.netrc and no redirect is followed, so a token goes to the address it was given for, and no
other credentials go in its place. Loopback is asked directly, and so is any plain http address: a proxy would read
the token. For an https address HTTPS_PROXY, ALL_PROXY and NO_PROXY count as usual: such a proxy is asked for a tunnel
and sees the host's name alone. REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE name the certificates to trust.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies

from rom_core.settings import is_loopback


class DirectSession(requests.Session):
    """A session by the rules above. `auth` is the only source of credentials."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """As in requests, through the proxies that the address may use, and following no redirect."""
        address = url.decode("ascii") if isinstance(url, bytes) else url
        options["proxies"] = proxies_for(address)
        options["allow_redirects"] = False
        return super().request(method, url, *args, **options)


FOREIGN: tuple[type[Exception], ...] = (ValueError, LookupError, TypeError, AttributeError)
"""What reading an answer raises that has another shape than ours have."""


def json_of(text: str | bytes) -> Any:
    """What JSON from elsewhere means. Raises ValueError for what is none, or is nested deeper than anybody needs."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def proxies_for(url: str) -> dict[str, str]:
    """The proxies of the environment for `url`, in the form of requests; {} for loopback and for plain http."""
    parts = urlsplit(url)
    if parts.scheme.lower() != "https" or is_loopback(parts.hostname or ""):
        return {}
    found = get_environ_proxies(url)
    return {name: found[name] for name in ("https", "all") if found.get(name)}
