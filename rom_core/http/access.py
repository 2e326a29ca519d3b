"""Who may use a route, as its resource says: `auth`, `token_setting`, `scope_setting`, for all methods or by method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from rom_core.settings import Setting

# Whoever has an API key, everybody, an administrator, or whoever has the secret of a setting.
AUTH_KINDS = ("key", "open", "admin", "token")
# In a setting that lists names: whoever the route's `auth` lets in.
EVERYBODY = "*"
# OPTIONS passes, and HEAD is a GET without a body.
_FREE = ("OPTIONS", "HEAD")


def auth_of(resource: object, method: str) -> Any:
    """The kind of credential that this method of a resource asks for; "" if it does not say."""
    return _said(resource, "auth", method, default="key")


def token_setting_of(resource: object, method: str) -> str:
    """The setting that holds the route's own secret, "" if it has none."""
    return str(_said(resource, "token_setting", method))


def scope_setting_of(resource: object, method: str) -> str:
    """The setting that lists the names of the keys or admin tokens that may, "" if all may that `auth` lets in."""
    return str(_said(resource, "scope_setting", method))


def fault_of(resource: object, declared: Mapping[str, Setting], suffix: str = "") -> str:
    """What is wrong with what a resource says, "" if nothing: a typing error must not open a route."""
    served = [name for name in falcon.COMBINED_METHODS if hasattr(resource, _responder(name, suffix))]
    for name in ("auth", "token_setting", "scope_setting"):
        given = getattr(resource, name, None)
        strange = sorted(set(given) - {*served, *_FREE}) if isinstance(given, Mapping) else ()
        if strange:
            return f"{name} names {', '.join(map(repr, strange))}, which it does not answer"
    for method in [name for name in served if name not in _FREE] or ["GET"]:
        if fault := _fault(resource, method, declared):
            return fault
    return ""


def _fault(resource: object, method: str, declared: Mapping[str, Setting]) -> str:
    auth, scope = auth_of(resource, method), scope_setting_of(resource, method)
    if auth not in AUTH_KINDS:
        shown = f"auth of {method}" if isinstance(getattr(resource, "auth", None), Mapping) else "auth"
        return f"{shown} is {auth!r}, not one of {', '.join(AUTH_KINDS)}"
    if auth == "token":
        token = token_setting_of(resource, method)
        if not token:
            return "auth is 'token', and no token_setting names its secret"
        if token not in declared or declared[token].type is not str:
            return f"token_setting is {token}, which is no setting of text"
    if not scope:
        return ""
    if auth not in ("key", "admin"):
        return f"scope_setting lists names of API keys or admin tokens, and auth is {auth!r}"
    if scope not in declared or declared[scope].type is not list:
        return f"scope_setting is {scope}, which is no setting that is a list"
    return ""


def _said(resource: object, name: str, method: str, default: str = "") -> Any:
    given = getattr(resource, name, default)
    if not isinstance(given, Mapping):
        return given
    return given.get(method, given.get("GET", "") if method == "HEAD" else "")


def _responder(method: str, suffix: str) -> str:
    return f"on_{method.lower()}" + (f"_{suffix}" if suffix else "")
