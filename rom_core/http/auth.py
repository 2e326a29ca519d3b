"""API keys: core, in force before any plugin or snapshot."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import falcon

from rom_core.errors import Unauthorized


class ApiKeys:
    """Falcon middleware: a resource is closed without a valid key unless it says `auth = "open"`.

    With no keys configured everyone passes, as the nameless key "". The key comes as `Authorization: Bearer` or
    `X-Api-Key`; its name, never the key, goes to `req.context.key_name`.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        """`keys` maps names to keys."""
        self._digests = {name: _digest(key) for name, key in keys.items()}

    def process_resource(self, req: falcon.Request, _resp: Any, resource: object, _params: dict[str, Any]) -> None:
        """Raise Unauthorized unless the request may pass."""
        req.context.key_name = ""
        if not self._digests or getattr(resource, "auth", "key") == "open":
            return
        given = _digest(_key_of(req))
        # Every key is compared, in constant time, so that timing tells nothing about which one was close.
        names = [name for name, digest in self._digests.items() if hmac.compare_digest(digest, given)]
        if not names:
            raise Unauthorized("a valid API key is needed, as `Authorization: Bearer <key>` or `X-Api-Key: <key>`")
        req.context.key_name = names[0]


def _key_of(req: falcon.Request) -> str:
    scheme, _, token = (req.get_header("Authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return (req.get_header("X-Api-Key") or "").strip()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
