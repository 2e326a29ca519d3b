"""Who may come in: API keys for chats, named tokens for the admin routes. Core, in force before any snapshot.

`Authenticator.check` needs nothing but the head of a request, so that the listener can ask it before the body is here;
the middleware asks the same questions of every request that reaches the app.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import falcon
import structlog

from rom_core.concurrency.clock import Clock
from rom_core.errors import AdminClosed, Forbidden, NotFound, Rejected, RomError, TooManyAttempts, Unauthorized
from rom_core.events import CredentialRefused, Event, RequestRejected
from rom_core.http.access import EVERYBODY, auth_of, scope_setting_of, token_setting_of
from rom_core.http.auth_throttle import AuthThrottle, Throttled
from rom_core.http.canonical_path import is_canonical, not_served, raw_path
from rom_core.http.environ import REFUSAL
from rom_core.http.hosts import check_names
from rom_core.settings import Settings, parse_api_keys

_MISSING: Mapping[str, str] = {
    "key": "a valid API key is needed, as `Authorization: Bearer <key>` or `X-Api-Key: <key>`",
    "admin": "the admin routes need `Authorization: Bearer <ADMIN_TOKEN>`",
    "token": "a valid token is needed, as `Authorization: Bearer <token>`",
}
_SHOWN_CHARS = 100
_BODILESS = ("GET", "HEAD", "OPTIONS")

Header = Callable[[str], str | None]
Found = tuple[object, str]
logger = structlog.get_logger("rom.http")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: the name of the API key, or of the admin token; "" for nobody in particular."""

    key_name: str = ""
    admin_name: str = ""


class Authenticator:
    """Decides from the head of a request whether it may pass.

    A resource says who may use it: `auth` is "key" (the default), "open", "admin", or "token" with the name of a secret
    setting in `token_setting`; while that is empty the route is open. The credential comes as `Authorization: Bearer`,
    a key also as `X-Api-Key`, which wins where both are sent. With no keys configured everyone may chat, as the
    nameless key "", but for pages of strangers in somebody's browser; with no admin token configured nobody is an
    admin. `scope_setting` names a setting that lists the names of the keys or admin tokens that may. Each of the three
    may be a mapping by method. OPTIONS passes: it tells the methods of a route, and browsers send it without
    credentials.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        clock: Clock,
        route: Callable[[str], Found | None],
        closed: Callable[[], RomError | None],
    ) -> None:
        """`settings` gives the stable ones in force: new secrets count from the next request on.

        `route` finds the resource that is served under a decoded path, and its URI template. `closed` tells why no turn
        is taken at this moment.
        """
        self._settings = settings
        self._route = route
        self._closed = closed
        self._known: tuple[Settings, dict[str, _Secrets]] | None = None
        self._throttle = AuthThrottle(clock)

    def check(self, method: str, path: str, headers: Mapping[str, str], address: str) -> RomError | None:
        """Why a request of which only the head is here is refused; None if its body is to be read for the app.

        By its path, by its credential, and, where it asks for a turn, by the kill switch and draining, in this order.
        `path` is the request target as it came; `headers` go by names as WSGI has them without HTTP_ (`X_API_KEY`);
        `address` is the client's (`addresses.client_address`). A wrong credential counts as a guess, so ask once and
        hand the answer on as REFUSAL in the environment of the request. Never blocks; callable from any thread.
        """
        found = self._route(falcon.uri.decode(path.partition("?")[0], unquote_plus=False))
        if found is None or not is_canonical(raw_path(path), found[1]):
            return NotFound(not_served(path.partition("?")[0]))
        try:
            self.identify(found[0], method, lambda name: headers.get(name.upper().replace("-", "_")), address)
        except RomError as error:
            return error
        return self._closed() if method == "POST" and getattr(found[0], "takes_turns", False) else None

    def reads_body(self, method: str, path: str) -> bool:
        """Whether something is served under `path` that may read the body of such a request."""
        found = self._route(falcon.uri.decode(path.partition("?")[0], unquote_plus=False))
        return method not in _BODILESS and found is not None and hasattr(found[0], f"on_{method.lower()}")

    def identify(self, resource: object, method: str, header: Header, address: str) -> Identity:
        """Who asks.

        Raises ForeignHost, Unauthorized, Forbidden, AdminClosed or TooManyAttempts unless the request may pass.
        """
        keys = self._secrets("key", "")
        if not keys:
            settings = self._settings()
            origin = header("Origin")
            named = None if origin in settings.CORS_ORIGINS else origin
            check_names(header("Host"), named, (*settings.ALLOWED_HOSTS, settings.HOST))
        kind = auth_of(resource, method)
        if kind == "open" or method == "OPTIONS":
            return Identity()
        if kind not in _MISSING:
            raise Unauthorized("this route does not say who may use it, so nobody may")
        secrets = self._secrets(kind, token_setting_of(resource, method))
        if not secrets and kind == "admin":
            raise AdminClosed("set ADMIN_TOKEN (one token, or name=token pairs) and restart to open the admin routes")
        if not secrets:
            if kind == "key":
                self._check_scope(resource, method, kind, "", address)
            return Identity()
        given = (header("X-Api-Key") or "").strip() if kind == "key" else ""
        given = given or _bearer(header("Authorization"))
        if not given:
            raise Unauthorized(_MISSING[kind])
        name = self._throttle.compare(address, lambda: secrets.find(given))
        if isinstance(name, Throttled):
            if name.first:
                logger.warning("auth.refused", credential=kind, address=address, code=TooManyAttempts.code)
            raise TooManyAttempts("too many wrong keys or tokens lately; wait", retry_after=name.retry_after)
        if name is None:
            logger.warning("auth.refused", credential=kind, address=address, code=Unauthorized.code)
            refusal = Unauthorized(_MISSING[kind])
            refusal.fault = "wrong"
            raise refusal
        if kind == "token":
            return Identity()
        self._check_scope(resource, method, kind, name, address)
        return Identity(admin_name=name) if kind == "admin" else Identity(key_name=name)

    def _check_scope(self, resource: object, method: str, kind: str, name: str, address: str) -> None:
        """Raise Forbidden unless this key or admin token is among those that may use this method of the route."""
        setting = scope_setting_of(resource, method)
        if not setting:
            return
        names = getattr(self._settings(), setting)
        if EVERYBODY not in names and not (name and name in names):
            logger.warning("auth.refused", credential=kind, address=address, code=Forbidden.code)
            raise Forbidden(f"{name or 'a server without API keys'} is not among the names of {setting}")

    def _secrets(self, kind: str, setting: str) -> _Secrets:
        """The secrets of this kind; hashed once for each snapshot of the settings."""
        settings, known = self._settings(), self._known
        if known is None or known[0] is not settings:
            keys, admins = (_Secrets(parse_api_keys(text)) for text in (settings.API_KEYS, settings.ADMIN_TOKEN))
            self._known = known = settings, {"key": keys, "admin": admins}
        cached = known[1]
        name = f"token:{setting}" if kind == "token" else kind
        if name not in cached:
            token = str(getattr(settings, setting))
            cached[name] = _Secrets({setting: token} if token else {})
        return cached[name]


class Authentication:
    """Falcon middleware: asks `authenticator`; names go to `req.context.key_name` and `req.context.admin_name`."""

    def __init__(self, authenticator: Authenticator, emit: Callable[[Event], None]) -> None:
        self._authenticator = authenticator
        self._emit = emit

    def process_resource(self, req: falcon.Request, _resp: Any, resource: object, _params: dict[str, Any]) -> None:
        """Raise what the listener has refused the request with, or as `Authenticator.identify`."""
        req.context.key_name = req.context.admin_name = ""
        refusal: RomError | None = req.env.get(REFUSAL)
        try:
            if refusal is not None:
                raise refusal
            who = self._authenticator.identify(resource, req.method, req.get_header, req.remote_addr or "")
        except Rejected as error:
            self._emit(RequestRejected(req.uri_template or req.path, error.code))
            raise
        except (Unauthorized, TooManyAttempts) as error:
            self._emit(CredentialRefused(auth_of(resource, req.method), error.fault))
            raise
        req.context.key_name, req.context.admin_name = who.key_name, who.admin_name


class _Secrets:
    """Named secrets, compared by digest in constant time, all of them, so that timing tells nothing."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._digests = {name: _digest(secret) for name, secret in secrets.items()}

    def __len__(self) -> int:
        return len(self._digests)

    def find(self, given: str) -> str | None:
        """The name of the secret that `given` is."""
        digest = _digest(given)
        names = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
        return names[0] if names else None


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
