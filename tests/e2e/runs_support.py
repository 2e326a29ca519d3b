"""Runs over real sockets: asking for them, and reading their events as they come."""

from __future__ import annotations

import json
import random
import socket
from typing import Any

import requests
from e2e.serving import RomServer, until

KEYS = {"ana": "key-of-ana-1234567890", "rui": "key-of-rui-1234567890"}
ENDED = ("done", "failed", "cancelled", "interrupted")
Event = tuple[str, str, dict[str, Any]]


def as_(who: str) -> dict[str, str]:
    """The headers of one key."""
    return {"Authorization": f"Bearer {KEYS[who]}"}


def begin(server: RomServer, message: str, who: str = "ana", **body: Any) -> dict[str, Any]:
    """A run that is accepted: what the client is answered."""
    response = server.chat(message, headers=as_(who), background=True, **body)
    assert response.status_code == 202, response.text
    answer: dict[str, Any] = response.json()
    return answer


def state(server: RomServer, run_id: str, who: str = "ana", **params: str) -> dict[str, Any]:
    """GET of one run."""
    response = requests.get(f"{server.url}/api/runs/{run_id}", headers=as_(who), params=params, timeout=60)
    assert response.status_code == 200, response.text
    run: dict[str, Any] = response.json()
    return run


def ended(server: RomServer, run_id: str, who: str = "ana", seconds: float = 60) -> dict[str, Any]:
    """The run, once it has ended."""
    assert until(lambda: state(server, run_id, who)["state"] in ENDED, seconds), state(server, run_id, who)
    return state(server, run_id, who)


def parsed(text: str) -> list[Event]:
    """The whole events of a stream: id, name, data. What was cut off is left out."""
    events = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return events


def events(server: RomServer, run_id: str, after: str = "", who: str = "ana") -> list[Event]:
    """All events of a run after one of them, read to the end."""
    headers = as_(who) | ({"Last-Event-ID": after} if after else {})
    response = requests.get(f"{server.url}/api/runs/{run_id}/events", headers=headers, timeout=60)
    assert response.status_code in (200, 204), response.text
    response.encoding = "utf-8"
    return parsed(response.text)


def text_of(read: list[Event]) -> str:
    """The text of an answer, with what was taken back left out."""
    text = ""
    for _, name, data in read:
        if name == "delta":
            text += data["text"]
        elif name == "restart":
            text = text[: data["length"]]
    return text


def cut(server: RomServer, run_id: str, after: str, most: int, who: str = "ana") -> bytes:
    """The first `most` bytes of the body of a run's events, and then the connection is cut.

    Nothing while those who have just left are still among its readers.
    """
    host, port = server.url.removeprefix("http://").split(":")
    last = f"Last-Event-ID: {after}\r\n" if after else ""
    head = f"GET /api/runs/{run_id}/events HTTP/1.0\r\nHost: localhost\r\nX-Api-Key: {KEYS[who]}\r\n"
    got = b""
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"{head}{last}\r\n".encode())
        while b"\r\n\r\n" not in got and (piece := connection.recv(4096)):
            got += piece
        status, _, body = got.partition(b"\r\n\r\n")
        if status.split(b" ", 2)[1] == b"503":
            return b""
        assert status.split(b" ", 2)[1] in (b"200", b"204"), got
        while len(body) < most and (piece := connection.recv(min(4096, most - len(body)))):
            body += piece
    return body[:most]


def read_in_pieces(server: RomServer, run_id: str, chance: random.Random) -> tuple[list[Event], int]:
    """All events of a run over connections that are cut at a random byte each, and how many those were."""
    got: list[Event] = []
    cuts = 0
    while not got or got[-1][1] not in ("done", "error"):
        body = cut(server, run_id, got[-1][0] if got else "", int(2 ** chance.uniform(0, 14)))
        got += parsed(body.decode("utf-8", "ignore"))
        cuts += bool(body)
    return got, cuts


def until_it_speaks(server: RomServer, run_id: str, who: str = "ana") -> list[Event]:
    """Its events to the first piece of its text; waits for that, and leaves then."""
    url = f"{server.url}/api/runs/{run_id}/events"
    lines: list[str] = []

    def spoke() -> bool:
        lines.clear()
        with requests.get(url, headers=as_(who), stream=True, timeout=60) as response:
            for line in response.iter_lines():
                lines.append(line.decode())
                if not line and "event: delta" in lines:
                    return True
        # Those who have just left may still be among its readers.
        assert response.status_code == 503, lines
        return False

    assert until(spoke), lines
    return parsed("\n".join(lines) + "\n")
