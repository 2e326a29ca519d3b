"""The routes of a server that a chat uses, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from rom_core.cli.chat.failures import KEY_VARIABLE, ChatFailed, Disconnected, ForeignServer, refusal
from rom_core.ops.bearer import Bearer
from rom_core.ops.requesting import FOREIGN, DirectSession, json_of

_CONNECT_SECONDS = 5
# Heartbeats come every few seconds; this much silence means that the server is gone.
_SILENCE_SECONDS = 120
_ANSWER_SECONDS = 20
# At most, and never more than a chunk of HTTP: what came of one that breaks off must not be lost with its rest.
_READ_BYTES = 512
# Of the first line of a stream of ours, a comment included.
_BEGINNINGS = (b"event:", b"id:", b"data:", b"retry:", b":")


HEARTBEAT = "heartbeat"
"""The name of an event of our own: the server sent a comment, because it has nothing to say."""


@dataclass(frozen=True, slots=True)
class Event:
    """One Server-Sent Event; `id` is "" where the turn is no run."""

    name: str
    data: Mapping[str, Any]
    id: str = ""


class ChatServer:
    """Every call raises ChatFailed with the server's reason, ForeignServer if it is none of ours."""

    def __init__(self, url: str, api_key: str = "", user: str = "") -> None:
        """`api_key` is what KEY_VARIABLE holds. Raises BadToken for one that cannot be sent."""
        self.url = url.rstrip("/")
        self._owner = {"user": user} if user else {}
        self._session = DirectSession()
        self._session.auth = Bearer(api_key, KEY_VARIABLE)

    def check(self) -> None:
        """See that somebody answers and lets us in, before a question is typed in vain."""
        with self._response("GET", "/v1/models", timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS)) as response:
            # Other answers are for the chat itself to explain: this list may be switched off.
            if response.status_code == 401:
                raise refusal(response)

    def answer(self, body: Mapping[str, Any]) -> Iterator[Event]:
        """POST /api/chat, streamed: the events as they come. Raises Disconnected if they break off."""
        return self._events("POST", "/api/chat", json={**body, **self._owner})

    def begin(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /api/chat of a run in the background: its `run_id` and `conversation_id`."""
        return self._json("POST", "/api/chat", json={**body, **self._owner})

    def run(self, run_id: str) -> dict[str, Any]:
        """GET a run: its `state`."""
        return self._json("GET", _run(run_id), params=self._owner)

    def runs(self, limit: int) -> dict[str, Any]:
        """GET the newest ones: `runs` and `next`."""
        return self._json("GET", "/api/runs", params={"limit": limit, **self._owner})

    def run_events(self, run_id: str, after: str = "") -> Iterator[Event]:
        """The events of a run, those after the id `after`, or all; raises Disconnected if they break off."""
        headers = {"Last-Event-ID": after} if after else {}
        return self._events("GET", f"{_run(run_id)}/events", headers=headers, params=self._owner)

    def cancel(self, run_id: str) -> None:
        """End a run."""
        self._json("POST", f"{_run(run_id)}/cancel", params=self._owner)

    def conversations(self, limit: int) -> dict[str, Any]:
        """GET the newest ones: `conversations` and `next`."""
        return self._json("GET", "/api/conversations", params={"limit": limit, **self._owner})

    def conversation(self, conversation_id: str) -> dict[str, Any]:
        """GET one with its messages."""
        return self._json("GET", f"/api/conversations/{quote(conversation_id, safe='')}", params=self._owner)

    def foreign(self, path: str) -> ForeignServer:
        """What answers under this path is none of ours."""
        return ForeignServer(f"what answers at {self.url}{path} is no ROM Agent")

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with self._response(method, path, timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS), **options) as response:
            if not response.ok:
                raise refusal(response)
            try:
                answer = json_of(response.content)
            except FOREIGN:
                raise self.foreign(path) from None
        if not isinstance(answer, dict):
            raise self.foreign(path)
        return answer

    def _events(self, method: str, path: str, **options: Any) -> Iterator[Event]:
        try:
            with self._response(
                method, path, stream=True, timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS), **options
            ) as response:
                if response.status_code == requests.codes.no_content:
                    return
                if response.status_code != requests.codes.ok:
                    raise refusal(response)
                yield from parsed(response.iter_lines(chunk_size=_READ_BYTES))
        except requests.RequestException as error:
            raise Disconnected(f"the connection broke in the middle of the answer: {error}") from None
        except FOREIGN:
            raise self.foreign(path) from None

    @contextmanager
    def _response(self, method: str, path: str, **options: Any) -> Iterator[requests.Response]:
        try:
            response = self._session.request(method, self.url + path, **options)
        except requests.RequestException as error:
            raise self._unanswered(error) from None
        with response:
            if response.is_redirect:
                target = response.headers["Location"]
                raise ChatFailed(f"{self.url}{path} redirects to {target}: give --url the address that answers")
            yield response

    def _unanswered(self, error: requests.RequestException) -> ChatFailed:
        if isinstance(error, requests.ConnectionError):
            return ChatFailed(
                f"no server answers at {self.url}; start one with `make run` or `rom serve`, or give --url or ROM_URL"
            )
        return ChatFailed(f"the request failed: {error}")


def parsed(lines: Iterator[bytes]) -> Iterator[Event]:
    """The events of a stream; one that is not whole, its blank line included, is none. Raises one of FOREIGN."""
    fields: dict[str, str] = {}
    for number, line in enumerate(lines):
        if not number and not line.startswith(_BEGINNINGS):
            raise ValueError("no stream of events")
        if not line:
            if "data" in fields:
                data = json_of(fields["data"])
                if not isinstance(data, dict):
                    raise ValueError("no event of ours")
                yield Event(fields.get("event", ""), data, fields.get("id", ""))
            fields = {}
            continue
        if line.startswith(b":"):
            yield Event(HEARTBEAT, {})
            continue
        field, _, value = line.decode("utf-8").partition(": ")
        fields[field] = value


def _run(run_id: str) -> str:
    return f"/api/runs/{quote(run_id, safe='')}"
