"""How long a client waits and how often it has tried before, where it says so.

The official OpenAI and Anthropic clients for Python send `x-stainless-read-timeout` (seconds between two pieces of an
answer), those for JavaScript `x-stainless-timeout` (seconds until the answer begins), and all of them
`x-stainless-retry-count` (0 for a first try) with every request. Frameworks above them repeat without a count, so that
the same question from the same key is recognised by itself.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import falcon

from rom_core.turn_values import ChatRequest

# Of the client's time, kept for the answer's way to it: this share, and not more than so many seconds.
_WAY_SHARE = 0.05
_WAY_SECONDS = 1.0
_MAX_RETRIES = 100


def with_client_timeouts(request: ChatRequest, req: falcon.Request) -> ChatRequest:
    """`request` with what the client's headers say; what is not a sensible number says nothing.

    A timeout bounds the silence, and a streamed answer is never silent for long (SSE_HEARTBEAT_SECONDS): it becomes the
    deadline of an answer in one piece only.
    """
    stated = req.get_header("x-stainless-read-timeout") or req.get_header("x-stainless-timeout")
    timeout = None if request.stream else _seconds(stated)
    retries = _count(req.get_header("x-stainless-retry-count"))
    if timeout is None and not retries:
        return request
    return replace(request, client_timeout=timeout, client_retries=retries)


def with_fingerprint(request: ChatRequest, req: falcon.Request, route: str) -> ChatRequest:
    """`request` with what it is recognised by when the same key sends the same body to the same route again.

    On /v1 only, where clients repeat by themselves; on /api/chat a person asks again.
    """
    digest: bytes | None = getattr(req.context, "body_digest", None)
    if digest is None or not route.startswith("/v1/"):
        return request
    asked = hashlib.sha256(digest + f"{route}\n{request.key_name}".encode()).hexdigest()
    return replace(request, fingerprint=asked)


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return seconds - min(_WAY_SECONDS, seconds * _WAY_SHARE)


def _count(header: str | None) -> int:
    text = (header or "").strip()
    return min(int(text), _MAX_RETRIES) if text.isascii() and text.isdigit() and len(text) < 10 else 0
