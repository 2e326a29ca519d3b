"""One path for each route: what is spelt otherwise is not found, or a rule at an edge for `/admin/` would miss it.

Servers decode a path and merge its slashes before they route: `//admin/flags`, `/%61dmin/flags` and `/admin%2Fflags`
would all reach `/admin/flags`. Under /v1/, where clients of other APIs come with base addresses of all kinds, one slash
may stand at the end.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import falcon

# A field of a URI template, with its converter; `path` is the one that takes several segments.
_FIELD = re.compile(r"{(?P<name>[A-Za-z_]\w*)(?::(?P<converter>\w+)(?:\([^)]*\))?)?}")
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_LENIENT = "/v1/"


# Of the client's own, in what is answered.
_SHOWN_CHARS = 100
# What the newest clients ask for by themselves, and how each of them is told to ask for what is served.
_RESPONSES = (
    "use POST /v1/chat/completions: openai.chat(model) in the AI SDK, Agent('openai-chat:model') in pydantic-ai, "
    "set_default_openai_api('chat_completions') in openai-agents, use_responses_api=False in LangChain"
)


def not_served(path: str) -> str:
    """What is said of a path under which there is nothing."""
    hint = f"; {_RESPONSES}" if path == "/v1/responses" or path.startswith("/v1/responses/") else ""
    return f"nothing is served under {path[:_SHOWN_CHARS]}{hint}"


def raw_path(target: str) -> str:
    """The path of a request target as it was sent, without its query; also of the absolute form (RFC 9112, 3.2.2)."""
    path = target.partition("?")[0]
    authority = _AUTHORITY.match(path)
    return path[authority.end() :] if authority is not None else path


def is_canonical(path: str, template: str) -> bool:
    """Whether the raw `path` is spelt as `template`; what stands for a field may be encoded as the client likes."""
    if template.startswith(_LENIENT):
        path = path.removesuffix("/")
    return _pattern(template).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def plain_template(template: str) -> str:
    """`template` without converters, as people read it: `/v1/models/{model}`."""
    return _FIELD.sub(r"{\g<name>}", template)


class CanonicalPath:
    """Falcon middleware: a route reached by another spelling of its path is not found."""

    def process_resource(self, req: falcon.Request, _resp: Any, _resource: object, _params: dict[str, Any]) -> None:
        """Raise HTTPRouteNotFound, as for a path that is not served."""
        env = req.env
        target: str = env.get("REQUEST_URI") or env.get("RAW_URI") or req.path
        if req.uri_template is not None and not is_canonical(raw_path(target), req.uri_template):
            raise falcon.HTTPRouteNotFound


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    pieces, end = [], 0
    for field in _FIELD.finditer(template):
        pieces.append(re.escape(template[end : field.start()]))
        pieces.append(".+" if field["converter"] == "path" else "[^/]+")
        end = field.end()
    pieces.append(re.escape(template[end:]))
    return re.compile("".join(pieces), re.DOTALL)
