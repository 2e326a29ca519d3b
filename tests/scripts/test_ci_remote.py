"""scripts/ci-remote.sh: its tokens go to the server that was named, whatever the environment says."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOKEN = "own-token-0123456789"


class Seen(http.server.ThreadingHTTPServer):
    """Answers 200 to everything and remembers the headers that were sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str | None]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Note it, and say nothing of use."""
        assert isinstance(self.server, Seen)
        self.server.requests.append((self.path, self.headers["Authorization"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def listening() -> Iterator[tuple[Seen, Seen]]:
    """A server, and what the environment gives out for a proxy."""
    both = Seen(), Seen()
    threads = [threading.Thread(target=one.serve_forever, args=(0.05,)) for one in both]
    for thread in threads:
        thread.start()
    yield both
    for one, thread in zip(both, threads, strict=True):
        one.shutdown()
        thread.join(60)
        one.server_close()


def test_no_proxy_no_curlrc_and_no_netrc_decide(listening: tuple[Seen, Seen], tmp_path: Path) -> None:
    """Loopback is asked directly; only our own token is sent, and only where it belongs."""
    server, proxy = listening
    via = f"http://127.0.0.1:{proxy.server_address[1]}"
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / ".curlrc").write_text(f'proxy = "{via}"\nnetrc\nuser = "somebody:else"\n')
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/ci-remote.sh"), f"http://127.0.0.1:{server.server_address[1]}"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "http_proxy": via,
            "HTTPS_PROXY": via,
            "ALL_PROXY": via,
            "ROM_API_KEY": TOKEN,
            "METRICS_TOKEN": TOKEN,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert proxy.requests == []
    bearer = f"Bearer {TOKEN}"
    expected = [("/health", None), ("/ready", None), ("/metrics", bearer), ("/api/chat", bearer)]
    assert server.requests == expected
