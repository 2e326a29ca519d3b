"""One GET over HTTP, bounded in time and size, that follows no redirect: a token goes where it was meant to go."""

from __future__ import annotations

import re

import requests
import urllib3

from rom_core.concurrency.clock import Clock
from rom_core.ops.requesting import DirectSession

# Far more than any server answers here; a body without end must not fill the memory.
MAX_BYTES = 32 * 1024 * 1024
_CHUNK = 64 * 1024


class FetchFailed(Exception):
    """No 200 with a whole body; the text says why, for a person. `status` is the HTTP status, if there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def fetch(
    session: DirectSession, address: str, clock: Clock, timeout: float, params: dict[str, str] | None = None
) -> str:
    """The body of a 200, as text, after at most about `timeout` seconds. Raises FetchFailed.

    requests bounds only the silence between two bytes, so the whole is bounded here.
    """
    give_up = clock.monotonic() + timeout
    body = bytearray()
    try:
        with session.get(address, params=params, timeout=timeout, stream=True) as response:
            status = response.status_code
            if response.is_redirect:
                target = response.headers["Location"]
                raise FetchFailed(f"{address} redirects to {target}: name that address itself", status)
            # read1 returns with what there is; iter_content would wait for a whole chunk of a trickle.
            while piece := response.raw.read1(_CHUNK, decode_content=True):
                body += piece
                if len(body) > MAX_BYTES:
                    raise FetchFailed(f"{address}: the answer is larger than {MAX_BYTES} bytes", status)
                if clock.monotonic() > give_up:
                    raise FetchFailed(f"{address}: no complete answer within {timeout:g} s", status)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise FetchFailed(f"{address}: {_reason(error)}") from None
    text = body.decode("utf-8", "replace")
    if status != 200:
        raise FetchFailed(f"{address}: HTTP {status}{_detail(text)}", status)
    return text


def _reason(error: Exception) -> str:
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "no answer in time"
    if isinstance(error, (requests.ConnectionError, urllib3.exceptions.ProtocolError)):
        return "no connection, or it broke off"
    return type(error).__name__


def _detail(text: str) -> str:
    found = re.search(r'"(?:detail|error)": *"([^"]{1,200})"', text)
    return f", {found[1]}" if found else ""
