"""Who may come in: API keys for chats, named tokens for the admin routes. Core, in force before any snapshot."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

import falcon

from rom_core.concurrency.clock import Clock
from rom_core.errors import AdminClosed, TooManyAttempts, Unauthorized
from rom_core.settings import Settings, parse_api_keys

# Wrong admin tokens from one address within the window before it is told to wait, and addresses remembered.
MAX_FAILURES = 10
FAILURE_WINDOW_SECONDS = 60.0
_MAX_ADDRESSES = 1024


class Authentication:
    """Falcon middleware. A resource says who may use it: `auth` is "key" (the default), "open" or "admin".

    The key or token comes as `Authorization: Bearer`, a key also as `X-Api-Key`. Its name, never itself, goes to
    `req.context.key_name` or `req.context.admin_name`. With no keys configured everyone may chat, as the nameless key
    ""; with no token configured nobody is an admin. OPTIONS passes: it tells the methods of a route, and browsers send
    it without credentials.
    """

    def __init__(self, settings: Callable[[], Settings], clock: Clock) -> None:
        """`settings` gives the stable ones in force: new API_KEYS or an ADMIN_TOKEN count from the next request on."""
        self._settings = settings
        self._known: tuple[Settings, _Secrets, _Secrets] | None = None
        self._failures = _Failures(clock)

    def process_resource(self, req: falcon.Request, _resp: Any, resource: object, _params: dict[str, Any]) -> None:
        """Raise Unauthorized, AdminClosed or TooManyAttempts unless the request may pass."""
        req.context.key_name = req.context.admin_name = ""
        if req.method == "OPTIONS":
            return
        kind = getattr(resource, "auth", "key")
        keys, admins = self._secrets()
        if kind == "key" and keys:
            name = keys.find(_bearer(req) or req.get_header("X-Api-Key"))
            if name is None:
                raise Unauthorized("a valid API key is needed, as `Authorization: Bearer <key>` or `X-Api-Key: <key>`")
            req.context.key_name = name
        elif kind == "admin":
            req.context.admin_name = self._admin(req, admins)
        elif kind not in ("key", "open"):
            raise Unauthorized("this route does not say who may use it, so nobody may")

    def _secrets(self) -> tuple[_Secrets, _Secrets]:
        """Keys and admin tokens; hashed once for each snapshot of the settings."""
        settings, known = self._settings(), self._known
        if known is None or known[0] is not settings:
            keys, admins = (_Secrets(parse_api_keys(text)) for text in (settings.API_KEYS, settings.ADMIN_TOKEN))
            self._known = known = settings, keys, admins
        return known[1], known[2]

    def _admin(self, req: falcon.Request, admins: _Secrets) -> str:
        if not admins:
            raise AdminClosed("set ADMIN_TOKEN (one token, or name=token pairs) and restart to open the admin routes")
        name = admins.find(_bearer(req))
        if name is not None:
            return name
        wait = self._failures.note(req.remote_addr or "")
        if wait is not None:
            raise TooManyAttempts("too many wrong admin tokens from this address", retry_after=wait)
        raise Unauthorized("the admin routes need `Authorization: Bearer <ADMIN_TOKEN>`")


class _Secrets:
    """Named secrets, compared by digest in constant time, all of them, so that timing tells nothing."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._digests = {name: _digest(secret) for name, secret in secrets.items()}

    def __len__(self) -> int:
        return len(self._digests)

    def find(self, given: str | None) -> str | None:
        """The name of the secret that `given` is."""
        digest = _digest((given or "").strip())
        names = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
        return names[0] if names else None


class _Failures:
    """Recent failures by address; bounded, the address that failed longest ago is forgotten first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, address: str) -> float | None:
        """Count a failure; the seconds to wait once there are too many, None before that."""
        now = self._clock.monotonic()
        with self._lock:
            times = self._times.setdefault(address, deque(maxlen=MAX_FAILURES + 1))
            self._times.move_to_end(address)
            if len(self._times) > _MAX_ADDRESSES:
                self._times.popitem(last=False)
            while times and times[0] <= now - FAILURE_WINDOW_SECONDS:
                times.popleft()
            times.append(now)
            if len(times) <= MAX_FAILURES:
                return None
            return times[0] + FAILURE_WINDOW_SECONDS - now


def _bearer(req: falcon.Request) -> str | None:
    scheme, _, token = (req.get_header("Authorization") or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
