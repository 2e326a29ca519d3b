"""Fixtures for the wire and what stands behind it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from bedrock_support import Connect, make_wire

from rom_core.bedrock import wire as wire_module
from rom_core.bedrock.wire import Wire


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes wires, and closes them after the test."""
    made: list[Wire] = []

    def to(url: str, **values: Any) -> Wire:
        made.append(make_wire(url, **values))
        return made[-1]

    yield to
    for wire in made:
        wire.close()


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses that this process connects to, in order."""
    addresses: list[Any] = []
    connect = socket.socket.connect

    def counting(self: socket.socket, address: Any) -> None:
        addresses.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", counting)
    return addresses


@pytest.fixture
def pooled(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes wires that have to fetch credentials before every request, as far as anybody can know."""
    monkeypatch.setattr(wire_module, "may_fetch_credentials", lambda _client: True)
    return connect
