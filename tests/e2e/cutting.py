"""A TCP proxy in front of a server that cuts the connections of streams after as many bytes as a test says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

STREAMS = (b"POST /api/chat ", b"GET /api/runs/")
_CHUNK = 65_536


class CuttingProxy:
    """Passes bytes on; of the answer to a stream's request only as many as the next of `cuts` says, if there is one."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._cuts: list[int] = []
        self.cut = 0
        """How many connections were cut."""
        self.requests: list[str] = []
        """The first lines of all streams' requests."""
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, sizes: Iterable[int]) -> None:
        """Cut the next streams after so many bytes of their answers, one each; 0 cuts before the first."""
        with self._lock:
            self._cuts = list(sizes)
            self.cut = 0
            self.requests = []

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                left: list[int | None] = [None]
                self._sockets |= {client, server}
                for source, sink, answers in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=(source, sink, left, answers), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, left: list[int | None], answers: bool) -> None:
        try:
            while data := source.recv(_CHUNK):
                if not answers and b"/cancel" not in data[:200] and data.startswith(STREAMS) and self._streams(data):
                    with self._lock:
                        self.requests.append(data.split(b"\r\n", 1)[0].decode())
                        left[0] = self._cuts.pop(0) if self._cuts else None
                if answers and left[0] is not None:
                    data, left[0] = data[: left[0]], left[0] - len(data)
                    sink.sendall(data)
                    if left[0] <= 0:
                        self.cut += 1
                        break
                    continue
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                # With a reset, as a network that is gone leaves it.
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    @staticmethod
    def _streams(data: bytes) -> bool:
        line = data.split(b"\r\n", 1)[0]
        return line.startswith(b"POST") or b"/events" in line

    def close(self) -> None:
        """Stop."""
        self._listener.close()
        for one in self._sockets:
            one.close()


@contextmanager
def cutting(target: str) -> Iterator[CuttingProxy]:
    """A proxy before `target`, closed at the end."""
    proxy = CuttingProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
