"""`/`, `/console`, `/assets/…`, `/favicon.ico`: open, as files have no secrets, and strict about what may run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import falcon

from plugins.page.site import PREFIX, Content, Document, Site
from rom_core.errors import NotFound
from rom_core.http.openapi import Operation

FOR_EVER: Final = "public, max-age=31536000, immutable"
REVALIDATE: Final = "no-cache"
_FEATURES: Final = ("camera", "display-capture", "geolocation", "microphone", "payment", "serial", "usb")
HEADERS: Final[Mapping[str, str]] = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


def policy(script_hash: str) -> str:
    """The Content-Security-Policy of a page: its own files and its import map, nothing else; no string becomes code."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {script_hash}",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types dompurify",
        )
    )


class DocumentResource:
    """An HTML page. It is asked for again each time, and sent again only if it has changed."""

    auth = "open"
    operations: Mapping[str, Operation] = {"GET": Operation("A page for people.", statuses=(200, 304))}

    def __init__(self, site: Site, name: str, keys_needed: Callable[[], bool]) -> None:
        """`keys_needed` tells whether the page has to ask for an API key."""
        self._keys_needed = keys_needed
        self._document = lru_cache(maxsize=2)(lambda keys: site.document(name, keys))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page, or 304."""
        document: Document = self._document("needed" if self._keys_needed() else "none")
        resp.set_headers({**HEADERS, "Content-Security-Policy": policy(document.script_hash)})
        _send(req, resp, document.content, REVALIDATE)


class AssetsResource:
    """The files that pages refer to, by names that change with their content."""

    auth = "open"
    route = f"{PREFIX}{{name:path}}"
    operations: Mapping[str, Operation] = {
        "GET": Operation("A file of a page, by its hashed name.", errors=(NotFound,), statuses=(200, 304))
    }

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The file, or 304. Raises NotFound for any other name, an older hash too."""
        content = self._site.assets.get(name)
        if content is None:
            raise NotFound("no file of a page has this name")
        resp.set_headers(HEADERS)
        _send(req, resp, content, FOR_EVER)


class IconResource:
    """What browsers ask for by themselves."""

    auth = "open"
    operations: Mapping[str, Operation] = {"GET": Operation("The icon of the pages.", statuses=(200, 304))}

    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self._name = name

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The icon, or 304."""
        resp.set_headers(HEADERS)
        _send(req, resp, self._site.files[self._name], "public, max-age=86400")


def _send(req: falcon.Request, resp: falcon.Response, content: Content, kept: str) -> None:
    """Answer with `content`, compressed where the client takes that, or with 304 where it has it already."""
    packed = bool(content.compressed) and _takes_gzip(req.get_header("Accept-Encoding") or "")
    tag = f"{content.digest}-gzip" if packed else content.digest
    resp.set_headers({"Cache-Control": kept, "ETag": f'"{tag}"'})
    if content.compressed:
        resp.append_header("Vary", "Accept-Encoding")
    if any(known in ("*", tag) for known in req.if_none_match or ()):
        resp.status = falcon.HTTP_304
        return
    resp.content_type = content.media_type
    if packed:
        resp.set_header("Content-Encoding", "gzip")
    resp.data = content.compressed if packed else content.plain


def _takes_gzip(accepted: str) -> bool:
    """Whether `accepted`, an Accept-Encoding header, names gzip or `*`, above nothing (RFC 9110, 12.5.3)."""
    weights: dict[str, bool] = {}
    for entry in accepted.lower().split(","):
        name, _, weight = entry.partition(";")
        weights[name.strip()] = weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.", "q=.")
    return weights.get("gzip", weights.get("*", False))
