"""Playing one turn against a server over HTTP, and what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import requests

from rom_core.ops.load.invariants import WHOLE, Received, violations
from rom_core.ops.load.plays import Play
from rom_core.ops.requesting import DirectSession

CONNECT_SECONDS = 5.0
# A stream is never silent for longer than its heartbeat; a whole answer may take an exhaustive turn's deadline.
SILENCE_SECONDS = 60.0
ANSWER_SECONDS = 930.0
# Codes with which the server refuses for want of room: as in the metric, such a turn is rejected and no error.
REFUSALS = frozenset({"overloaded", "queue_full", "queue_timeout", "memory_pressure", "draining"})
_REFUSED_KEY = frozenset({401, 403})


class KeyRefused(Exception):
    """The server does not take the key: nothing that follows would be answered."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn as its client saw it.

    `status` is ok | error | rejected | cancelled, as in the server's metric; `code` says why it is not ok. `at` is when
    it began, in seconds since the epoch; `seconds` how long it took, `first` until the first piece of text (None
    without one). `violations` are among `invariants.KINDS`.
    """

    at: float
    kind: str
    status: str
    code: str
    seconds: float
    first: float | None
    violations: tuple[str, ...]
    users: int
    fault: str
    request_id: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON; `Turn.of` reads it."""
        return asdict(self)

    @staticmethod
    def of(values: Mapping[str, Any]) -> Turn:
        """What `as_dict` gave."""
        return Turn(**(dict(values) | {"violations": tuple(values["violations"])}))


def perform(session: DirectSession, url: str, play: Play, users: int = 1) -> Turn:
    """Play it to its end. Raises KeyRefused."""
    at, began = time.time(), time.monotonic()
    received = Received(streamed=bool(play.body["stream"]))
    first: list[float] = []
    request_id = ""
    try:
        silence = SILENCE_SECONDS if received.streamed else ANSWER_SECONDS
        with session.post(
            f"{url}/api/chat", json=dict(play.body), stream=True, timeout=(CONNECT_SECONDS, silence)
        ) as response:
            request_id = response.headers.get("X-Request-Id", "")
            if response.status_code in _REFUSED_KEY:
                raise KeyRefused(_problem(response).get("detail", f"HTTP {response.status_code}"))
            if response.status_code != 200:
                status, code = _refusal(_problem(response), response.status_code)
            elif received.streamed:
                received.began = True
                status, code = _listen(response, play, received, first, began)
            else:
                received.began = True
                status, code = _whole(response, received)
    except requests.Timeout:
        status, code = "error", "no_answer_in_time"
    except requests.RequestException:
        status, code = "error", "connection_lost" if received.began else "no_connection"
    except (ValueError, KeyError, TypeError):
        status, code = "error", "not_understood"
    return Turn(
        at=round(at, 3),
        kind=play.kind,
        status=status,
        code=code,
        seconds=round(time.monotonic() - began, 4),
        first=round(first[0], 4) if first else None,
        violations=tuple(violations(play, received)),
        users=users,
        fault=play.fault,
        request_id=request_id,
    )


def _listen(
    response: requests.Response, play: Play, received: Received, first: list[float], began: float
) -> tuple[str, str]:
    status, code, pieces = "error", "missing_end", 0
    for name, data in _events(response):
        if name == "delta":
            if not pieces:
                first.append(time.monotonic() - began)
            received.text += data["text"]
            pieces += 1
            if play.leave_after is not None and pieces >= play.leave_after:
                received.left = True
                return "cancelled", "left"
        elif name == "tool_call":
            received.calls.append(data["id"])
        elif name == "tool_result":
            received.results.append(data["id"])
        elif name == "done":
            received.ends += 1
            received.answer = data
            status, code = _judged(data)
        elif name == "error":
            received.ends += 1
            status, code = _refusal(data, int(data.get("status", 500)))
    return status, code


def _whole(response: requests.Response, received: Received) -> tuple[str, str]:
    data = response.json()
    received.ends, received.answer = 1, data
    received.text = data["reply"]
    return _judged(data)


def _judged(answer: Mapping[str, Any]) -> tuple[str, str]:
    reason = str(answer["stop_reason"])
    return ("ok", "") if reason in WHOLE else ("error", f"stopped:{reason}")


def _refusal(problem: Mapping[str, Any], status: int) -> tuple[str, str]:
    code = str(problem.get("code") or f"http_{status}")
    return ("rejected" if code in REFUSALS else "error"), code


def _problem(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _events(response: requests.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    # Piece by piece as they arrive: anything but None would wait for a buffer to fill.
    for line in response.iter_lines(chunk_size=None):
        field, _, value = line.decode("utf-8").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
