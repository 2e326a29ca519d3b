"""Routes by which people read what is theirs: whose it is, the page of a list, and an answer that nobody keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import falcon

from rom_core.errors import InvalidRequest
from rom_core.store.content_owner import Owner


def owner_of(req: falcon.Request, user: str | None = None) -> Owner:
    """Who asks: the key, and `user` or the parameter of that name. Raises InvalidRequest."""
    return Owner(req.context.key_name, user or req.get_param("user") or "")


def person_of(req: falcon.Request) -> tuple[str, str | None]:
    """Whom an administrator asks about: the parameters `user` and `key_name`. Raises InvalidRequest."""
    user, key_name = req.get_param("user"), req.get_param("key_name")
    if not user or "\0" in user + (key_name or ""):
        raise InvalidRequest("user: name the person as the application does", param="user")
    return user, key_name


def before_of(req: falcon.Request) -> tuple[float, str] | None:
    """After which entry the page begins: its time and id, from `before`; None for the first page.

    Raises InvalidRequest.
    """
    given = req.get_param("before")
    if not given:
        return None
    at, _, entry_id = given.partition("~")
    try:
        # No id has the character NUL, and PostgreSQL takes no text with it.
        return float(at), entry_id.replace("\0", "")
    except ValueError:
        raise InvalidRequest("before: send `next` of the page before, as it came", param="before") from None


def answer_content(resp: falcon.Response, body: Mapping[str, Any]) -> None:
    """Answer with what people have said: nobody on the way keeps it, half a character becomes "?"."""
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("Cache-Control", "no-store")
    resp.data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
