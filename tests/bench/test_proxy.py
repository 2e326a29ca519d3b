"""The proxy that stops forwarding: connections hang, and go on where they were."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bench.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    def answer(client: socket.socket) -> None:
        with client:
            while data := client.recv(100):
                client.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def connect(proxy: Proxy) -> socket.socket:
    """A client of the server behind it."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=30)


def test_it_forwards_hangs_and_goes_on(echo: int) -> None:
    """While it hangs nothing comes and nothing breaks, for old and new connections; then everything arrives."""
    with Proxy(echo) as proxy, connect(proxy) as old:
        old.sendall(b"one")
        assert old.recv(100) == b"one"
        proxy.hang()
        with connect(proxy) as new:
            for client, text in ((old, b"two"), (new, b"three")):
                client.sendall(text)
                client.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    client.recv(100)
                client.settimeout(30)
            proxy.resume()
            assert old.recv(100) == b"two"
            assert new.recv(100) == b"three"
        assert proxy.accepted == 2


def test_it_breaks_connections(echo: int) -> None:
    """Cut, the client sees an end, and may come again."""
    with Proxy(echo) as proxy:
        with connect(proxy) as client:
            client.sendall(b"one")
            assert client.recv(100) == b"one"
            proxy.cut()
            assert client.recv(100) == b""
        with connect(proxy) as client:
            client.sendall(b"two")
            assert client.recv(100) == b"two"


def test_a_server_that_is_not_there(echo: int) -> None:
    """The client sees an end, as from the server itself."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Proxy(unused.getsockname()[1]) as proxy, connect(proxy) as client:
            assert client.recv(100) == b""
