"""A TCP proxy between a client and a server that can stop forwarding, so that connections hang instead of breaking."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

_CHUNK = 65536


class Proxy:
    """Listens on `port` of loopback and forwards to `target`, also on loopback. Use it as a context manager.

    While it hangs, connections are still accepted and what is sent is still acknowledged by the system, but nothing
    arrives: what a firewall does that has forgotten a connection, or a machine that has frozen.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._forwards = threading.Event()
        self._forwards.set()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._closed = False
        self.accepted = 0
        """Connections so far."""
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hang(self) -> None:
        """Forward nothing from now on, in either direction."""
        self._forwards.clear()

    def resume(self) -> None:
        """Forward again, first what has piled up."""
        self._forwards.set()

    def cut(self) -> None:
        """Break every connection; new ones are taken as before."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        """Listen no more, and break what is left."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._forwards.set()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(client,), name="proxy-connection", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._keep(client)
        self._forwards.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
        except OSError:
            self._drop(client)
            return
        server.settimeout(None)
        self._keep(server)
        threading.Thread(target=self._pump, args=(server, client), name="proxy-back", daemon=True).start()
        self._pump(client, server)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Forward until either side ends; then end both, as nobody here half-closes."""
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._forwards.wait()
                sink.sendall(data)
            self._forwards.wait()
        self._drop(source)
        self._drop(sink)

    def _keep(self, each: socket.socket) -> None:
        with self._lock:
            if not self._closed:
                self._sockets.add(each)
                return
        each.close()

    def _drop(self, each: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(each)
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
