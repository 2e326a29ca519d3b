"""What tests of kept conversations ask a server, by two keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from e2e.serving import RomServer, until

from local_bedrock import LocalBedrock
from local_bedrock.wire import Connection

KEYS = {"ana": "key-of-ana-1234567890", "rui": "key-of-rui-1234567890"}
BOTH = pytest.mark.parametrize("kept", ["sqlite", "postgresql"], indirect=True)


def as_(name: str) -> dict[str, str]:
    """The headers of one key."""
    return {"Authorization": f"Bearer {KEYS[name]}"}


def settings_of(bedrock: LocalBedrock) -> dict[str, str]:
    """Of every server here: two keys, and a model that tells what it was asked."""
    return {
        "BEDROCK_ENDPOINT_URL": bedrock.url,
        "API_KEYS": ",".join(f"{name}={key}" for name, key in KEYS.items()),
    }


def ask(server: RomServer, message: str, who: str = "ana", **body: Any) -> dict[str, Any]:
    """A turn that is answered."""
    response = server.chat(message, headers=as_(who), **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def read(server: RomServer, conversation_id: str, who: str = "ana", **params: str) -> requests.Response:
    """GET of one conversation."""
    url = f"{server.url}/api/conversations/{conversation_id}"
    return requests.get(url, headers=as_(who), params=params, timeout=60)


def listed(server: RomServer, who: str = "ana", **params: Any) -> dict[str, Any]:
    """GET of the list."""
    response = requests.get(f"{server.url}/api/conversations", headers=as_(who), params=params, timeout=60)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def texts(conversation: dict[str, Any]) -> list[tuple[str, str]]:
    """Who said what."""
    return [(message["role"], message["text"]) for message in conversation["messages"]]


def without_marks(value: Any) -> Any:
    """A request without its cache points, which move."""
    if isinstance(value, list):
        return [without_marks(each) for each in value if not (isinstance(each, dict) and "cachePoint" in each)]
    return {name: without_marks(each) for name, each in value.items()} if isinstance(value, dict) else value


class RequestStream:
    """A streamed turn, read to its end."""

    def __init__(self, server: RomServer, **body: Any) -> None:
        self.text, self.ended_with, self.last = "", "", {}
        with requests.post(
            f"{server.url}/api/chat", json=body | {"stream": True}, headers=as_("ana"), timeout=60, stream=True
        ) as response:
            assert response.status_code == 200, response.text
            for line in response.iter_lines():
                if line.startswith(b"event: "):
                    self.ended_with = line[7:].decode()
                elif line.startswith(b"data: "):
                    self.last = json.loads(line[6:])
                    self.text += self.last["text"] if self.ended_with == "delta" else ""


@contextmanager
def slow_turn(server: RomServer, bedrock: LocalBedrock, message: str, **body: Any) -> Iterator[None]:
    """A turn that runs until this ends, and then ends well; the delays of `message` take as long as that."""
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(server.chat(message, headers=as_("ana"), **body)))
    before, go_on = len(bedrock.requests), threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "wait", lambda *_: go_on.wait(60))
        thread.start()
        try:
            assert until(lambda: len(bedrock.requests) > before)
            yield
            assert not answers
        finally:
            go_on.set()
            thread.join(60)
    assert answers[0].status_code == 200
