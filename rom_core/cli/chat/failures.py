"""What may go wrong between the terminal and the server, as a sentence for the person in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from rom_core.ops.requesting import FOREIGN, json_of

KEY_VARIABLE = "ROM_API_KEY"


class ChatFailed(Exception):
    """The question was not answered; the text says why. `code` and `status` are the server's, "" and 0 without one."""

    def __init__(self, text: str, code: str = "", status: int = 0, param: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.param = param


class ForeignServer(ChatFailed):
    """What answers is not a server of ours."""


class Disconnected(ChatFailed):
    """The connection broke in the middle of an answer."""


class StillQueued(ChatFailed):
    """The run has not begun: there is no room for runs just now."""


def refusal(response: requests.Response) -> ChatFailed:
    """Why the server did not answer with what it was asked for."""
    try:
        return failure_of(json_of(response.content))
    except FOREIGN:
        return ChatFailed(f"HTTP {response.status_code} from {response.url}", status=response.status_code)


def failure_of(problem: Mapping[str, Any]) -> ChatFailed:
    """The sentence for the person, and below it what an engineer asks for."""
    text = "{user_message}\n{code} (HTTP {status}, request {request_id}): {detail}".format_map(problem)
    if problem["status"] == 401:
        text += f"; the key is taken from {KEY_VARIABLE}"
    param = (problem.get("error") or {}).get("param") or ""
    return ChatFailed(text, str(problem["code"]), int(problem["status"]), str(param))
