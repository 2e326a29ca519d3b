"""Our own requests: where they go, and whose credentials they carry, whatever the environment says."""

from __future__ import annotations

import ast
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from plugins.alerts.courier import Courier
from plugins.alerts.messages import Message
from rom_core.cli import main
from rom_core.concurrency.clock import FakeClock, SystemClock
from rom_core.gate import ScrapeFailed
from rom_core.ops.bearer import BadToken, Bearer
from rom_core.ops.deploy import Render, RenderError
from rom_core.ops.gate_sources import prometheus_figures, scraper
from rom_core.ops.release_check import Release, memory
from rom_core.ops.requesting import DirectSession, proxies_for

ROOT = Path(__file__).parents[3]
TOKEN = "own-token-0123456789"


class Recorder:
    """A socket that keeps the head of each request, and answers each with the same."""

    def __init__(self, answer: bytes) -> None:
        self.heads: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(60)
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    head += piece
                self.heads.append(head)
                connection.sendall(self._answer)

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A proxy that the environment names for everything; it refuses all, and notes what it was asked."""
    recorder = Recorder(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, recorder.url)
        monkeypatch.setenv(name.lower(), recorder.url)
    yield recorder
    recorder.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Recorder]:
    """A server on loopback, for which ~/.netrc keeps a password."""
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\ndefault login d password e\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    recorder = Recorder(answer)
    yield recorder
    recorder.close()


def rom(*arguments: str) -> Callable[[str], object]:
    """A command that is given the server's address."""
    environ = {"ROM_ADMIN_TOKEN": TOKEN, "ROM_API_KEY": TOKEN, "METRICS_TOKEN": TOKEN}
    return lambda url: CliRunner(env=environ).invoke(main, [*arguments, "--url", url])


def scraped(url: str) -> None:
    """The gate's own scrape."""
    with pytest.raises(ScrapeFailed):
        scraper(url, SystemClock(), token=TOKEN)()


def prometheus(url: str) -> None:
    """The gate's question to a Prometheus, which has no token."""
    with pytest.raises(ScrapeFailed):
        prometheus_figures(url, 60.0, SystemClock())


def render(url: str) -> None:
    """The deploy client."""
    with pytest.raises(RenderError):
        Render(TOKEN, "srv-1", clock=FakeClock(), api=url).deploys()


def webhook(url: str) -> None:
    """An alert's message, which has no token but its address."""
    courier = Courier(FakeClock(), lambda: url, lambda: "test", lambda *_: None)
    courier.deliver(Message("test", "warning", "Title", 0.0))


ASKING: dict[str, tuple[Callable[[str], object], bool]] = {
    "rom flags": (rom("flags", "list"), True),
    "rom canary": (rom("canary", "status"), True),
    "rom chat": (rom("chat", "oi"), True),
    "rom gate": (rom("gate", "--window", "1m"), True),
    "gate scrape": (scraped, True),
    "gate by Prometheus": (prometheus, False),
    "rom deploy": (render, True),
    "release check": (lambda url: memory(Release(Path(), url=url, metrics_token=TOKEN)), True),
    "alerts": (webhook, False),
}


@pytest.mark.parametrize("name", ASKING)
def test_loopback_is_asked_directly_with_our_credentials_or_none(name: str, proxy: Recorder, server: Recorder) -> None:
    """The proxy hears nothing, and what the server hears comes from the setting, never from ~/.netrc."""
    ask, has_token = ASKING[name]
    ask(server.url)
    assert proxy.heads == []
    assert server.heads
    for head in server.heads:
        lines = [line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization:")]
        assert lines == ([f"Authorization: Bearer {TOKEN}".encode()] if has_token else [])


def test_a_proxy_is_asked_for_a_tunnel_and_sees_no_token(proxy: Recorder, server: Recorder) -> None:
    """Over https the proxy learns the host's name alone; over plain http it is not asked at all."""
    with DirectSession() as session:
        session.auth = Bearer(TOKEN, "ROM_ADMIN_TOKEN")
        with pytest.raises(requests.ConnectionError):
            session.get("https://rom.test/admin/flags", timeout=60)
        [head] = proxy.heads
        assert head.startswith(b"CONNECT rom.test:443 ")
        assert TOKEN.encode() not in head
        with pytest.raises(requests.ConnectionError):
            session.get("http://rom.test.invalid/admin/flags", timeout=60)
        assert len(proxy.heads) == 1


@pytest.mark.parametrize("wrapped", ['"{}"', "'{}'", "Bearer {}"])
def test_a_token_in_its_wrapping_is_not_sent(wrapped: str) -> None:
    """The server would only say that it is wrong; what is wrong with it is said here, and never what it is."""
    with pytest.raises(BadToken, match=r"ROM_ADMIN_TOKEN has .*would be part of the secret") as refused:
        Bearer(wrapped.format(TOKEN), "ROM_ADMIN_TOKEN")
    assert TOKEN not in str(refused.value)


def test_a_redirect_is_not_followed_even_when_asked_for() -> None:
    """Another host must not get the token, nor another method the body."""
    target = Recorder(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    location = f"Location: {target.url}/\r\n".encode()
    source = Recorder(b"HTTP/1.1 307 Elsewhere\r\n" + location + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
    try:
        with DirectSession() as session:
            assert session.get(source.url, timeout=60, allow_redirects=True).status_code == 307
        assert target.heads == []
    finally:
        source.close()
        target.close()


def test_which_proxy_counts_for_which_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY for https beyond loopback, less what NO_PROXY names."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "inside.test")
    assert proxies_for("https://rom.test/x") == {"https": "http://proxy.test:3128"}
    for address in ("http://rom.test/x", "https://inside.test/x", "https://localhost:8000", "https://[::1]:8000/x"):
        assert proxies_for(address) == {}, address


def test_the_certificates_to_trust_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a company's proxy opens TLS; they decide whom we believe, and carry nothing away."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    assert DirectSession().verify is True
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/company.pem")
    assert DirectSession().verify == "/etc/ssl/company.pem"


def test_nobody_asks_in_another_way() -> None:
    """No module sends with requests, urllib or http.client but through this session."""
    found = []
    for package in ("rom_core", "plugins"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path == ROOT / "rom_core/ops/requesting.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
                sends = (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == "requests"
                    and node.attr in {"Session", "request", "get", "post", "put", "patch", "delete", "head"}
                )
                if sends or {"urllib.request", "http.client", "httpx", "aiohttp"} & set(modules):
                    found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    assert found == []
